"""Building cases of agents: both add 19 and 23, and the answer is the same."""

from __future__ import annotations

import json
from typing import Any

from bench.misbehaviours.case import End, Face, Misbehaviour, right
from bench.misbehaviours.saying import acts, answers, plans, says, writes
from tests.ollama_server import Line

REQUEST = "Compute the sum of 19 and 23 with Python."
ANSWER = "The sum is 42."
TASK = "Print the sum of 19 and 23."
STEP = {"task": TASK}
BROKEN = "raise ValueError('out of luck')"

USE = acts("python_coder", TASK)
DONE = acts("finish", ANSWER, when="Observation: sum 42")
ANSWERED = answers(ANSWER, when="sum 42")
BY_RULE = (
    "The model gave no readable answer (it holds no JSON object). This is what the program "
    "printed:\n\nsum 42"
)


def react(
    does: str, *first: Line, calls: int = 4, runs: int = 1, mended: str = "", **more: Any
) -> Misbehaviour:
    """ReAct that says ``first``, and behaves from then on: a program, then the answer."""
    lines = (*first, writes(), DONE)
    return case(
        "react", does, *lines, end=right(ANSWER, calls=calls, runs=runs, mended=mended), **more
    )


def plan_execute(
    does: str, *first: Line, calls: int = 4, runs: int = 1, mended: str = "", **more: Any
) -> Misbehaviour:
    """A plan that is said in ``first``, whose programs all print the sum."""
    lines = (*first, writes(repeat=True), ANSWERED)
    end = right(ANSWER, calls=calls, runs=runs, mended=mended)
    return case("plan_execute", does, *lines, end=end, **more)


def case(face: Face, does: str, *lines: Line, end: End, **more: Any) -> Misbehaviour:
    """A case that may use as many calls as it is to take, and not one more."""
    return Misbehaviour(
        **{"face": face, "does": does, "request": REQUEST, "allowed": end.calls, **more},
        lines=lines,
        end=end,
    )


def labels(action: str, action_input: str = TASK) -> Line:
    """A step of a ReAct agent as text with labels."""
    return says("act", f"Thought: So.\nAction: {action}\nAction Input: {action_input}")


def raw_plan(reply: Any, **more: Any) -> Line:
    """A plan as it is written."""
    return says("plan", reply if isinstance(reply, str) else json.dumps(reply), **more)


__all__ = [
    "ANSWER",
    "ANSWERED",
    "BROKEN",
    "BY_RULE",
    "DONE",
    "REQUEST",
    "STEP",
    "TASK",
    "USE",
    "case",
    "labels",
    "plan_execute",
    "plans",
    "raw_plan",
    "react",
]
