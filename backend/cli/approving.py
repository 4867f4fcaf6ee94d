"""Asking on the terminal whether a program may run, and saying how to answer later."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from backend.cli.output import print_line
from backend.foreign_code import in_plain_sight

if TYPE_CHECKING:
    from backend.tools.approval import ApprovalRequest, Approver, Decision

_QUESTION = "Run it? [y]es, [n]o, [e]dit: "


def terminal_approver() -> Approver | None:
    """Asks whoever sits at the terminal; None where nobody does."""
    return _ask if sys.stdin.isatty() and sys.stderr.isatty() else None


async def _ask(request: ApprovalRequest) -> Decision | None:
    """None when the input ends: the program waits then."""
    from backend.tools.approval import Decision

    click.echo(f"\n{show_program(request)}\n", err=True)
    while True:
        click.echo(_QUESTION, err=True, nl=False)
        line = await _read_line()
        match line.strip().lower():
            case "y" | "yes":
                return Decision(verdict="approve")
            case "n" | "no":
                return Decision(verdict="reject")
            case "e" | "edit":
                code = await asyncio.to_thread(edit_program, request)
                if code is not None:
                    return Decision(verdict="edit", code=code)
        if not line:
            return None


async def _read_line() -> str:
    """A line from the terminal; '' at its end. No thread waits for it, so Ctrl-C is heard."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(0, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(0)
    return os.read(0, 4096).decode(errors="replace")


def edit_program(request: ApprovalRequest) -> str | None:
    """The program as it was saved in the editor; None where it was left as it is."""
    extension = ".py" if request.language == "python" else ".sh"
    changed = click.edit(request.code, extension=extension)
    return changed if changed and changed.strip() and changed != request.code else None


def show_program(request: ApprovalRequest) -> str:
    """The program with its line numbers, and what should be known of it."""
    lines = in_plain_sight(request.code).rstrip("\n").split("\n")
    numbered = [f"{number:>4}  {line}" for number, line in enumerate(lines, start=1)]
    reasons = [f"  - {in_plain_sight(reason)}" for reason in request.reasons]
    return "\n".join([*numbered, *(["", "What to know of it:", *reasons] if reasons else [])])


def tell_waiting(approval: Mapping[str, Any]) -> None:
    """Say on stderr how to decide about a program that waits."""
    run_id = approval["run_id"]
    print_line(
        f"`python-coder runs approve {run_id}` runs it, `python-coder runs reject {run_id}` "
        "ends it unrun."
    )
