"""``run``: a program in the sandbox, no model involved."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backend.cli.account import files_line, run_line
from backend.cli.folder import OutputFolder
from backend.cli.options import (
    files_option,
    json_option,
    language_option,
    output_options,
    quiet_option,
    read_settings,
    read_text,
)
from backend.cli.output import for_terminal, print_json, print_line
from backend.cli.signals import run_async
from backend.errors import RequestError

if TYPE_CHECKING:
    from backend.config.settings import Settings
    from backend.types import ExecutionRequest, ExecutionResult, Language

MAX_PROGRAM_BYTES = 4 * 2**20
"""A program is text that someone wrote; what is longer is data."""


@click.command("run", context_settings={"ignore_unknown_options": False})
@click.argument("script")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@files_option
@click.option("--executor", metavar="NAME", help="Which executor runs it; else the setting.")
@click.option("--timeout", type=float, metavar="S", help="Seconds it may take.")
@click.option("--memory", type=int, metavar="MB", help="MiB of memory it may use.")
@click.option("--no-check", is_flag=True, help="Leave out the static check; the walls stand.")
@language_option
@output_options
@quiet_option
@json_option
def command(
    script: str,
    args: tuple[str, ...],
    files: tuple[str, ...],
    executor: str | None,
    timeout: float | None,
    memory: int | None,
    no_check: bool,
    language: Language | None,
    folder: Path | None,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Run SCRIPT (- for stdin) in the sandbox, with what follows -- as its arguments.

    Its output comes as it is; how it ended and which files it made is told on stderr. Exit
    status 1 when it fails, is stopped by a limit or refused by the static check.
    """
    # One program is over before everything that it might need has been imported.
    settings = read_settings().model_copy(update={"preimport": "none"})
    code = read_text(script, max_bytes=MAX_PROGRAM_BYTES, what="program")
    if not code.strip():
        raise RequestError(f"The program {script!r} is empty.", "Write something into it.")
    target = OutputFolder(folder, overwrite=overwrite) if folder else None

    from backend.tools.python_executor_engine import place_files
    from backend.types import ExecutionRequest

    request = ExecutionRequest(
        code=code,
        language=language or language_of(script),
        files=place_files(files, settings),
        timeout_s=timeout,
        memory_mb=memory,
        argv=args,
    )
    result = run_async(_execute(settings, executor, request, check=not no_check))
    written = [target.write(made.name, made.content) for made in result.artifacts] if target else []
    if as_json:
        print_json(result_document(result, written))
    else:
        _show(result)
        if not quiet:
            _account(result, written, target.path if target else None)
    return 0 if result.success else 1


def language_of(script: str) -> Language:
    """Bash for ``.sh``, Python for everything else."""
    return "bash" if script.lower().endswith((".sh", ".bash")) else "python"


async def _execute(
    settings: Settings, executor: str | None, request: ExecutionRequest, *, check: bool
) -> ExecutionResult:
    from backend.tools.python_executor_engine import open_engine

    async with open_engine(settings, executor) as engine:
        return await engine.execute(request, check=check)


def _show(result: ExecutionResult) -> None:
    sys.stdout.write(for_terminal(result.stdout, sys.stdout))
    sys.stdout.flush()
    if result.stdout[-1:] not in ("", "\n") and sys.stdout.isatty():
        sys.stderr.write("\n")
    sys.stderr.write(for_terminal(result.stderr, sys.stderr))
    if result.stderr and not result.stderr.endswith("\n"):
        sys.stderr.write("\n")
    sys.stderr.flush()


def _account(result: ExecutionResult, written: list[Path], folder: Path | None) -> None:
    from backend.sandbox.policy import blocking

    if result.returncode is None and result.stopped_by is None:
        for issue in blocking(result.issues):
            print_line(f"line {issue.line or '-'}: {issue.severity}: {issue.message}")
    print_line(run_line(result))
    for note in result.notes:
        print_line(note)
    if made := files_line([made.name for made in result.artifacts], written, folder):
        print_line(made)


def result_document(result: ExecutionResult, written: list[Path]) -> dict[str, Any]:
    """A result as plain JSON values; files by name and place, not by their bytes."""
    from dataclasses import fields

    document = {field.name: getattr(result, field.name) for field in fields(result)}
    paths: list[Path | None] = [*written] or [None] * len(result.artifacts)
    return document | {
        "artifacts": [
            {
                "name": made.name,
                "media_type": made.media_type,
                "size": made.size,
                "path": str(path) if path else None,
            }
            for made, path in zip(result.artifacts, paths, strict=True)
        ],
        "isolation": result.isolation.as_dict() if result.isolation else None,
        "failure": result.failure.as_dict() if result.failure else None,
        "issues": [issue.as_dict() for issue in result.issues],
    }
