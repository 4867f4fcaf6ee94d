"""Live progress: each step of a request as it happens, on a terminal or as plain lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, TYPE_CHECKING, Any, Protocol

from backend.cli.account import artifact_line
from backend.cli.output import clean, one_line

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.status import Status
    from rich.text import Text

    from backend.types import Event

_SHOWN_AS_THEY_RUN = frozenset(("python_coder", "run_python", "run_bash"))
"""Tools whose programs and outputs are shown; what is observed of them repeats these."""
_LINE = 150
"""Characters of a plain line."""
_BLOCK_LINES = 24
"""Lines of a program's output that are shown on the way."""
_DOING = {
    "route": "asking the model",
    "files": "asking the model",
    "thought": "asking the model",
    "plan": "working on the plan",
    "action": "the model writes the program",
    "code": "checking the program",
    "check": "asking the model to review the program",
    "review": "on with the program",
    "approval": "on with the program",
    "run": "running the program",
    "output": "asking the model",
    "repair": "the model repairs the program",
    "observation": "asking the model",
    "answer": "done",
}


class Progress(Protocol):
    """Somebody who watches a request."""

    def __call__(self, event: Event) -> None:
        """Tell of an event."""


def open_progress(
    *, quiet: bool = False, stream: IO[str] | None = None
) -> AbstractContextManager[Progress]:
    """The progress that fits the stream: rich on a terminal, short lines elsewhere, or none.

    Args:
        quiet: show nothing.
        stream: None for stderr.
    """
    if quiet:
        return _silent()
    target = sys.stderr if stream is None else stream
    return _live(target) if target.isatty() else _plain(target)


@contextmanager
def _silent() -> Iterator[Progress]:
    yield lambda event: None


@contextmanager
def _plain(stream: IO[str]) -> Iterator[Progress]:
    started = time.monotonic()
    repetitions = _Repetitions()

    def show(event: Event) -> None:
        if event.kind != "text" and not repetitions.has(event):
            seconds = time.monotonic() - started
            text = one_line(_summary(event), _LINE)
            print(f"{seconds:6.1f}s  {_label(event):<8}  {text}", file=stream, flush=True)

    yield show


class _Repetitions:
    """Which observations say no more than what was shown already."""

    def __init__(self) -> None:
        self._tools: dict[object, object] = {}

    def has(self, event: Event) -> bool:
        """Note an event; true for an observation whose program and output were shown."""
        step = event.data.get("step")
        if event.kind == "action":
            self._tools[step] = event.data.get("tool")
        return event.kind == "observation" and self._tools.get(step) in _SHOWN_AS_THEY_RUN


def _label(event: Event) -> str:
    return "result" if event.kind == "observation" else event.kind


def _summary(event: Event) -> str:
    """An event in a line."""
    data = event.data
    if event.kind == "code":
        lines = event.text.count("\n") + 1
        if data.get("tests"):
            return f"tests, {lines} lines"
        draft = data.get("iteration", 1)
        return f"{'first draft' if draft == 1 else f'version {draft}'}, {lines} lines"
    if event.kind == "artifact":
        return artifact_line(event.text, data.get("size", 0))
    if event.kind == "output" and "passed" in data:
        return f"tests: {event.text}"
    if event.kind == "output":
        first = next((line for line in event.text.splitlines() if line.strip()), "(nothing)")
        more = event.text.strip().count("\n")
        return f"{_ended(data)}: {first}" + (f" (and {more} lines more)" if more else "")
    if event.kind == "observation":
        first, *rest = event.text.strip().splitlines() or ["(nothing)"]
        return first + (f" (and {len(rest)} lines more)" if rest else "")
    if event.kind == "repair":
        first, *rest = event.text.splitlines() or [""]
        return first + (f" (and {len(rest)} more)" if rest else "")
    if event.kind == "action":
        return f"{data.get('tool', '')}: {event.text}"
    if event.kind == "answer":
        return "answered" if data.get("success", True) else "not answered"
    return event.text


def _ended(data: Any) -> str:
    seconds = f" in {data['duration_s']:.2f} s" if "duration_s" in data else ""
    if data.get("stopped_by"):
        return f"stopped by the {data['stopped_by']} limit{seconds}"
    return f"{'ran' if data.get('success') else 'failed'}{seconds}"


@contextmanager
def _live(stream: IO[str]) -> Iterator[Progress]:
    from rich.console import Console

    console = Console(file=stream, highlight=False)
    with console.status("starting", spinner="dots") as status:
        yield _Live(status)


class _Live:
    """Steps one below the other, and a status line that says what is being done."""

    def __init__(self, status: Status) -> None:
        self._status = status
        self._started = time.monotonic()
        self._words = ""
        self._repetitions = _Repetitions()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        from rich.text import Text

        if event.kind == "approval" and event.data["decision"] is None:
            self._status.stop()  # who is asked on this terminal writes below
        elif event.kind == "approval":
            self._status.start()
        if event.kind == "text":
            self._words = one_line(self._words + event.text)[-70:]
            self._status.update(Text(self._words))
            return
        if not self._repetitions.has(event):
            seconds = f"{time.monotonic() - self._started:6.1f}s  "
            for part in _parts(event, Text(seconds, style="dim")):
                self._status.console.print(part)
        if event.kind in _DOING:
            self._status.update(Text(_DOING[event.kind], style="dim"))


_STYLES = {
    "route": "cyan",
    "plan": "cyan",
    "action": "cyan",
    "repair": "yellow",
    "artifact": "magenta",
    "answer": "bold green",
}


def _parts(event: Event, seconds: Text) -> list[RenderableType]:
    """An event as rich shows it: a head line, and the program or its output below."""
    from rich.syntax import Syntax
    from rich.text import Text

    style = "red" if _is_bad(event) else _STYLES.get(event.kind, "default")
    label = seconds + Text(f"{_label(event):<9}", style=f"bold {style}")
    if event.kind == "code":
        program = Syntax(
            clean(event.text), "python", line_numbers=True, theme="ansi_dark", word_wrap=True
        )
        return [_beside(label, Text(_summary(event))), _beside(Text(" " * 9), program)]
    if event.kind == "output" and "passed" not in event.data:
        head = _beside(label, Text(_ended(event.data), style=style))
        return [head, _beside(Text(" " * 9), Text(_block(event.text)))]
    if event.kind == "observation":
        return [_beside(label, Text(_block(event.text), style=style))]
    return [_beside(label, Text(clean(_summary(event)).strip(), style=style))]


def _beside(label: Text, content: RenderableType) -> RenderableType:
    """A label, and what it is about in a column of its own, so that long lines wrap below it."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(label, content)
    return grid


def _is_bad(event: Event) -> bool:
    if event.kind == "check":
        return any(issue.get("severity") != "advice" for issue in event.data.get("issues", ()))
    succeeded = event.data.get("passed", event.data.get("success", True))
    return event.kind in ("output", "answer") and not succeeded


def _block(text: str) -> str:
    lines = clean(text).rstrip().splitlines()
    left = len(lines) - _BLOCK_LINES
    shown = lines if left <= 0 else [*lines[:_BLOCK_LINES], f"... {left} more lines"]
    return "\n".join(shown)
