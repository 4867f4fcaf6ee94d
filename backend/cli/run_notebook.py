"""``runs notebook``: a run as a Jupyter notebook."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from backend.cli.notebook_file import NotebookFile
from backend.cli.options import json_option, read_settings
from backend.cli.output import print_json, print_line
from backend.cli.records import open_records
from backend.cli.signals import run_async
from backend.errors import RequestError


@click.command("notebook")
@click.argument("reference", metavar="ID")
@click.option(
    "-o", "--output", "path", metavar="FILE", type=click.Path(path_type=Path), help="Where to."
)
@click.option("--attempts", is_flag=True, help="With the programs that were given up.")
@click.option("--overwrite", is_flag=True, help="Replace FILE if it is there.")
@json_option
def notebook(
    reference: str, path: Path | None, attempts: bool, overwrite: bool, as_json: bool
) -> int:
    """Make a notebook of a run: on stdout, or as FILE.

    Its cells hold each program with what it printed and drew. In a folder with the input files it
    can be run again.
    """
    file = NotebookFile(path, overwrite=overwrite) if path else None
    text = run_async(_build(reference, attempts=attempts))
    if file is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return 0
    written = file.write(text)
    if as_json:
        print_json({"success": True, "path": str(written)})
    else:
        print_line(f"Written: {written}")
    return 0


async def _build(reference: str, *, attempts: bool) -> str:
    from backend.tools.coder.notebook import build_notebook, notebook_text

    async with open_records(read_settings()) as records:
        run = await records.runs.find(reference, owner=records.owner)
        if run.result is None:
            raise RequestError(
                f"The run {run.id!r} has no result: it stands {run.status}.", "Name another run."
            )
        files: dict[str, Any] = run.spec.get("files", {})
        built = await build_notebook(
            run.result,
            records.blobs,
            request=run.request,
            files=[*files],
            failed_attempts=attempts,
        )
    return notebook_text(built)
