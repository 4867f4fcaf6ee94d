"""Reading a plan: steps with a task, a tool of their own field, and what they wait for."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from backend.llm.asking import Unreadable
from backend.llm.replies import extract_json, strip_thinking
from backend.tools.registry import NO_TOOL, ToolName, find_action
from backend.tools.toolbox import Toolbox

MAX_PLAN_STEPS = 8
"""A longer plan is cut: small models repeat themselves."""
MAX_QUESTIONS = 5


def plan_schema(toolbox: Toolbox) -> dict[str, Any]:
    """The JSON schema of a plan with these tools."""
    step = {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "task": {"type": "string"},
            "tool": {"type": "string", "enum": [*toolbox.names, NO_TOOL]},
            "depends_on": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["id", "task", "tool", "depends_on"],
    }
    return {
        "type": "object",
        "properties": {
            "steps": {"type": "array", "items": step},
            "questions": {"type": "array", "items": {"type": "string"}},
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
    """Without their results it cannot be done."""
    after: list[str]
    """What it comes behind merely because nothing was said of what waits for what."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a model wants to do: steps, or to know something first."""

    steps: list[PlanStep] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    """To the user; only where there is no step."""


def read_plan(reply: str, toolbox: Toolbox) -> Plan:
    """The steps of a plan as JSON or as lines ``1. [tool] task``, in an order that can be done.

    The tool comes from the step's own field: a tool's name in the task's prose selects nothing.

    Args:
        reply: what the model said.
        toolbox: the tools there are.

    Raises:
        Unreadable: there is neither a step nor a question.
    """
    value = extract_json(reply)
    raw = value.get("steps", value.get("plan")) if value is not None else None
    steps = _from_objects(raw, toolbox) if isinstance(raw, list) else []
    if steps:
        return Plan(steps=_in_order(steps[:MAX_PLAN_STEPS]))
    if value is not None and (questions := _questions(value)):
        return Plan(questions=questions[:MAX_QUESTIONS])
    steps = _from_lines(strip_thinking(reply), toolbox)
    if not steps:
        raise Unreadable('it holds no plan; answer with {"steps": [...]}')
    return Plan(steps=_in_order(steps[:MAX_PLAN_STEPS]))


def whole_request(request: str, step_id: str = "s1") -> PlanStep:
    """The step for when no plan can be read: the request itself."""
    return {
        "id": step_id,
        "task": request,
        "tool": str(ToolName.PYTHON_CODER),
        "depends_on": [],
        "after": [],
    }


def with_new_ids(steps: Sequence[PlanStep], taken: Collection[str]) -> list[PlanStep]:
    """The steps of a further plan, under ids that no step of an earlier one has.

    Args:
        steps: what they wait for and is not among them, they need not wait for.
        taken: the ids there are.
    """
    renamed: dict[str, str] = {}
    for step in steps:
        name, number = step["id"], 2
        while name in taken or name in renamed.values():
            name = f"{step['id']}.{number}"
            number += 1
        renamed[step["id"]] = name
    return [
        {
            **step,
            "id": renamed[step["id"]],
            "depends_on": [renamed[need] for need in step["depends_on"] if need in renamed],
            "after": [renamed[each] for each in step["after"] if each in renamed],
        }
        for step in steps
    ]


def _questions(value: Mapping[str, Any]) -> list[str]:
    for key in ("questions", "clarification", "clarifications", "question"):
        asked = value.get(key)
        listed = asked if isinstance(asked, list) else [asked]
        found = [each.strip() for each in listed if isinstance(each, str) and each.strip()]
        if found:
            return found
    return []


def _from_objects(raw: Sequence[Any], toolbox: Toolbox) -> list[PlanStep]:
    steps: list[PlanStep] = []
    ordered = False
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
                "tool": _tool(named if isinstance(named, str) else "", toolbox),
                "depends_on": [str(need) for need in needs] if isinstance(needs, list) else [],
                "after": [],
            }
        )
        ordered = ordered or isinstance(needs, list)
    steps = _without_doubles(_with_own_ids(steps))
    return steps if ordered else _one_by_one(steps)


def _one_by_one(steps: Sequence[PlanStep]) -> list[PlanStep]:
    return [
        {**step, "after": [before["id"] for before in steps[:number]]}
        for number, step in enumerate(steps)
    ]


def _from_lines(text: str, toolbox: Toolbox) -> list[PlanStep]:
    return _one_by_one(
        [
            {
                "id": f"s{number}",
                "task": task,
                "tool": _tool(named, toolbox) if named is not None else str(ToolName.PYTHON_CODER),
                "depends_on": [],
                "after": [],
            }
            for number, (named, task) in enumerate(
                ((match.group(1), match.group(2)) for match in _LINE.finditer(text)), 1
            )
        ]
    )


def _tool(named: str, toolbox: Toolbox) -> str:
    return find_action(named, toolbox) or named.strip()


def _with_own_ids(steps: list[PlanStep]) -> list[PlanStep]:
    seen: set[str] = set()
    for number, step in enumerate(steps, 1):
        if step["id"] in seen:
            step["id"] = f"{step['id']}_{number}"
        seen.add(step["id"])
    return steps


def _without_doubles(steps: Sequence[PlanStep]) -> list[PlanStep]:
    """Each step once: small models repeat themselves. What waits for a double waits for the first."""
    first: dict[tuple[str, tuple[str, ...], frozenset[str]], str] = {}
    same: dict[str, str] = {}
    kept: list[PlanStep] = []
    for step in steps:
        needs = list(dict.fromkeys(same.get(need, need) for need in step["depends_on"]))
        meaning = (step["tool"], tuple(step["task"].split()), frozenset(needs))
        same[step["id"]] = first.setdefault(meaning, step["id"])
        if same[step["id"]] == step["id"]:
            kept.append({**step, "depends_on": needs})
    return kept


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
