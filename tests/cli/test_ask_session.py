"""``ask --session``: words and files of a conversation are there for the next command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands import needs_sandbox, run
from tests.scripts import APPROVE, act, generate, use_script

LOOKS = (
    "import os\nprint(sorted(os.listdir('.')), 'x' in globals())\nprint(open('kept.txt').read())"
)


@pytest.mark.sandbox
@needs_sandbox
def test_words_and_files_carry_over_and_variables_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prices: Path
) -> None:
    def play(*lines: dict[str, Any]) -> None:
        use_script(monkeypatch, tmp_path / "script.jsonl", *lines)

    play(
        act("python_coder", "Write it"),
        generate("x = 1\nopen('kept.txt', 'w').write('of turn one')\nprint('written')"),
        APPROVE,
        act("finish", "It is written."),
    )
    first = run("ask", "Write it", "-f", prices, "--agent", "react", "--session", "mine", "-q")
    assert (first.status, first.out) == (0, "It is written.\n")
    play(
        act("python_coder", "Read it", when="(?s)user: Write it.*assistant: It is written."),
        generate(LOOKS, when=r"(?s)into the working directory: kept\.txt"),
        APPROVE,
        act("finish", "It is read."),
    )
    second = run("ask", "Read it", "--agent", "react", "--session", "mine", "--json")
    assert second.status == 0, second.err
    result = json.loads(second.out)["python_coder_results"][-1]
    assert result["output"] == "['kept.txt', 'prices.csv'] False\nof turn one\n"
    assert "began afresh" in result["notes"][0]


@pytest.mark.sandbox
@needs_sandbox
def test_another_conversation_knows_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = {"stage": "chat", "reply": "Hello.", "repeat": True}
    use_script(monkeypatch, tmp_path / "script.jsonl", line)
    assert run("ask", "Hello, I am Ada", "--agent", "chat", "--session", "a", "-q").status == 0
    other = {"stage": "chat", "reply": "Ada", "when": "I am Ada"}
    use_script(monkeypatch, tmp_path / "script.jsonl", other)
    assert run("ask", "Who am I?", "--agent", "chat", "--session", "b", "-q").status != 0
    use_script(monkeypatch, tmp_path / "script.jsonl", other)
    assert run("ask", "Who am I?", "--agent", "chat", "--session", "a", "-q").out == "Ada\n"


def test_a_name_that_cannot_be_one_is_refused() -> None:
    done = run("ask", "Hello", "--session", "../x")
    assert done.status == 2
    assert "cannot be a session id" in done.err
