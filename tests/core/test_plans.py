from __future__ import annotations

import json

import pytest

from backend.core import plans
from backend.llm.asking import Unreadable
from backend.tools.registry import CODER
from backend.tools.toolbox import Toolbox


def read_plan(reply: str) -> list[plans.PlanStep]:
    return plans.read_plan(reply, Toolbox([CODER])).steps


def tools_of(reply: str) -> list[str]:
    return [step["tool"] for step in read_plan(reply)]


@pytest.mark.parametrize(
    ("reply", "tools"),
    [
        ('{"steps": [{"id": "s1", "task": "a", "tool": "python_coder"}]}', ["python_coder"]),
        ('<think>x</think>{"steps": [{"task": "a", "tool": "coder"}]}', ["python_coder"]),
        ('Plan:\n```json\n{"steps": [{"task": "a", "tool": "none"}]}\n```', ["none"]),
        ("1. [python_coder] load it\n2. [none] explain it", ["python_coder", "none"]),
        ("Step 1: [coder] load it\nStep 2) plot it", ["python_coder", "python_coder"]),
        ('{"plan": ["load it", "plot it"]}', ["python_coder", "python_coder"]),
        ('{"steps": [{"task": "find", "tool": "web_search"}]}', ["web_search"]),
    ],
)
def test_plans_are_read_in_every_form(reply: str, tools: list[str]) -> None:
    assert tools_of(reply) == tools


@pytest.mark.parametrize(
    "task",
    [
        "Answer from memory; no python_coder needed",
        "Put it into context and document it",
        "Do not generate code for this",
    ],
)
def test_a_tool_in_the_prose_of_a_task_selects_nothing(task: str) -> None:
    assert tools_of(json.dumps({"steps": [{"id": "s1", "task": task, "tool": "none"}]})) == ["none"]


def test_steps_come_behind_those_they_wait_for() -> None:
    steps = [
        {"id": "c", "task": "c", "tool": "coder", "depends_on": ["a", "b"]},
        {"id": "b", "task": "b", "tool": "coder", "depends_on": ["a"]},
        {"id": "a", "task": "a", "tool": "coder", "depends_on": ["nowhere"]},
    ]
    assert [step["id"] for step in read_plan(json.dumps({"steps": steps}))] == ["a", "b", "c"]


def test_a_circle_of_dependencies_is_broken() -> None:
    steps = [
        {"id": "a", "task": "a", "tool": "coder", "depends_on": ["b"]},
        {"id": "b", "task": "b", "tool": "coder", "depends_on": ["a"]},
    ]
    assert {step["id"] for step in read_plan(json.dumps({"steps": steps}))} == {"a", "b"}


def test_two_steps_with_one_id_are_kept_apart() -> None:
    steps = [{"id": "s", "task": "a", "tool": "none"}, {"id": "s", "task": "b", "tool": "none"}]
    assert len({step["id"] for step in read_plan(json.dumps({"steps": steps}))}) == 2


def test_a_step_that_is_planned_twice_is_done_once() -> None:
    steps = [
        {"id": "a", "task": "load it", "tool": "coder", "depends_on": []},
        {"id": "b", "task": "load  it", "tool": "python_coder", "depends_on": []},
        {"id": "c", "task": "plot it", "tool": "coder", "depends_on": ["b"]},
        {"id": "d", "task": "plot it", "tool": "coder", "depends_on": ["a"]},
        {"id": "e", "task": "plot it", "tool": "none", "depends_on": ["d", "b", "a"]},
        {"id": "f", "task": "load it", "tool": "coder", "depends_on": ["c"]},
    ]
    read = read_plan(json.dumps({"steps": steps}))
    assert [(step["id"], step["depends_on"]) for step in read] == [
        ("a", []),
        ("c", ["a"]),
        ("e", ["c", "a"]),
        ("f", ["c"]),
    ]


@pytest.mark.parametrize("reply", ["", "I would look at it.", '{"steps": []}', "{}", "[1, 2]"])
def test_a_reply_without_steps_is_unreadable(reply: str) -> None:
    with pytest.raises(Unreadable):
        read_plan(reply)
