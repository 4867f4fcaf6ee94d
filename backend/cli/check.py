"""``check``: what the static check has to say about a program; nothing is run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backend.cli.options import json_option, language_option, read_settings, read_text
from backend.cli.output import one_line, print_json, print_line

if TYPE_CHECKING:
    from backend.types import Language


@click.command("check")
@click.argument("script")
@language_option
@json_option
def command(script: str, language: Language | None, as_json: bool) -> int:
    """Say what the static check has against SCRIPT (- for stdin), one finding a line.

    Findings of severity `error` and `security` keep a program from running, and give exit
    status 1; `advice` does not. The check is advice to whoever wrote the program: what protects
    the machine is the sandbox.
    """
    settings = read_settings()
    from backend.cli.run import MAX_PROGRAM_BYTES, language_of

    code = read_text(script, max_bytes=MAX_PROGRAM_BYTES, what="program")
    from backend.sandbox.policy import blocking, check

    spoken = language or language_of(script)
    issues = check(code, spoken, allow_network=settings.allow_network)
    against = blocking(issues)
    if as_json:
        print_json({"success": not against, "issues": [issue.as_dict() for issue in issues]})
        return 1 if against else 0
    shown = "<stdin>" if script == "-" else script
    for issue in issues:
        where = f"{shown}:{issue.line}" if issue.line else shown
        click.echo(f"{where}: {issue.severity}: {one_line(issue.message)}")
    if not issues:
        print_line(f"{shown}: nothing found")
    return 1 if against else 0
