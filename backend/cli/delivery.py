"""Where a result goes and in what form: what the commands that ask a model have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.cli.account import files_line
from backend.cli.folder import OutputFolder
from backend.cli.formatting import Telling, read_telling
from backend.cli.notebook_file import NotebookFile
from backend.cli.output import print_line
from backend.cli.records import newest, write_artifacts

if TYPE_CHECKING:
    from backend.store.blobs import BlobStore
    from backend.tools.coder.formats import Form


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What the options of a command say about its result."""

    telling: Telling | None
    """None for what the command shows of itself."""
    folder: OutputFolder | None
    notebook: NotebookFile | None
    quiet: bool
    as_json: bool

    async def write(
        self, result: Mapping[str, Any], blobs: BlobStore, *, request: str, files: Sequence[str]
    ) -> list[Path]:
        """Write the files of a result, and its notebook; returns where the files are.

        Raises:
            MachineError: there is no room for one.
            NotFound: one is no longer kept.
        """
        written = await write_artifacts(blobs, result, self.folder)
        if self.notebook is not None:
            from backend.tools.coder.notebook import build_notebook, notebook_text

            built = await build_notebook(result, blobs, request=request, files=files)
            self.notebook.write(notebook_text(built))
        return written

    def named(self) -> dict[str, str]:
        """What ``--json`` tells of the notebook."""
        return {"notebook": str(self.notebook.path)} if self.notebook else {}

    def tell_files(self, made: Sequence[Mapping[str, Any]], written: Sequence[Path]) -> None:
        """Say on stderr which files were made, and where they are."""
        names = [entry["name"] for entry in newest(made)]
        if line := files_line(names, written, self.folder.path if self.folder else None):
            print_line(line)


def read_delivery(
    *,
    form: Form | None,
    with_: Sequence[str],
    without: Sequence[str],
    folder: Path | None,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
    notebook: Path | None = None,
) -> Delivery:
    """What the options say, once folder and notebook are known to be writable.

    Raises:
        RequestError: they are not, or there is no such section.
        click.UsageError: ``--json`` together with another form or with sections.
    """
    return Delivery(
        telling=read_telling(form, with_, without, as_json=as_json),
        folder=OutputFolder(folder, overwrite=overwrite) if folder else None,
        notebook=NotebookFile(notebook, overwrite=overwrite) if notebook else None,
        quiet=quiet,
        as_json=as_json,
    )


def with_paths(made: Sequence[Mapping[str, Any]], written: Sequence[Path]) -> list[dict[str, Any]]:
    """The newest of the files, each with the path it was written to, where it was."""
    entries = newest(made)
    paths: list[Path | None] = [*written] or [None] * len(entries)
    return [
        {**entry, "path": str(path) if path else entry.get("path")}
        for entry, path in zip(entries, paths, strict=True)
    ]
