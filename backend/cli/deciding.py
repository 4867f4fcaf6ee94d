"""``runs approve`` and ``runs reject``: the user's word about a program that waits, given later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from backend.cli.approving import edit_program, show_program
from backend.cli.delivery import read_delivery
from backend.cli.formatting import format_options
from backend.cli.options import json_option, output_options, quiet_option, read_settings
from backend.cli.output import print_line
from backend.cli.records import open_records
from backend.cli.resume import go_on, require_same, settings_of
from backend.cli.signals import run_async
from backend.errors import RequestError

if TYPE_CHECKING:
    from backend.config.settings import Settings
    from backend.store.run_records import Run
    from backend.tools.approval import ApprovalRequest, Decision


@click.command("approve")
@click.argument("reference", metavar="ID")
@click.option("--edit", is_flag=True, help="Change the program in an editor first.")
@format_options
@output_options
@quiet_option
@json_option
def approve(reference: str, edit: bool, **wanted: Any) -> int:
    """Let the program run that a run waits with, and go on with it.

    `runs show ID` shows the program. Its files have to lie where they lay, as they were.
    """
    from backend.tools.approval import Decision

    settings, delivery = read_settings(), read_delivery(**wanted)
    run, request = run_async(_waiting(settings, reference))
    decision = Decision(verdict="approve")
    if edit:
        code = edit_program(request)
        if code is None:
            raise RequestError("The program was not changed.", "Approve it without --edit.")
        decision = Decision(verdict="edit", code=code)
    settings = settings_of(run, settings)
    if not delivery.quiet:
        click.echo(show_program(request), err=True)
    return go_on(run_async(_decide(settings, run, decision)), settings, delivery)


@click.command("reject")
@click.argument("reference", metavar="ID")
@click.option("--note", default="", metavar="TEXT", help="Why.")
@format_options
@output_options
@quiet_option
@json_option
def reject(reference: str, note: str, **wanted: Any) -> int:
    """End a run without running the program it waits with; what was found before it is told."""
    from backend.tools.approval import Decision

    settings, delivery = read_settings(), read_delivery(**wanted)
    run, _ = run_async(_waiting(settings, reference))
    settings = settings_of(run, settings)
    decided = run_async(_decide(settings, run, Decision(verdict="reject", note=note)))
    if not delivery.quiet and not delivery.as_json:
        print_line(f"Rejected: {run.id}")
    return go_on(decided, settings, delivery)


async def _waiting(settings: Settings, reference: str) -> tuple[Run, ApprovalRequest]:
    """The run and its program.

    Raises:
        NotFound: there is no such run.
        RequestError: it waits for nothing.
    """
    from backend.tools.approval import pending_of

    async with open_records(settings) as records:
        run = await records.runs.find(reference, owner=records.owner)
    return run, pending_of(run)


async def _decide(settings: Settings, run: Run, decision: Decision) -> Run:
    """Record the decision, once it is known that the run can be gone on with.

    Raises:
        NotFound: a file of the run is gone.
        RequestError: a file, the model or a setting is another one now.
    """
    from backend.tools.approval import pending_of

    await require_same(settings, run)
    async with open_records(settings) as records:
        return await records.runs.waiting.decide(
            run.id, decision.as_dict(), owner=records.owner, about=pending_of(run).digest
        )
