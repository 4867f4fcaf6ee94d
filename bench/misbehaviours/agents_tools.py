"""Tools of others that raise, give back what is no result, or give back too much."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from backend.tools.toolbox import ToolContext, ToolResult, told
from bench.misbehaviours.agent_cases import DONE, case
from bench.misbehaviours.case import Face, Misbehaviour, error, right
from bench.misbehaviours.saying import acts, answers, plans, writes
from tests.ollama_server import Line

_REQUEST = "Look up who guards the gate."
_FOUND = "The guard is Plover."


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """A tool as an installed distribution brings one along."""

    gives: Callable[[Mapping[str, Any]], Any] = lambda _: _FOUND
    name: str = "lookup"
    description: str = "looks a word up. The input is what to look up."
    aliases: frozenset[str] = frozenset({"word_lookup"})
    schema: Mapping[str, Any] = field(
        default_factory=lambda: {
            "type": "object",
            "properties": {"word": {"type": "string"}, "page": {"type": "integer"}},
            "required": ["word"],
        }
    )

    async def use(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        """Give back what the case wants."""
        given = self.gives(arguments)
        return told(given) if isinstance(given, str) else given


def _raise(failure: BaseException) -> NoReturn:
    raise failure


def _page(arguments: Mapping[str, Any]) -> str:
    return _FOUND if arguments.get("page") == 2 else f"Page {arguments.get('page', 1)}: nothing."


_BREAKING: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "raises ValueError": lambda _: _raise(ValueError("no such gate")),
    "raises SystemExit": lambda _: _raise(SystemExit("no such gate")),
    "raises CancelledError": lambda _: _raise(asyncio.CancelledError("no such gate")),
    "gives back None": lambda _: None,
    "gives back a dict that is no result": lambda _: {"answer": "Plover"},
    "says that it failed": lambda _: told("no such gate", success=False),
}


def _of_both(
    does: str,
    gives: Callable[[Mapping[str, Any]], Any],
    *,
    react: tuple[Line, ...],
    plan: tuple[Line, ...],
    calls: tuple[int, int],
    answer: str = "",
    mended: str = "",
) -> tuple[Misbehaviour, Misbehaviour]:
    """The same with both agents; ``answer``: the right one, else it cannot be known."""
    faces: tuple[tuple[Face, tuple[Line, ...], int, str], ...] = (
        ("react", react, calls[0], ""),
        ("plan_execute", plan, calls[1], mended),
    )
    return tuple(  # type: ignore[return-value]
        case(
            face,
            does,
            *lines,
            request=_REQUEST,
            tools=(Lookup(gives=gives),),
            end=right(answer, calls=number, runs=0, mended=how)
            if answer
            else error("", "It is not known.", calls=number, mended=how),
        )
        for face, lines, number, how in faces
    )


_PLAN_IT = plans({"task": "the gate", "tool": "lookup"}, repeat=True)
_UNKNOWN = answers("It is not known.", False, "the word", repeat=True)

CASES = (
    *(
        each
        for how, gives in _BREAKING.items()
        for each in _of_both(
            f"uses a tool that {how}",
            gives,
            react=(
                acts("lookup", "the gate"),
                acts("finish", "It is not known.", when="Observation: .*(failed|no such gate)"),
            ),
            plan=(_PLAN_IT, _UNKNOWN),
            calls=(2, 3),
            mended="retry, new plan",
        )
    ),
    *_of_both(
        "uses a tool that gives back 5 MB: head and tail are kept",
        lambda _: f"{_FOUND} {'x' * 5_000_000} That is all.",
        react=(
            acts("lookup", "the gate"),
            acts("finish", _FOUND, when=f"{_FOUND} x.*left out.*x That is all"),
        ),
        plan=(_PLAN_IT, answers(_FOUND, when=f"{_FOUND} x.*left out.*x That is all")),
        calls=(2, 2),
        answer=_FOUND,
    ),
    *_of_both(
        "gives a tool its arguments as JSON in a text",
        _page,
        react=(
            acts("**Word Lookup**", json.dumps({"word": "gate", "page": 2})),
            acts("finish", _FOUND, when=_FOUND),
        ),
        plan=(
            plans({"task": json.dumps({"word": "gate", "page": 2}), "tool": "Lookup"}),
            answers(_FOUND, when=_FOUND),
        ),
        calls=(2, 2),
        answer=_FOUND,
    ),
    case(
        "react",
        "turns the page: that is not the same thing again",
        acts("lookup", json.dumps({"word": "gate", "page": 1})),
        acts("lookup", json.dumps({"word": "gate", "page": 2}), when="Page 1: nothing"),
        acts("finish", _FOUND, when=_FOUND),
        request=_REQUEST,
        tools=(Lookup(gives=_page),),
        end=right(_FOUND, calls=3, runs=0),
    ),
    case(
        "react",
        "uses a tool that fails the same way, for ever",
        *(acts("lookup", f"word {number}") for number in range(9)),
        _UNKNOWN,
        request=_REQUEST,
        tools=(Lookup(gives=lambda _: told("no such gate", success=False)),),
        end=error("", "It is not known.", calls=4),
    ),
    case(
        "react",
        "looks up what has to be computed, and finishes",
        acts("lookup", "19 + 23"),
        acts("finish", "It is 41."),
        writes(),
        DONE,
        tools=(Lookup(gives=lambda _: "It is 41."),),
        end=right("The sum is 42.", calls=5, mended="rule"),
    ),
    case(
        "react",
        "gives run_python words in place of a program",
        acts("run_python", "Please add 19 and 23."),
        acts("run_python", "print('sum', 19 + 23)", when="has to be the program itself"),
        acts("finish", "The sum is 42.", when="Observation: sum 42"),
        end=right("The sum is 42.", calls=3),
    ),
    case(
        "react",
        "gives run_python a program in a fence that fails, then a right one",
        acts("run_python", "```python\nprint(1 / 0)\n```"),
        acts("run_python", "print('sum', 19 + 23)", when="ZeroDivisionError"),
        acts("finish", "The sum is 42.", when="Observation: sum 42"),
        end=right("The sum is 42.", calls=3, runs=2),
    ),
    case(
        "plan_execute",
        "plans a step of run_bash in words",
        plans({"task": "echo sum $((19 + 23))", "tool": "bash"}),
        answers("The sum is 42.", when="sum 42"),
        end=right("The sum is 42.", calls=2),
    ),
)
