"""``route``: which agent a question would go to, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backend.cli.options import json_option, read_settings
from backend.cli.output import print_json

if TYPE_CHECKING:
    from backend.core.router import Route

_AGENTS = ("react", "plan_execute", "chat")


@click.command("route")
@click.argument("question")
@click.option("--files", "has_files", is_flag=True, help="As if files were attached.")
@json_option
def command(question: str, has_files: bool, as_json: bool) -> int:
    """Show which agent would get QUESTION (- for stdin), the scores and the terms that matched."""
    settings = read_settings()
    from backend.cli.question import read_question
    from backend.core.router import route

    asked = read_question(question, settings)
    chosen = route(asked, has_files=has_files, code_enabled=settings.enabled)
    if as_json:
        print_json(chosen.as_dict())
    else:
        _show(chosen)
    return 0


def _show(chosen: Route) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    runs = "a program will be run" if chosen.needs_code else "no program is needed"
    console.print(Text(f"{chosen.agent}  (confidence {chosen.confidence:g}, {runs})"))
    agents = Table("agent", "score")
    for name in _AGENTS:
        agents.add_row(name, f"{chosen.scores[name]:g}")
    classes = Table("class of terms", "score", "matched")
    for name, score in chosen.scores.items():
        if name not in _AGENTS:
            matched = ", ".join(chosen.matched_terms.get(name, []))
            classes.add_row(name, f"{score:g}", Text(matched))
    console.print(agents)
    console.print(classes)
