"""The model's server drops out, refuses or is not there, at each place where an agent asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.misbehaviours.agent_cases import ANSWER, ANSWERED, DONE, STEP, USE, case
from bench.misbehaviours.case import End, Face, Misbehaviour, error, right
from bench.misbehaviours.saying import acts, answers, plans, says, writes
from tests.ollama_server import Line

_DROPS: Mapping[str, Any] = {"reply": "{", "fault": "drop"}
_BREAKS: Mapping[str, Any] = {"error": "500 something broke", "repeat": True}
_BROKE = "The model server failed (HTTP 500) with ... something broke"
_PRINTED = "This is what the program printed: ... sum 42"
_BY_RULE = f"The model gave no readable answer ({_BROKE}...). {_PRINTED}"
_REACT = (USE, writes(), DONE)
_PLAN = (plans(STEP), writes(), ANSWERED)
_ANEW = {"task": "Print it anew"}
_BESIDE = plans(STEP, _ANEW)
_BEHIND = plans(STEP, _ANEW | {"depends_on": ["s1"]})
_BOTH: tuple[Face, Face] = ("react", "plan_execute")


def _once(face: Face, where: str, *lines: Line) -> Misbehaviour:
    end = right(ANSWER, calls=5, mended="second attempt")
    return case(face, f"drops out {where}, once", *lines, end=end)


def _gone(face: Face, where: str, *lines: Line, calls: int, mended: str = "") -> Misbehaviour:
    """Before anything was found out: an exception."""
    end = error("model", _BROKE, calls=calls, mended=mended)
    return case(face, f"is gone {where}", *lines, end=end)


def _left(face: Face, where: str, *lines: Line, calls: int, mended: str = "") -> Misbehaviour:
    """With something found out: that is the answer, and no success."""
    end = error("", f"{_BROKE}... {_PRINTED}", calls=calls, runs=1, mended=mended)
    return case(face, f"is gone {where}", *lines, end=end)


def _spends(face: Face, where: str, *lines: Line, end: End) -> Misbehaviour:
    return case(face, f"calls for more than it may {where}", *lines, end=end)


def _spent(calls: int) -> str:
    return f"The request has used {calls} of the {calls} model calls"


_ONCE = (
    _once("react", "while it chooses an action", says("act", **_DROPS), *_REACT),
    _once("react", "while it writes the program", USE, says("generate", **_DROPS), *_REACT[1:]),
    _once("react", "while it finishes", *_REACT[:2], says("act", **_DROPS, when="sum 42"), DONE),
    _once("plan_execute", "while it plans", says("plan", **_DROPS), *_PLAN),
    _once(
        "plan_execute",
        "while it writes the program",
        _PLAN[0],
        says("generate", **_DROPS),
        *_PLAN[1:],
    ),
    _once("plan_execute", "while it answers", *_PLAN[:2], says("answer", **_DROPS), ANSWERED),
)
_FOR_GOOD = (
    _gone("react", "at the first action", says("act", **_BREAKS), calls=1),
    _gone("react", "at the first program", USE, says("generate", **_BREAKS), calls=2),
    _left("react", "between two steps", *_REACT[:2], says("act", **_BREAKS), calls=4),
    _left(
        "react",
        "at the second program",
        *_REACT[:2],
        acts("python_coder", "Print it anew."),
        says("generate", **_BREAKS),
        calls=5,
    ),
    case(
        "react",
        "is gone at the answer: it is made by rule",
        *_REACT[:2],
        USE,
        says("answer", **_BREAKS),
        end=right(_BY_RULE, calls=5),
    ),
    _gone("plan_execute", "at the plan", says("plan", **_BREAKS), calls=1),
    _gone("plan_execute", "at the first program", _PLAN[0], says("generate", **_BREAKS), calls=2),
    _left(
        "plan_execute", "between two steps", _BEHIND, writes(), says("generate", **_BREAKS), calls=4
    ),
    _left(
        "plan_execute",
        "for one of two steps side by side",
        _BESIDE,
        says("generate", **_BREAKS, when="Print it anew"),
        writes(),
        calls=4,
    ),
    _gone(
        "plan_execute",
        "for both of two steps side by side",
        _BESIDE,
        says("generate", **_BREAKS),
        calls=3,
    ),
    _left(
        "plan_execute",
        "at the second plan",
        *_PLAN[:2],
        answers("It is 42.", False, "the proof"),
        says("plan", **_BREAKS, when="the proof"),
        calls=5,
        mended="new plan",
    ),
    case(
        "plan_execute",
        "is gone at the answer: it is made by rule",
        *_PLAN[:2],
        says("answer", **_BREAKS),
        end=right(_BY_RULE, calls=4),
    ),
)
_DROPPING = (
    case(
        "react",
        "drops out of each action",
        says("act", **_DROPS, repeat=True),
        end=error(
            "",
            "The model's reply could not be read as an action, twice: The model server broke off ... Ask in",
            calls=4,
            mended="2 x second attempt, re-ask",
        ),
    ),
    case(
        "plan_execute",
        "drops out of each plan: the request is the one step",
        says("plan", **_DROPS, repeat=True),
        *_PLAN[1:],
        end=right(ANSWER, calls=7, mended="2 x second attempt, re-ask"),
    ),
    case(
        "react",
        "drops out of each program, and says so",
        USE,
        says("generate", **_DROPS, repeat=True),
        answers("No program came.", False, "the sum", when="broke off"),
        end=error("", "No program came. ... the sum", calls=6, mended="2 x second attempt, re-ask"),
    ),
)
_NOT_THERE = (
    *(
        case(
            face,
            "is not there at all",
            is_served=False,
            allowed=1,
            end=error("model", "The model server cannot be reached (...).", calls=0),
        )
        for face in _BOTH
    ),
    *(
        case(
            face,
            "is not the one that was pulled",
            settings={"model": "ollama:absent"},
            end=error("model", "... absent ...", calls=1),
        )
        for face in _BOTH
    ),
)
_TOO_MUCH = (
    _spends("react", "at the first program", *_REACT, end=error("budget", _spent(1), calls=1)),
    _spends(
        "react",
        "once there is a result",
        *_REACT,
        end=error("", f"{_spent(3)} ... {_PRINTED}", calls=3, runs=1),
    ),
    _spends(
        "plan_execute", "at the first program", *_PLAN, end=error("budget", _spent(1), calls=1)
    ),
    _spends(
        "plan_execute",
        "in steps side by side",
        _BESIDE,
        writes(repeat=True),
        ANSWERED,
        end=right(
            f"The model gave no readable answer ({_spent(4)} ... sum 42 ... sum 42", calls=4, runs=2
        ),
    ),
    _spends("plan_execute", "at the answer", *_PLAN, end=right("...", calls=3)),
    case(
        "plan_execute",
        "uses more tokens than it may, once there is a result",
        plans(STEP),
        writes(tokens=(900, 3900)),
        ANSWERED,
        settings={"max_total_tokens": 6000, "review": False},
        end=right("...", calls=2),
    ),
)

CASES = (*_ONCE, *_FOR_GOOD, *_DROPPING, *_NOT_THERE, *_TOO_MUCH)
