from __future__ import annotations

import io

from backend.cli.progress import open_progress
from backend.types import Event

EVENTS = [
    Event(kind="route", text="react, because of: csv"),
    Event(kind="action", text="Count the rows", data={"tool": "python_coder"}),
    Event(kind="code", text="import os\nprint(1)", data={"iteration": 1}),
    Event(kind="check", text="- line 1: no", data={"issues": [{"severity": "security"}]}),
    Event(kind="repair", text="Rewriting: - line 1: no"),
    Event(kind="code", text="print(1)", data={"iteration": 2}),
    Event(kind="run", text="Running the program"),
    Event(
        kind="output",
        text="KeyError: 'x'\nTraceback\nmore",
        data={"success": False, "stopped_by": None, "duration_s": 0.5},
    ),
    Event(kind="output", text="", data={"success": True, "stopped_by": None, "duration_s": 1}),
    Event(kind="artifact", text="plot.png", data={"size": 12_345}),
    Event(kind="observation", text="hidden"),
    Event(kind="text", text="some words "),
    Event(kind="answer", text="It is 1.", data={"success": True}),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, *events: Event, quiet: bool = False) -> str:
    with open_progress(stream=stream, quiet=quiet) as progress:
        for event in events:
            progress(event)
    return stream.getvalue()


def test_without_a_terminal_each_step_is_a_short_line() -> None:
    lines = shown(io.StringIO(), *EVENTS).splitlines()
    assert len(lines) == len(EVENTS) - 2
    assert all(len(line) < 180 for line in lines)
    text = "\n".join(lines)
    assert "\x1b" not in text
    assert "python_coder: Count the rows" in text
    assert "first draft, 2 lines" in text
    assert "version 2, 1 lines" in text
    assert "failed in 0.50 s: KeyError: 'x' (and 2 lines more)" in text
    assert "ran in 1.00 s: (nothing)" in text
    assert "plot.png (12.3 kB)" in text
    assert "hidden" not in text


def test_on_a_terminal_the_program_and_its_output_are_shown() -> None:
    text = shown(Terminal(), *EVENTS)
    assert "import" in text
    assert "KeyError: 'x'" in text
    assert "hidden" not in text


def test_what_another_tool_said_is_shown() -> None:
    events = (
        Event(kind="action", text="Count the rows", data={"tool": "python_coder", "step": "1"}),
        Event(kind="action", text="Oslo", data={"tool": "rainfall", "step": "2"}),
        Event(kind="observation", text="Oslo: 812 mm\nmeasured", data={"step": "2"}),
        Event(kind="observation", text="hidden", data={"step": "1"}),
    )
    assert "result    Oslo: 812 mm (and 1 lines more)" in shown(io.StringIO(), *events)
    for stream in (io.StringIO(), Terminal()):
        text = shown(stream, *events)
        assert "Oslo: 812 mm" in text
        assert "hidden" not in text
    assert "measured" in text


def test_quiet_shows_nothing() -> None:
    assert shown(Terminal(), *EVENTS, quiet=True) == ""


def test_a_program_cannot_steer_the_terminal() -> None:
    hostile = "\x1b]0;title\x07\x1b[2J\x9b31m [bold]not markup[/bold] [/nonsense]"
    for kind in ("output", "code", "artifact", "thought", "route", "text", "observation"):
        for stream in (io.StringIO(), Terminal()):
            text = shown(stream, Event(kind=kind, text=hostile))  # type: ignore[arg-type]
            assert "\x1b]0" not in text
            assert "\x07" not in text
            assert "\x1b[2J" not in text
            assert "\x9b" not in text
            if kind not in ("code", "text"):
                assert "[bold]not markup[/bold]" in text
