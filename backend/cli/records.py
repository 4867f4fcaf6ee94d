"""The record of runs, as the commands open it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backend.cli.folder import OutputFolder
    from backend.config.settings import Settings
    from backend.store.blobs import BlobStore
    from backend.store.files import FileStore
    from backend.store.run_records import Forgotten, Run
    from backend.store.runs import RunStore


@dataclass(frozen=True, kw_only=True)
class Records:
    """What the commands about runs work with."""

    runs: RunStore
    blobs: BlobStore
    files: FileStore
    owner: str
    settings: Settings

    async def forget(self, forgotten: Forgotten) -> None:
        """Remove the bytes that nothing refers to any more, and the steps that nobody goes on with.

        Raises:
            SettingsError: the steps cannot be opened.
        """
        await self.files.forget_bytes(forgotten.unused)
        if not forgotten.interrupted:
            return
        from backend.tools.coder.checkpoints import open_checkpointer

        async with open_checkpointer(self.settings) as checkpointer:
            for run_id in forgotten.interrupted:
                await checkpointer.adelete_thread(run_id)


@asynccontextmanager
async def open_records(settings: Settings) -> AsyncIterator[Records]:
    """Open the database, and find which runs were interrupted.

    Raises:
        SettingsError: it cannot be opened.
    """
    from backend.store.blobs import BlobStore
    from backend.store.database import LOCAL_OWNER, open_database
    from backend.store.files import FileStore
    from backend.store.runs import RunStore

    async with open_database(settings) as database:
        runs = RunStore(database)
        await runs.interrupted.mark(owner=LOCAL_OWNER)
        blobs = BlobStore.of(settings)
        files = FileStore(database, blobs)
        yield Records(runs=runs, blobs=blobs, files=files, owner=LOCAL_OWNER, settings=settings)


async def write_artifacts(
    blobs: BlobStore, result: Mapping[str, Any], target: OutputFolder | None
) -> list[Path]:
    """Write the files of a result into a folder; of a name that was written again, the last.

    Raises:
        NotFound: one is no longer kept.
    """
    if target is None:
        return []
    made = newest(result.get("artifacts", ()))
    return [target.write(entry["name"], await blobs.get(entry["sha256"])) for entry in made]


def newest(made: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The files without those that a later program wrote again."""
    return list({entry["name"]: entry for entry in made}.values())


def run_document(run: Run) -> dict[str, Any]:
    """A run as plain JSON values."""
    return asdict(run)
