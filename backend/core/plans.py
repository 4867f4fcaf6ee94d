"""Reading a plan: steps with a task, a tool of their own field, and what they wait for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypedDict

from backend.llm.asking import Unreadable
from backend.llm.replies import extract_json, strip_thinking
from backend.tools.registry import NO_TOOL, ToolName, find_tool

MAX_PLAN_STEPS = 8
"""A longer plan is cut: small models repeat themselves."""

PLAN_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "steps": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "task": {"type": "string"},
                    "tool": {
                        "type": "string",
                        "enum": [*(str(tool) for tool in ToolName), NO_TOOL],
                    },
                    "depends_on": {"type": "array", "items": {"type": "string"}},
                },
                "required": ["id", "task", "tool", "depends_on"],
            },
        }
    },
    "required": ["steps"],
}

_LINE = re.compile(r"^\s*(?:step\s*)?\d+\s*[.):]\s*(?:\[([^\]]*)\])?\s*(.+?)\s*$", re.I | re.M)


class PlanStep(TypedDict):
    """One step of a plan."""

    id: str
    task: str
    tool: str
    """A tool's name, ``none``, or what the model wrote where no such tool exists."""
    depends_on: list[str]


def read_plan(reply: str) -> list[PlanStep]:
    """The steps of a plan as JSON or as lines ``1. [tool] task``, in an order that can be done.

    The tool comes from the step's own field: a tool's name in the task's prose selects nothing.

    Raises:
        Unreadable: there is no step.
    """
    value = extract_json(reply)
    raw = value.get("steps", value.get("plan")) if value is not None else None
    steps = _from_objects(raw) if isinstance(raw, list) else []
    if not steps:
        steps = _from_lines(strip_thinking(reply))
    if not steps:
        raise Unreadable('it holds no plan; answer with {"steps": [...]}')
    return _in_order(steps[:MAX_PLAN_STEPS])


def whole_request(request: str) -> list[PlanStep]:
    """The plan for when none can be read: the request itself, as one step."""
    return [{"id": "s1", "task": request, "tool": str(ToolName.PYTHON_CODER), "depends_on": []}]


def _from_objects(raw: Sequence[Any]) -> list[PlanStep]:
    steps: list[PlanStep] = []
    for number, entry in enumerate(raw, 1):
        if isinstance(entry, str) and entry.strip():
            entry = {"task": entry, "tool": ToolName.PYTHON_CODER}
        if not isinstance(entry, dict):
            continue
        task = entry.get("task") or entry.get("description") or entry.get("step")
        if not isinstance(task, str) or not task.strip():
            continue
        named = entry.get("tool")
        needs = entry.get("depends_on")
        steps.append(
            {
                "id": str(entry.get("id") or f"s{number}"),
                "task": task.strip(),
                "tool": _tool(named if isinstance(named, str) else ""),
                "depends_on": [str(need) for need in needs] if isinstance(needs, list) else [],
            }
        )
    return _with_own_ids(steps)


def _from_lines(text: str) -> list[PlanStep]:
    return [
        {
            "id": f"s{number}",
            "task": task,
            "tool": _tool(named) if named is not None else str(ToolName.PYTHON_CODER),
            "depends_on": [],
        }
        for number, (named, task) in enumerate(
            ((match.group(1), match.group(2)) for match in _LINE.finditer(text)), 1
        )
    ]


def _tool(named: str) -> str:
    return find_tool(named) or named.strip()


def _with_own_ids(steps: list[PlanStep]) -> list[PlanStep]:
    seen: set[str] = set()
    for number, step in enumerate(steps, 1):
        if step["id"] in seen:
            step["id"] = f"{step['id']}_{number}"
        seen.add(step["id"])
    return steps


def _in_order(steps: Sequence[PlanStep]) -> list[PlanStep]:
    """The steps with each behind those it waits for; a wait for nothing, or in a circle, is dropped."""
    known = {step["id"] for step in steps}
    waiting: list[PlanStep] = [
        {**step, "depends_on": [need for need in step["depends_on"] if need in known]}
        for step in steps
    ]
    done: list[PlanStep] = []
    while waiting:
        ready = {step["id"] for step in done}
        step = next((s for s in waiting if ready.issuperset(s["depends_on"])), None)
        if step is None:
            step = waiting[0]
            step["depends_on"] = [need for need in step["depends_on"] if need in ready]
        waiting.remove(step)
        done.append(step)
    return done


def list_steps(steps: Sequence[PlanStep]) -> str:
    """One line a step, for a prompt or a person."""
    return "\n".join(f"{step['id']} [{step['tool']}] {step['task']}" for step in steps)
