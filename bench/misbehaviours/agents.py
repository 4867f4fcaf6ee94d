"""Agents that name no tool, invent what they saw, plan what cannot be, or never finish."""

from __future__ import annotations

import json

from bench.misbehaviours.case import Misbehaviour, error, right
from bench.misbehaviours.saying import SUM, acts, answers, fenced, plans, says, writes
from tests.ollama_server import Line

_REQUEST = "Compute the sum of 19 and 23 with Python."
_DONE = acts("finish", "The sum is 42.", when="Observation: sum 42")
_ANSWER = "The sum is 42."
_USE = acts("python_coder", "Print the sum of 19 and 23.")
_ANSWERED = answers(_ANSWER, when="sum 42")
_TWICE = says("act", "Let me see.", repeat=True)


def _react(does: str, *first: Line, calls: int = 4, mended: str = "") -> Misbehaviour:
    return Misbehaviour(
        does=does,
        face="react",
        request=_REQUEST,
        lines=(*first, writes(), _DONE),
        end=right(_ANSWER, calls=calls, mended=mended),
    )


REACT = (
    _react("calls the tool by another name", acts("**Python Interpreter**", "Print 19 + 23.")),
    _react(
        "names a tool that there is not",
        acts("web_search", "19 + 23"),
        acts("python_coder", "Print 19 + 23.", when="There is no tool 'web_search'"),
        calls=5,
    ),
    _react(
        "writes a tool call as text",
        says(
            "act",
            '<tool_call>{"name": "python_coder", "arguments": {"task": "Print 19 + 23."}}</tool_call>',
        ),
    ),
    _react(
        "writes labels in place of JSON",
        says("act", "Thought: add\nAction: `python_coder`\nAction Input: Print 19 + 23."),
    ),
    _react(
        "invents the observation and the end",
        says(
            "act",
            "Thought: add\nAction: python_coder\nAction Input: Print 19 + 23.\nObservation: 41\n"
            "Action: finish\nAction Input: It is 41.",
        ),
    ),
    _react("finishes before any program ran", acts("finish", "It is 41."), mended="rule"),
    _react("writes the program in place of an action", says("act", fenced(SUM))),
    _react("names no action, once", says("act", "Let me see."), _USE, calls=5, mended="re-ask"),
    _react(
        "finishes without an answer",
        acts("finish", ""),
        acts("python_coder", "Print 19 + 23.", when="finish came without an answer"),
        calls=5,
    ),
    Misbehaviour(
        does="names no action, each time",
        face="react",
        request=_REQUEST,
        lines=(_TWICE,),
        end=error(
            "",
            "The model's reply could not be read as an action, twice: ... It answered 'Let me see.'. "
            "Ask in other words, or use a larger model.",
            calls=2,
            mended="re-ask",
        ),
    ),
    Misbehaviour(
        does="names no action any more once it has a result",
        face="react",
        request=_REQUEST,
        lines=(_USE, writes(), _TWICE, _ANSWERED),
        end=right(_ANSWER, calls=6, mended="re-ask"),
    ),
    Misbehaviour(
        does="asks for the same thing again",
        face="react",
        request=_REQUEST,
        lines=(_USE, writes(), _USE, _ANSWERED),
        end=right(_ANSWER, calls=5),
    ),
    Misbehaviour(
        does="never finishes",
        face="react",
        request=_REQUEST,
        lines=(
            *(acts("python_coder", f"Print the sum of 19 and 23, way {n}.") for n in range(9)),
            writes(repeat=True),
            _ANSWERED,
        ),
        allowed=20,
        end=right(_ANSWER, calls=16, runs=5),
    ),
    Misbehaviour(
        does="answers in no JSON: the answer is made by rule",
        face="react",
        request=_REQUEST,
        lines=(_USE, writes(), _USE, says("answer", "The answer is known.", repeat=True)),
        end=right(
            "The model gave no readable answer (it holds no JSON object). This is what the program "
            "printed:\n\nsum 42",
            calls=6,
            mended="re-ask",
        ),
    ),
    Misbehaviour(
        does="is gone once there is a result",
        face="react",
        request=_REQUEST,
        lines=(_USE, writes(), says("act", error="500 something broke", repeat=True)),
        end=error(
            "",
            "... failed (HTTP 500) ... something broke... This is what the program printed: ... sum 42",
            calls=4,
            runs=1,
        ),
    ),
    Misbehaviour(
        does="calls for more than it may, once there is a result",
        face="react",
        request=_REQUEST,
        lines=(_USE, writes(), _DONE),
        allowed=3,
        end=error(
            "",
            "The request has used 3 of the 3 model calls ... This is what the program printed: ... "
            "sum 42",
            calls=3,
            runs=1,
        ),
    ),
)

_STEP = {"task": "Print the sum of 19 and 23."}
_PLAN_OF = (writes(repeat=True), _ANSWERED)


def _plan(does: str, *first: Line, calls: int = 4, runs: int = 1, mended: str = "") -> Misbehaviour:
    return Misbehaviour(
        does=does,
        face="plan_execute",
        request=_REQUEST,
        lines=(*first, *_PLAN_OF),
        allowed=20,
        end=right(_ANSWER, calls=calls, runs=runs, mended=mended),
    )


PLAN = (
    _plan(
        "plans in prose, each time: the request is the one step",
        says("plan", "First one would think, then add.", repeat=True),
        calls=5,
        mended="re-ask",
    ),
    _plan("plans in numbered lines", says("plan", "1. [python_coder] Print the sum of 19 and 23")),
    _plan(
        "plans with a tool that there is not", plans({"task": "Look it up", "tool": "web"}, _STEP)
    ),
    _plan("plans no program where one is needed", plans({"task": "Recall it", "tool": "none"})),
    _plan(
        "plans steps that wait for each other",
        plans(_STEP | {"depends_on": ["s2"]}, {"task": "Print it anew", "depends_on": ["s1"]}),
        calls=6,
        runs=2,
    ),
    _plan(
        "plans thirty steps",
        plans(*({"task": f"Print the sum, part {number}"} for number in range(30))),
        calls=18,
        runs=8,
    ),
    Misbehaviour(
        does="finds that something is missing, and plans it",
        face="plan_execute",
        request=_REQUEST,
        lines=(
            plans({"task": "Print 19"}),
            writes("print(19)"),
            answers("It is 19.", False, "the sum is missing"),
            plans(_STEP, when="the sum is missing"),
            *_PLAN_OF,
        ),
        end=right(_ANSWER, calls=8, runs=2, mended="new plan"),
    ),
    Misbehaviour(
        does="is never content with the answer",
        face="plan_execute",
        request=_REQUEST,
        lines=(
            plans(_STEP, repeat=True),
            writes(repeat=True),
            answers("Not known.", False, "the proof of it", repeat=True),
        ),
        allowed=20,
        end=error(
            "",
            "Not known.\n\nThis does not answer the whole request: the proof of it",
            calls=12,
            runs=3,
            mended="2 x new plan",
        ),
    ),
    Misbehaviour(
        does="answers in no JSON after a plan: the answer is made by rule",
        face="plan_execute",
        request=_REQUEST,
        lines=(plans(_STEP), writes(), says("answer", json.dumps([42]), repeat=True)),
        end=right(
            "The model gave no readable answer (it holds no JSON object). This is what the program "
            "printed:\n\nsum 42",
            calls=5,
            mended="re-ask",
        ),
    ),
)

CASES = (*REACT, *PLAN)
