"""Models that their server says can call tools, and what they make of it."""

from __future__ import annotations

from typing import Any

from bench.misbehaviours.agent_cases import ANSWER, ANSWERED, TASK, USE, case
from bench.misbehaviours.case import End, Misbehaviour, error, right
from bench.misbehaviours.saying import answers, says, writes
from tests.ollama_server import Line


def calls(name: str, arguments: Any, *, words: str = "", **more: Any) -> Line:
    """A native call, with words beside it."""
    return says("act", words, tool_calls=[{"name": name, "arguments": arguments}], **more)


_CALL = calls("python_coder", {"task": TASK})
_FINISH = calls("finish", {"answer": ANSWER}, when="Observation: sum 42")


def _native(
    does: str, *first: Line, asked: int = 4, mended: str = "", end: End | None = None, **more: Any
) -> Misbehaviour:
    return case(
        "react",
        does,
        *first,
        writes(),
        _FINISH,
        calls_tools=True,
        end=end or right(ANSWER, calls=asked, mended=mended),
        **more,
    )


CASES = (
    _native("calls the tool as it should", _CALL),
    _native("calls the tool by another name", calls("generate_code", {"task": TASK})),
    _native(
        "calls the tool with its task under another name", calls("python_coder", {"query": TASK})
    ),
    _native(
        "calls the tool with a program for a task",
        calls("python_coder", {"code": "print('sum', 19 + 23)"}),
        writes(when="19 . 23"),
    ),
    _native("calls without arguments: the request is the task", calls("python_coder", {})),
    _native(
        "calls twice in one reply: the first is done",
        says(
            "act",
            tool_calls=[
                {"name": "python_coder", "arguments": {"task": TASK}},
                {"name": "finish", "arguments": {"answer": "It is 41."}},
            ],
        ),
    ),
    _native(
        "calls a tool that there is not",
        calls("web_search", {"query": "19 + 23"}),
        calls("python_coder", {"task": TASK}, when="There is no tool 'web_search'"),
        asked=5,
    ),
    _native("writes JSON in place of a call", USE),
    _native(
        "writes a call as text",
        says(
            "act",
            f'<tool_call>{{"name": "python_coder", "arguments": {{"task": "{TASK}"}}}}</tool_call>',
        ),
    ),
    _native(
        "invents the observation beside a call",
        calls("python_coder", {"task": TASK}, words="Observation: 41. Final Answer: 41"),
    ),
    _native("answers in words before any program ran", says("act", "It is 41."), mended="rule"),
    _native(
        "calls finish before any program ran",
        calls("finish", {"answer": "It is 41."}),
        mended="rule",
    ),
    _native(
        "answers in words once it has a result: that is the answer",
        _CALL,
        writes(),
        says("act", ANSWER, when="Observation: sum 42"),
    ),
    _native(
        "says nothing and calls nothing, once", says("act", ""), _CALL, asked=5, mended="re-ask"
    ),
    _native(
        "drops out within a call, once",
        says(
            "act", tool_calls=[{"name": "python_coder", "arguments": {"task": TASK}}], fault="drop"
        ),
        _CALL,
        asked=5,
        mended="second attempt",
    ),
    _native(
        "makes a call that its server cannot read, then writes JSON",
        says(
            "act", error="500 error parsing tool call: raw='{\"task\"', err=unexpected end of JSON"
        ),
        USE,
        asked=5,
        mended="re-ask",
    ),
    _native(
        "calls for the same thing again, for ever",
        calls("python_coder", {"task": TASK}, repeat=True),
        writes(),
        ANSWERED,
        end=right(ANSWER, calls=5),
    ),
    _native(
        "calls a tool that there is not, for ever",
        calls("web_search", {"query": "19 + 23"}, repeat=True),
        answers("It is not known.", False, "the sum"),
        end=error("", "It is not known. ... the sum", calls=6),
    ),
    _native(
        "says nothing and calls nothing, each time",
        says("act", "", repeat=True),
        end=error(
            "",
            "The model's reply could not be read as an action, twice: ...",
            calls=2,
            mended="re-ask",
        ),
    ),
)
