"""Events as the lines a watching person reads: thoughts in the stream, a status in a front end."""

from __future__ import annotations

from backend.prompts.texts import cut_line
from backend.types import Event, EventKind

MAX_CHARS = 4000
"""Characters of one step; the whole of it is in the answer's metadata."""
_STATUS_CHARS = 120

_TITLES: dict[EventKind, str] = {
    "route": "Agent",
    "plan": "Plan",
    "thought": "Thought",
    "action": "Task",
    "observation": "Result",
    "files": "Files",
    "check": "Check",
    "review": "Review",
    "approval": "Approval",
    "run": "Run",
    "repair": "Repair",
    "artifact": "Wrote",
}
_STATUSES: dict[EventKind, str] = {
    "route": "Choosing how to answer",
    "plan": "Planning",
    "action": "Working on a step",
    "files": "Looking into the files",
    "code": "Checking the program",
    "review": "Reviewing the program",
    "approval": "Waiting for your approval",
    "run": "Running the program",
    "output": "Reading the output",
    "repair": "Repairing the program",
}
_FENCED: dict[EventKind, str] = {"code": "python", "output": "text"}


def step_of(event: Event) -> str | None:
    """A step as markdown; None for what is told otherwise."""
    text = event.text.strip()
    if len(text) > MAX_CHARS:
        text = f"{text[:MAX_CHARS]}\n[...]"
    if event.kind in _FENCED:
        fence = "`" * max(3, _longest_run_of_ticks(text) + 1)
        return f"\n{fence}{_FENCED[event.kind]}\n{text}\n{fence}\n" if text else None
    title = _TITLES.get(event.kind)
    if title is None or not text:
        return None
    between = "\n" if "\n" in text else " "
    return f"{title}:{between}{text}\n"


def status_of(event: Event) -> str | None:
    """A few words on what is being done; None when nothing new is."""
    if event.kind == "action" and event.text:
        return cut_line(" ".join(event.text.split()), _STATUS_CHARS)
    return _STATUSES.get(event.kind)


def _longest_run_of_ticks(text: str) -> int:
    longest = run = 0
    for character in text:
        run = run + 1 if character == "`" else 0
        longest = max(longest, run)
    return longest
