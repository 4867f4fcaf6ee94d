"""docs/events.md: a user interface of one's own gets every event, and the page names them all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from backend.config.settings import load_settings
from backend.core.assistant import open_assistant
from backend.core.requests import Ask
from backend.types import Event, EventKind
from tests.commands import needs_sandbox
from tests.scripts import APPROVE, act, generate, plan, repair, use_script
from tests.scripts import answer as answered

PAGE = (Path(__file__).parents[1] / "docs" / "events.md").read_text(encoding="utf-8")


def test_the_page_names_every_kind_and_no_other() -> None:
    told = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(told) == sorted(get_args(EventKind))


@pytest.mark.sandbox
@needs_sandbox
def test_the_example_runs_as_it_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [act("run_python", "print(6 * 7)"), act("finish", "It is 42.")]
    use_script(monkeypatch, tmp_path / "script.jsonl", *lines)
    (example,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    exec(compile(example, "events.md", "exec"), {"__name__": "example"})
    kinds = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert kinds[0] == "route"
    assert kinds[-1] == "answer"
    assert {"thought", "action", "code", "run", "output", "observation"} <= set(kinds)


@pytest.mark.sandbox
@needs_sandbox
async def test_an_object_of_ones_own_gets_every_kind_of_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = "open('made.txt', 'w').write('x')\nprint('made')"
    lines: list[dict[str, Any]] = [
        act("python_coder", "Make a file"),
        generate("import pands\n" + made),
        repair(made, repeat=True),
        APPROVE,
        act("finish", "It is made."),
        plan(("python_coder", "Say it")),
        generate("eval('1')"),
        answered("Said."),
        {"stage": "chat", "reply": "Hello."},
    ]
    use_script(monkeypatch, tmp_path / "script.jsonl", *lines)
    (tmp_path / "in.csv").write_text("a\n1\n", encoding="utf-8")

    class Screen:
        def __init__(self) -> None:
            self.seen: list[Event] = []

        def __call__(self, event: Event) -> None:
            self.seen.append(event)

    screen = Screen()
    async with open_assistant(load_settings()) as assistant:
        files = {"in.csv": tmp_path / "in.csv"}
        react = Ask(question="Make a file", agent_type="react", files=files, approve="always")
        await assistant.run(react, screen, lambda _: True)
        await assistant.run(Ask(question="Say it", agent_type="plan_execute"), screen)
        await assistant.run(Ask(question="Hello", agent_type="chat"), screen)
    assert {event.kind for event in screen.seen} == set(get_args(EventKind))
