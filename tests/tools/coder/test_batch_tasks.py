"""Many tasks in one call: one result each, in their order, whatever becomes of the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backend.tools.coder.task import Options
from backend.tools.python_coder_tool import open_tool, python_coder_tool
from tests.scripts import APPROVE, generate
from tests.solving import GOOD, Play, require_documented

pytestmark = pytest.mark.sandbox


@pytest.mark.parametrize("parallel", [1, 3])
async def test_one_failure_stops_nothing_else(play: Play, tmp_path: Path, parallel: int) -> None:
    data = tmp_path / "a.csv"
    data.write_text("x\n1\n2\n")
    play(
        generate("print('one')", when="Task one"),
        generate("print(1 / 0)", when="Task two"),
        generate("import socket", when="Task three"),
        generate("x = 7\nprint(x)", when="Task five"),
        generate("print(open('a.csv').read())", when="Task six"),
        *GOOD,
    )
    never = Options(max_retries=0, max_iterations=0)
    tasks: list[dict[str, Any]] = [
        {"query": "Task one"},
        {"query": "Task two", "options": never},
        {"query": "Task three", "options": never},
        {"query": "Task four", "file_paths": ["absent.csv"]},
        {"query": "Task five", "options": Options(outputs={"x": int})},
        {"query": "Task six", "file_paths": [str(data)]},
        {"query": ""},
    ]
    results = await python_coder_tool.execute_code_tasks(tasks, parallel=parallel)
    kinds = [result["error_kind"] for result in results]
    assert kinds == [None, "program", "policy", "input", None, None, "input"]
    for result in results:
        require_documented(result)
    assert results[0]["output"] == "one\n"
    assert results[4]["outputs"] == {"x": 7}
    assert results[5]["output"] == "x\n1\n2\n\n"


async def test_a_wrong_argument_stops_nothing_else(play: Play) -> None:
    play(generate("print('fine')"), *GOOD)
    tasks: list[dict[str, Any]] = [
        {"query": 5},
        {"query": "q", "nonsense": True},
        {},
        {"query": "Fine"},
    ]
    results = await python_coder_tool.execute_code_tasks(tasks, parallel=1)
    assert [result["success"] for result in results] == [False, False, False, True]
    assert [result["error_kind"] for result in results[:3]] == ["input"] * 3
    assert "query" in results[0]["error"]
    assert "nonsense" in results[1]["error"]
    for result in results:
        require_documented(result)


async def test_nothing_in_nothing_out() -> None:
    assert await python_coder_tool.execute_code_tasks([]) == []


async def test_a_batch_of_a_tool_that_is_open(play: Play) -> None:
    play(*(generate(f"print({n})", when=f"Number {n}") for n in range(4)), APPROVE, GOOD[1])
    async with open_tool() as tool:
        tasks = [{"query": f"Number {n}"} for n in range(4)]
        results = await tool.execute_code_tasks(tasks, parallel=4)
        assert [result["output"] for result in results] == [f"{n}\n" for n in range(4)]
        assert (await tool.execute_code_task("Number 2"))["cached"] is True
