"""``code``: a request straight to the loop that writes, checks, runs and repairs; no agent."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backend.cli.account import task_line
from backend.cli.approving import show_program, tell_waiting, terminal_approver
from backend.cli.ask import WAITING
from backend.cli.delivery import Delivery, read_delivery, with_paths
from backend.cli.formatting import format_options, tell
from backend.cli.options import (
    approve_option,
    files_option,
    folder_options,
    json_option,
    model_options,
    notebook_option,
    quiet_option,
    read_model_settings,
)
from backend.cli.output import for_terminal, headline, print_json, print_line
from backend.cli.question import read_question
from backend.cli.signals import run_async
from backend.cli.wishes import read_context, read_options, wish_options

if TYPE_CHECKING:
    from backend.config.settings import Settings
    from backend.tools.coder.formats import Form
    from backend.tools.coder.report import Section
    from backend.tools.coder.task import Options
    from backend.types import ApprovalMode, ErrorKind

_EXIT_STATUS: Mapping[ErrorKind, int] = {
    "input": 2,
    "disabled": 2,
    "model": 3,
    "sandbox": 3,
    "waiting": WAITING,
}
"""What is none of these is a run that failed: 1."""


@click.command("code")
@click.argument("request")
@files_option
@wish_options
@approve_option
@model_options
@format_options
@notebook_option
@folder_options
@quiet_option
@json_option
def command(
    request: str,
    files: tuple[str, ...],
    context: str,
    approve: ApprovalMode | None,
    no_cache: bool,
    model: str | None,
    form: Form | None,
    with_: tuple[str, ...],
    without: tuple[str, ...],
    notebook: Path | None,
    folder: Path | None,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
    **wishes: Any,
) -> int:
    """Write, check, run and repair a program that does REQUEST (- for stdin).

    No agent stands between: what the program prints and the outputs that were declared go to
    stdout as they are, everything else to stderr. Plots and files that were made are written with
    -o DIR only.
    """
    settings, named = read_model_settings(model)
    asked = read_question(request, settings)
    background = read_context(context)
    options = read_options(**wishes)
    delivery = read_delivery(
        form=form,
        with_=with_,
        without=without,
        folder=folder,
        overwrite=overwrite,
        notebook=notebook,
        quiet=quiet,
        as_json=as_json,
    )
    work = solve(
        settings,
        asked,
        delivery,
        background=background,
        files=files,
        options=options,
        model=named,
        use_cache=settings.cache and not no_cache,
        approve=approve or settings.approve,
    )
    result, written = run_async(work)
    return tell_result(result, written, delivery)


async def solve(
    settings: Settings,
    request: str,
    delivery: Delivery,
    *,
    files: Sequence[str],
    options: Options,
    use_cache: bool,
    approve: ApprovalMode = "off",
    background: str = "",
    inputs: Mapping[str, Any] | None = None,
    model: str | None = None,
) -> tuple[dict[str, Any], list[Path]]:
    """The result of ``execute_code_task``, and where its files were written."""
    from backend.cli.progress import open_progress
    from backend.store.blobs import BlobStore
    from backend.tools.python_coder_tool import PythonCoderTool
    from backend.tools.python_executor_engine import place_files

    placed = place_files(files, settings)
    asking = terminal_approver() if approve != "off" else None
    with open_progress(quiet=delivery.quiet or delivery.as_json) as progress:
        result = await PythonCoderTool(settings).execute_code_task(
            request,
            background,
            list(files),
            options=options,
            inputs=inputs,
            model=model,
            use_cache=use_cache,
            approve=approve,
            approver=asking,
            emit=progress,
        )
    blobs = BlobStore.of(settings)
    return result, await delivery.write(result, blobs, request=request, files=[*placed])


def tell_result(result: Mapping[str, Any], written: list[Path], delivery: Delivery) -> int:
    """Tell the result of a task as it is wanted; returns the exit status."""
    from backend.tools.approval import request_of

    status = 0 if result["success"] else _EXIT_STATUS.get(result["error_kind"], 1)
    document = {
        **result,
        "artifacts": with_paths(result["artifacts"], written),
        "written": [str(path) for path in written],
        "exit_status": status,
    }
    if delivery.as_json:
        print_json(document | delivery.named())
        return status
    if delivery.telling is None:
        _show(result)
    else:
        tell(document, delivery.telling)
    if result["approval"]:
        click.echo(show_program(request_of(result["approval"])), err=True)
        tell_waiting(result["approval"])
    elif result["error"]:
        print_line(f"Error: {headline(result['error'])}")
    if not delivery.quiet:
        if result["improvement"]:
            from backend.tools.coder.report import improvement_line

            print_line(improvement_line(result["improvement"]))
        for note in result["notes"]:
            print_line(note)
        delivery.tell_files(document["artifacts"], written)
        if result["attempts"] or result["calls"]:
            print_line(task_line(result))
    return status


def _show(result: Mapping[str, Any]) -> None:
    """What the program printed, or its value, and the declared outputs; its stderr as such."""
    printed = result["output"] or (f"{result['value']}\n" if result["value"] is not None else "")
    sys.stdout.write(for_terminal(printed, sys.stdout))
    if printed and not printed.endswith("\n"):
        sys.stdout.write("\n")
    if result["outputs"]:
        from backend.tools.coder.formats import format_result

        section: tuple[Section, ...] = ("answer",)
        table = format_result({"outputs": result["outputs"]}, "plain", section)
        sys.stdout.write(f"\n{table}" if printed else table)
    sys.stdout.flush()
    if result["attempts"]:
        sys.stderr.write(for_terminal(result["attempts"][-1]["stderr"], sys.stderr))
        sys.stderr.flush()
