"""``runs again``: a former run's program with other data, no model involved."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backend.cli.account import files_line
from backend.cli.folder import OutputFolder
from backend.cli.options import json_option, output_options, quiet_option, read_settings
from backend.cli.output import for_terminal, headline, print_json, print_line
from backend.cli.records import open_records, write_artifacts
from backend.cli.signals import run_async
from backend.errors import RequestError

if TYPE_CHECKING:
    from backend.config.settings import Settings


@click.command("again")
@click.argument("reference", metavar="ID")
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    metavar="[NAME=]FILE",
    help="An input file in place of the one of its name, or of the NAME that the program knows; "
    "else of the only one of its type.",
)
@click.option(
    "--set",
    "inputs",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another value of what the program sets at its top; JSON, or text.",
)
@output_options
@quiet_option
@json_option
def again(
    reference: str,
    files: tuple[str, ...],
    inputs: tuple[str, ...],
    folder: Path | None,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Run a run's program again in the sandbox, with other files or input values.

    No model is asked. Files that are not replaced are read where they lay. Its output comes as it
    is; what became of it is told on stderr.
    """
    # One program is over before everything that it might need has been imported.
    settings = read_settings().model_copy(update={"preimport": "none"})
    given = place_named_files(files, settings)
    values = dict(read_value(entry) for entry in inputs)
    target = OutputFolder(folder, overwrite=overwrite) if folder else None

    async def work() -> tuple[dict[str, Any], list[Path]]:
        from backend.tools.coder.solutions import Solutions
        from backend.tools.python_executor_engine import open_engine

        async with open_records(settings) as records, open_engine(settings) as engine:
            solutions = Solutions(
                runs=records.runs, engine=engine, blobs=records.blobs, settings=settings
            )
            result = await solutions.run_again(
                reference, owner=records.owner, files=given, inputs=values
            )
            return result, await write_artifacts(records.blobs, result, target)

    result, written = run_async(work())
    if as_json:
        print_json(result | {"written": [str(path) for path in written]})
    else:
        _show(result, quiet=quiet)
        made = [entry["name"] for entry in result["artifacts"]]
        if not quiet and made:
            print_line(files_line(made, written, target.path if target else None))
    return 0 if result["success"] else 1


def _show(result: dict[str, Any], *, quiet: bool) -> None:
    sys.stdout.write(for_terminal(result["output"], sys.stdout))
    sys.stdout.flush()
    for attempt in result["attempts"]:
        sys.stderr.write(for_terminal(attempt["stderr"], sys.stderr))
        sys.stderr.flush()
    if quiet:
        return
    if result["error"]:
        print_line(headline(result["error"]))
    for note in result["notes"]:
        print_line(note)
    ended = "Done" if result["success"] else "Failed"
    print_line(f"{ended} after {result['timings']['total_s']:.2f} s, run {result['run_id']}")


def place_named_files(given: Sequence[str], settings: Settings) -> dict[str, Path]:
    """Files by their own names, or by the name before an equals sign.

    Raises:
        RequestError: see ``place_files``; or two files have one name.
    """
    from backend.tools.python_executor_engine import place_files

    placed: dict[str, Path] = {}
    for entry in given:
        name, equals, path = entry.partition("=")
        if not equals or Path(entry).exists():
            name, path = Path(entry).name, entry
        if name in placed:
            raise RequestError(
                f"Two files were given as {name!r}.", "Write one of them as NAME=FILE."
            )
        (placed[name],) = place_files([path], settings).values()
    return placed


def read_value(entry: str) -> tuple[str, Any]:
    """A name and its value: JSON where it is such, else text.

    Raises:
        RequestError: there is no equals sign, or no name before it.
    """
    name, equals, text = entry.partition("=")
    if not equals or not name.strip().isidentifier():
        raise RequestError(f"{entry[:80]!r} sets nothing.", "Write --set NAME=VALUE.")
    try:
        return name.strip(), json.loads(text)
    except ValueError:
        return name.strip(), text
