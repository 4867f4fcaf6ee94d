"""What models say in the matrix: by stage, which the server only sees by how the prompt begins."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from backend.types import Stage
from tests.ollama_server import Line

OPENINGS: Mapping[Stage, str] = {
    "generate": "You write one ",
    "repair": "You repair one ",
    "review": "You review a ",
    "assess": "A program ran without an error. ",
    "diagnose": "You find out why a program fails. ",
    "act": "You answer a request step by step ",
    "plan": "You plan how to answer ",
    "answer": "Write the answer to a request ",
}
SUM = "print('sum', 19 + 23)"
"""A program that does what is asked where a case does not say otherwise."""


def stage_of(prompt: str) -> Stage:
    """Which stage a prompt belongs to.

    Raises:
        LookupError: to none that is known here.
    """
    for stage in OPENINGS:
        if re.match(_beginning(stage), prompt):
            return stage
    raise LookupError(f"No stage's prompt begins with {prompt[:60]!r}.")


def says(stage: Stage, reply: str = "", *, when: str = "", **more: Any) -> Line:
    """A line for one stage; ``when`` is searched for behind the prompt's opening."""
    return Line(reply=reply, when=rf"(?si){_beginning(stage)}.*(?:{when})", **more)


def _beginning(stage: Stage) -> str:
    # A question is sent with a line in front when the server's count of its tokens is in doubt.
    return rf"\A(?:\[[0-9a-f]+\]\n)?{re.escape(OPENINGS[stage])}"


def fenced(code: str, language: str = "python") -> str:
    """A short plan and a fenced block, as they are asked for."""
    return f"Do it.\n\n```{language}\n{code}\n```"


def writes(code: str = SUM, **more: Any) -> Line:
    """A first program, as it should be written."""
    return says("generate", fenced(code), **more)


def repairs(code: str = SUM, **more: Any) -> Line:
    """A new version, as it should be written."""
    return says("repair", fenced(code), **more)


def judges(answers: bool, reason: str = "", **more: Any) -> Line:
    """A judgement of a program's output."""
    missing = [] if answers else [reason]
    reply = {"answers_request": answers, "answer": "", "reason": reason, "missing": missing}
    return says("assess", json.dumps(reply), **more)


def answers(text: str, answers_request: bool = True, reason: str = "", **more: Any) -> Line:
    """The answer of an agent."""
    reply = {
        "answers_request": answers_request,
        "answer": text,
        "reason": reason,
        "missing": [],
    }
    return says("answer", json.dumps(reply), **more)


def acts(action: str, action_input: str, **more: Any) -> Line:
    """A step of a ReAct agent."""
    reply = {"thought": "So.", "action": action, "action_input": action_input}
    return says("act", json.dumps(reply), **more)


def plans(*steps: Mapping[str, Any], **more: Any) -> Line:
    """A plan of these steps, a task at the least in each."""
    listed = [
        {"id": f"s{number}", "tool": "python_coder", "depends_on": [], **step}
        for number, step in enumerate(steps, 1)
    ]
    return says("plan", json.dumps({"steps": listed}), **more)


_CAUSE = {
    "kind": "runtime",
    "root_cause": "It raises by itself.",
    "advice": ["Leave the line out."],
    "packages": [],
}
GOOD_MODEL = (
    says("review", '{"verdict": "approve", "findings": []}', repeat=True),
    judges(True, repeat=True),
    says("diagnose", json.dumps(_CAUSE), repeat=True),
)
"""What is said where a case says nothing: the review approves, the judgement is content, and what
needs a diagnosis gets one."""
