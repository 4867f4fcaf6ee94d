"""Which language a task is worked on in, and Bash through the whole loop."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.errors import RequestError
from backend.tools.coder.task import Options
from backend.tools.languages import language_of
from tests.ollama_server import OllamaServer
from tests.scripts import APPROVE, ASSESS, generate, program
from tests.solving import GOOD, Play, prompts_of, solve

pytestmark = pytest.mark.sandbox

SCRIPT = """\
total=0
for name in *.csv; do
  lines=$(wc -l < "$name")
  total=$((total + lines))
  cat <<EOT
$name: $lines
EOT
done
echo "total: $total"\
"""


def bash(code: str, stage: str = "generate", **more: object) -> dict[str, object]:
    return {"stage": stage, "reply": f"Count.\n\n```bash\n{code}\n```", **more}


@pytest.fixture
def tables(tmp_path: Path) -> list[str]:
    for name, text in (("a.csv", "x\n1\n2\n"), ("b.csv", "x\n3\n")):
        (tmp_path / name).write_text(text)
    return [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]


async def test_a_task_for_the_shell_becomes_a_script_with_all_its_lines(
    play: Play, tables: list[str]
) -> None:
    play(bash(SCRIPT, when="You write one Bash script"), *GOOD)
    result = await solve("List the files and count their lines", file_paths=tables)
    assert (result["language"], result["code"]) == ("bash", SCRIPT)
    assert result["output"] == "a.csv: 3\nb.csv: 2\ntotal: 5\n"
    assert result["packages"] == []


async def test_primes_are_a_matter_for_python(play: Play) -> None:
    play(generate("print([2, 3, 5, 7])", when="You write one Python program"), *GOOD)
    result = await solve("Print the primes up to 10")
    assert (result["language"], result["output"]) == ("python", "[2, 3, 5, 7]\n")


async def test_a_language_that_was_chosen_by_the_request_may_be_changed_by_the_model(
    play: Play, tables: list[str]
) -> None:
    play(generate("import os\nprint(sorted(os.listdir()))"), *GOOD)
    result = await solve("List the files in this folder", file_paths=tables)
    assert (result["language"], result["output"]) == ("python", "['a.csv', 'b.csv']\n")


async def test_a_language_that_was_asked_for_is_kept_to(play: Play, tables: list[str]) -> None:
    play(
        generate("print('python')"),
        bash("ls", when="no whole Bash script"),
        *GOOD,
    )
    result = await solve("Do it", file_paths=tables, language="bash")
    assert (result["language"], result["output"]) == ("bash", "a.csv\nb.csv\n")
    assert result["usage"]["by_stage"]["generate"]["calls"] == 2


async def test_python_that_was_asked_for_is_kept_to_where_the_request_sounds_of_bash(
    play: Play,
) -> None:
    play(bash("ls"), generate("print('as asked')", when="no whole Python program"), *GOOD)
    result = await solve("List the files in this folder", language="python")
    assert (result["language"], result["output"]) == ("python", "as asked\n")


async def test_a_script_that_fails_is_repaired_as_bash(server: OllamaServer) -> None:
    server.add(
        {"reply": "Look.\n```bash\ncat absent.txt\n```"},
        {"reply": APPROVE["reply"]},
        {"reply": "It is not there.\n```bash\necho none\n```"},
        {"reply": ASSESS["reply"]},
    )
    result = await solve("Show absent.txt with a bash script")
    assert (result["success"], result["output"]) == (True, "none\n")
    assert "absent.txt" in result["attempts"][0]["diagnosis"]["root_cause"]
    repairing = prompts_of(server)[2]
    assert "You repair one Bash script" in repairing
    assert "```bash\ncat absent.txt\n```" in repairing
    assert "```python" not in repairing


async def test_the_script_that_was_given_up_is_shown_as_bash(server: OllamaServer) -> None:
    server.add(
        {"reply": "```bash\ncat first.txt\n```"},
        {"reply": APPROVE["reply"]},
        {"reply": "```bash\ncat second.txt\n```"},
        {"reply": "```bash\necho third\n```"},
        {"reply": ASSESS["reply"]},
    )
    assert (await solve("Show it with a bash script"))["output"] == "third\n"
    assert "Attempt 1\n```bash\ncat first.txt\n```" in prompts_of(server)[3]


@pytest.mark.parametrize(
    "asked",
    [
        {"outputs": {"count": int}},
        {"tests": "def test_it():\n    import solution\n    assert solution.count == 2"},
        {"constraints": ("count > 1",), "outputs": {"count": int}},
        {"write_tests": True},
    ],
    ids=lambda asked: next(iter(asked)),
)
async def test_what_only_python_can_be_held_to_speaks_for_python(
    play: Play, asked: dict[str, object]
) -> None:
    check = "def test_count():\n    import solution\n    assert solution.count == 2"
    play(
        generate("count = 2\nprint(count)", when="You write one Python program"),
        {"stage": "tests", "reply": program(check)},
        *GOOD,
    )
    result = await solve("List the files in this folder", **asked)
    assert (result["success"], result["language"]) == (True, "python")
    with pytest.raises(RequestError, match="only a Python program") as caught:
        Options(language="bash", **asked)  # type: ignore[arg-type]
    assert caught.value.param == "language"


async def test_variables_speak_for_python(play: Play) -> None:
    play(generate("print(sum(sizes))", when="You write one Python program"), *GOOD)
    result = await solve("Show the disk usage of the files", inputs={"sizes": [1, 2]})
    assert (result["language"], result["output"]) == ("python", "3\n")


async def test_a_script_sees_plain_variables_in_its_environment(play: Play) -> None:
    play(bash('echo "$greeting, $names"'), *GOOD)
    result = await solve(language="bash", inputs={"greeting": "Hi", "names": ["a", 1]})
    assert result["output"] == 'Hi, ["a", 1]\n'


@pytest.mark.parametrize(
    ("code", "language"),
    [
        ("import os\nprint(os.getcwd())", "python"),
        ("x = 1", "python"),
        ("#!/bin/bash\nls", "bash"),
        ("#!/usr/bin/env bash\nls", "bash"),
        ("#!/usr/bin/env python3\nprint(1", "python"),
        ("ls -la", None),
        ("for f in *; do echo $f; done", None),
        ("", None),
    ],
)
def test_the_language_of_a_program(code: str, language: str | None) -> None:
    assert language_of(code) == language


async def test_a_given_program_stays_in_its_language(play: Play) -> None:
    play(generate("print(2)", when="You write one Python program"), *GOOD)
    result = await solve("Make this shell script faster", code="print(1 + 1)", focus="optimise")
    assert (result["language"], result["improvement"]["same_output"]) == ("python", True)
