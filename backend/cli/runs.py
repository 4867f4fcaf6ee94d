"""``runs``: what was asked before, and its programs run again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backend.cli.account import files_line
from backend.cli.again import again
from backend.cli.deciding import approve, reject
from backend.cli.folder import OutputFolder
from backend.cli.formatting import Telling, format_options, read_telling, tell
from backend.cli.options import json_option, output_options, read_settings
from backend.cli.output import one_line, print_json, print_line
from backend.cli.records import open_records, run_document, write_artifacts
from backend.cli.resume import resume
from backend.cli.run_notebook import notebook
from backend.cli.signals import run_async

if TYPE_CHECKING:
    from backend.store.run_records import Run, RunPage, RunStatus, RunSummary
    from backend.tools.coder.formats import Form

_ID_CHARS = 12
"""Of an id in a list: enough to tell it from others, and to be given back."""
_STATUSES = ["queued", "running", "waiting", "completed", "failed", "cancelled", "interrupted"]


@click.group("runs")
def command() -> None:
    """Look at what was asked before, go on with it, and run its programs again without a model.

    Every request that leads to a program is recorded. An ID may be abbreviated, or be the name a
    run was saved under. Each command has --json.
    """


command.add_command(again)
command.add_command(approve)
command.add_command(notebook)
command.add_command(reject)
command.add_command(resume)


@command.command("list")
@click.option("--status", type=click.Choice(_STATUSES), help="Only those that stand so.")
@click.option("--saved", is_flag=True, help="Only those that were saved under a name.")
@click.option("--after", metavar="ID", help="Those older than this one.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many."
)
@json_option
def list_runs(
    status: RunStatus | None, saved: bool, after: str | None, limit: int, as_json: bool
) -> int:
    """List runs, the newest first."""
    settings = read_settings()

    async def work() -> RunPage:
        async with open_records(settings) as records:
            owner = records.owner
            last = await records.runs.find(after, owner=owner) if after else None
            return await records.runs.page(
                owner=owner,
                status=status,
                saved=saved,
                after=last.id if last else None,
                limit=limit,
            )

    page = run_async(work())
    if as_json:
        from dataclasses import asdict

        print_json({"runs": [asdict(run) for run in page.runs], "has_more": page.has_more})
        return 0
    for run in page.runs:
        click.echo(_summary_line(run))
    if any(run.status == "interrupted" for run in page.runs):
        print_line("`python-coder runs resume ID` goes on with one that was interrupted.")
    if any(run.status == "waiting" for run in page.runs):
        print_line(
            "`python-coder runs approve ID` and `runs reject ID` decide about one that waits."
        )
    if page.has_more:
        print_line(f"There are more: --after {page.runs[-1].id[:_ID_CHARS]}")
    if not page.runs:
        where = "DATABASE_URL" if settings.database_url else f"{settings.data_dir.absolute()}"
        print_line(
            f"There are none of this machine's own in {where}; API keys see theirs over HTTP."
        )
    return 0


def _summary_line(run: RunSummary) -> str:
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created_at))
    name = f"[{run.name}] " if run.name else ""
    words = one_line(name + run.request, 80)
    return f"{run.id[:_ID_CHARS]}  {began}  {run.status:<11}  {words}"


@command.command("show")
@click.argument("reference", metavar="ID")
@format_options
@output_options
@json_option
def show(
    reference: str,
    form: Form | None,
    with_: tuple[str, ...],
    without: tuple[str, ...],
    folder: Path | None,
    overwrite: bool,
    as_json: bool,
) -> int:
    """Show a run: what was asked, its program and what came of it.

    Its plots and files are written with -o DIR.
    """
    telling = read_telling(form, with_, without, as_json=as_json)
    target = OutputFolder(folder, overwrite=overwrite) if folder else None

    async def work() -> tuple[Run, list[Path]]:
        async with open_records(read_settings()) as records:
            run = await records.runs.find(reference, owner=records.owner)
            return run, await write_artifacts(records.blobs, run.result or {}, target)

    run, written = run_async(work())
    if as_json:
        print_json(run_document(run))
    else:
        _show(run, telling)
        if target is not None:
            print_line(files_line([path.name for path in written], written, target.path))
    return 0


def _show(run: Run, telling: Telling | None) -> None:
    if telling is None:
        click.echo(_summary_line(run))
        click.echo()
        telling = Telling(form="plain", sections=("answer", "code", "files"))
    if run.result is not None:
        tell(run.result, telling)


@command.command("save")
@click.argument("reference", metavar="ID")
@click.argument("name")
@json_option
def save(reference: str, name: str, as_json: bool) -> int:
    """Save a run's program under NAME: it is found by it, and never pruned."""

    async def work() -> Run:
        from backend.tools.coder.solutions import save_solution

        async with open_records(read_settings()) as records:
            return await save_solution(records.runs, reference, name, owner=records.owner)

    run = run_async(work())
    _report({"success": True, "id": run.id, "name": run.name}, f"Saved as {run.name!r}.", as_json)
    return 0


@command.command("delete")
@click.argument("reference", metavar="ID")
@json_option
def delete(reference: str, as_json: bool) -> int:
    """Forget a run, and the files it made."""

    async def work() -> str:
        async with open_records(read_settings()) as records:
            run = await records.runs.find(reference, owner=records.owner)
            await records.forget(await records.runs.delete(run.id, owner=records.owner))
            return run.id

    run_id = run_async(work())
    _report({"success": True, "id": run_id}, f"Forgotten: {run_id}", as_json)
    return 0


@command.command("prune")
@click.option(
    "--keep",
    type=click.IntRange(0),
    default=1000,
    show_default=True,
    help="How many of the newest stay.",
)
@json_option
def prune(keep: int, as_json: bool) -> int:
    """Forget old runs, but none that was saved, is still running or waits."""

    async def work() -> int:
        async with open_records(read_settings()) as records:
            forgotten = await records.runs.prune(keep, owner=records.owner)
            await records.forget(forgotten)
            return forgotten.count

    count = run_async(work())
    _report({"success": True, "pruned": count}, f"Forgotten: {count} runs", as_json)
    return 0


def _report(document: dict[str, Any], line: str, as_json: bool) -> None:
    if as_json:
        print_json(document)
    else:
        print_line(line)
