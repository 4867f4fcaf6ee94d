from __future__ import annotations

from typing import get_args

import pytest

from backend.api.steps import MAX_CHARS, status_of, step_of
from backend.types import Event, EventKind


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Event(kind="route", text="react, as asked"), "Agent: react, as asked\n"),
        (Event(kind="plan", text="1. a\n2. b"), "Plan:\n1. a\n2. b\n"),
        (Event(kind="code", text="print(1)\n"), "\n```python\nprint(1)\n```\n"),
        (Event(kind="output", text="1 ``` 2"), "\n````text\n1 ``` 2\n````\n"),
        (Event(kind="output", text=""), None),
        (Event(kind="text", text="words"), None),
        (Event(kind="answer", text="words"), None),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_a_step_is_a_few_readable_lines(event: Event, line: str | None) -> None:
    assert step_of(event) == line


@pytest.mark.parametrize("kind", get_args(EventKind))
def test_every_kind_of_event_can_be_shown(kind: EventKind) -> None:
    event = Event(kind=kind, text="x" * 10_000)
    assert len(step_of(event) or "") < MAX_CHARS + 100
    assert len(status_of(event) or "") <= 120
