"""The record of runs, as the commands open it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backend.cli.folder import OutputFolder
    from backend.config.settings import Settings
    from backend.store.blobs import BlobStore
    from backend.store.run_records import Forgotten, Run
    from backend.store.runs import RunStore


@dataclass(frozen=True, kw_only=True)
class Records:
    """What the commands about runs work with."""

    runs: RunStore
    blobs: BlobStore
    owner: str

    async def forget(self, forgotten: Forgotten) -> None:
        """Remove the bytes that nothing refers to any more."""
        for digest in forgotten.unused:
            await self.blobs.delete(digest)


@asynccontextmanager
async def open_records(settings: Settings) -> AsyncIterator[Records]:
    """Open the database, and find which runs were interrupted.

    Raises:
        SettingsError: it cannot be opened.
    """
    from backend.store.blobs import BlobStore
    from backend.store.database import LOCAL_OWNER, open_database
    from backend.store.runs import RunStore

    async with open_database(settings) as database:
        runs = RunStore(database)
        await runs.mark_interrupted(owner=LOCAL_OWNER)
        yield Records(runs=runs, blobs=BlobStore(settings.data_dir / "blobs"), owner=LOCAL_OWNER)


async def write_artifacts(
    blobs: BlobStore, result: Mapping[str, Any], target: OutputFolder | None
) -> list[Path]:
    """Write the files of a result into a folder; of a name that was written again, the last.

    Raises:
        NotFound: one is no longer kept.
    """
    if target is None:
        return []
    newest = {entry["name"]: entry for entry in result.get("artifacts", ())}
    return [target.write(name, await blobs.get(entry["sha256"])) for name, entry in newest.items()]


def run_document(run: Run) -> dict[str, Any]:
    """A run as plain JSON values."""
    return asdict(run)
