"""``demo``: the main job end to end, shown as it happens."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from backend.cli.account import walls_text
from backend.cli.folder import OutputFolder
from backend.cli.options import json_option, quiet_option, read_settings
from backend.cli.output import clean, print_json
from backend.cli.signals import run_async
from backend.types import Emit, ignore_event

if TYPE_CHECKING:
    from backend.demo.play import Report, Show
    from backend.demo.scenes import Scene


@click.command("demo")
@click.option(
    "-o",
    "--output",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=Path("demo_output"),
    show_default=True,
    help="Where the plots and files go; those of the last demo are replaced.",
)
@quiet_option
@json_option
def command(folder: Path, quiet: bool, as_json: bool) -> int:
    """Ask real questions about real data, and show what becomes of them.

    The local Ollama model answers when it is there; else a recorded conversation does, and only
    the model's words are recorded: what is checked, run, repaired, plotted and written is real.
    Exit status 1 when anything did not come out as it must.
    """
    settings = read_settings()
    target = OutputFolder(folder, overwrite=True)

    from backend.demo.play import play

    show: Show = _Silent() if quiet or as_json else _Spoken()
    report = run_async(play(settings, show=show, keep=target.write))
    target.write("answers.md", _answers(report).encode())
    if as_json:
        print_json({"success": report.success, **asdict(report)})
    else:
        _summarise(report, target.path)
    return 0 if report.success else 1


class _Silent:
    """Nobody watches."""

    def say(self, text: str) -> None:
        """Nothing."""

    def scene(self, number: int, scene: Scene) -> AbstractContextManager[Emit]:
        """Nothing."""
        return nullcontext(ignore_event)

    def answer(self, text: str, account: str) -> None:
        """Nothing."""

    def problem(self, text: str) -> None:
        """Nothing."""


class _Spoken:
    """Everything on stdout: here the steps are what was asked for."""

    def say(self, text: str) -> None:
        """A line."""
        print(clean(text), flush=True)

    @contextmanager
    def scene(self, number: int, scene: Scene) -> Iterator[Emit]:
        """A heading, the question, and its steps."""
        from backend.cli.progress import open_progress

        agent = "" if scene.agent == "auto" else f"  [agent: {scene.agent}]"
        print(f"\n== {number}. {scene.title}\n>> {scene.question}{agent}", flush=True)
        with open_progress(stream=sys.stdout) as progress:
            yield progress

    def answer(self, text: str, account: str) -> None:
        """The answer, as ``ask`` shows it, and what it took."""
        from backend.cli.ask import show_answer

        print()
        show_answer(text)
        print(f"-- {account}", flush=True)

    def problem(self, text: str) -> None:
        """A failure."""
        print(f"!! {clean(text)}", flush=True)


def _answers(report: Report) -> str:
    """The questions and answers as a document beside the plots."""
    parts = [f"# What the demo answered\n\nModel: {report.model}."]
    for entry in report.played:
        plots = "\n".join(f"![{name}]({name})" for name in entry.files if name.endswith(".png"))
        parts += [f"## {entry.question}", entry.answer, *([plots] if plots else [])]
    return "\n\n".join(parts) + "\n"


def _summarise(report: Report, folder: Path) -> None:
    failed = [entry for entry in report.played if entry.problems]
    print(f"\nIn {_short(folder)}:")
    for path in [*map(Path, report.files), folder / "answers.md"]:
        print(f"  {path.name}")
    walls = walls_text(report.isolation)
    count = len(report.played)
    came_out = f"all {count} requests came out as they must"
    if failed:
        came_out = f"{len(failed)} of {count} requests did not come out as they must"
    print(f"{came_out}; model {report.model}, {walls}, {report.seconds:.1f} s", flush=True)


def _short(folder: Path) -> str:
    here = Path.cwd()
    return f"./{folder.relative_to(here)}" if folder.is_relative_to(here) else str(folder)
