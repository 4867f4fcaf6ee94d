"""The steps of a ReAct request: what an action leads to, and what is kept of it."""

from __future__ import annotations

import json
from operator import add
from typing import Annotated, Any, Literal, TypedDict

from backend.core.actions import Action
from backend.core.context import AgentContext
from backend.core.findings import (
    MACHINERY,
    describe,
    failure_mark,
    findings_of,
    has_run,
    reason_of,
    seconds_of,
)
from backend.prompts.texts import OBSERVATION_CHARS, shorten
from backend.tools.registry import FINISH, NO_TOOL, ToolName
from backend.tools.toolbox import arguments_of
from backend.types import Event, ModelCall

_MOST_OF_THE_SAME = 3
"""So often the same failure may come; a model that was told of it twice will not mend it."""


class Step(TypedDict):
    """One thought, action and observation."""

    id: str
    """Its number, from 1."""
    thought: str
    action: str
    action_input: str
    observation: str
    success: bool | None
    """None where nothing was done."""
    failure: str
    """The same for the same failure; '' where it did not fail."""
    by: Literal["model", "rule"]
    """``rule`` where the house chose the action against the model."""
    duration_s: float
    """Of the action; 0 where nothing was done."""


class Pending(TypedDict):
    """An action that was chosen and not yet done."""

    thought: str
    action: str
    action_input: str
    arguments: dict[str, Any]
    """What a tool other than ``python_coder`` gets."""
    by: Literal["model", "rule"]


class ReactState(TypedDict, total=False):
    """The state of one request; plain JSON values."""

    request: str
    pending: Pending | None
    steps: Annotated[list[Step], add]
    python_coder_results: Annotated[list[dict[str, Any]], add]
    tool_results: Annotated[list[dict[str, Any]], add]
    """Of all other tools; each with the id of its step, as the coder's have it."""
    calls: Annotated[list[ModelCall], add]
    ending: str
    """Why no more action is taken; '' while there is one to take."""
    answer: str
    success: bool


def first_react_state(request: str) -> ReactState:
    """The state to start from."""
    return {
        "request": request,
        "pending": None,
        "steps": [],
        "python_coder_results": [],
        "tool_results": [],
        "calls": [],
        "ending": "",
        "answer": "",
        "success": False,
    }


def take(state: ReactState, action: Action, deps: AgentContext) -> dict[str, Any]:
    """What an action leads to: something to do, an answer, or a word on why it cannot be."""
    if action.tool == FINISH and action.input.strip():
        if not deps.needs_code or has_run(findings_of(state)):
            return _finish(state, action)
        return {"pending": _overrule(state, action)}
    if action.tool is None or action.tool not in deps.toolbox:
        step = _step(state, action, _unknown(action, deps))
        return {"steps": [step]} | _out_of_steps(state, deps)
    pending = _pending(state, action, deps)
    before = [each for each in state["steps"] if _is_same(each, pending)]
    if not before:
        return {"pending": pending}
    if before[-1]["success"] or len(before) > 1:
        return {"ending": "The model asked for the same thing again."}
    step = _step(state, action, _repetition(before[-1]))
    return {"steps": [step]} | _out_of_steps(state, deps)


def _pending(state: ReactState, action: Action, deps: AgentContext) -> Pending:
    assert action.tool is not None
    arguments: dict[str, Any] = {}
    given = action.input.strip() or state["request"]
    if action.tool != ToolName.PYTHON_CODER:
        tool = deps.toolbox[action.tool]
        arguments = dict(action.arguments or {})
        if not arguments.keys() & tool.schema.get("properties", {}).keys():
            arguments = arguments_of(tool, action.input)
        if len(arguments) > 1:  # whole, so that another page is not taken for the same thing again
            given = json.dumps(arguments, ensure_ascii=False, sort_keys=True)
    return {
        "thought": action.thought,
        "action": action.tool,
        "action_input": given,
        "arguments": arguments,
        "by": "model",
    }


def _overrule(state: ReactState, action: Action) -> Pending:
    """A request that needs a program is not answered from memory: the coder gets it."""
    return {
        "thought": action.thought,
        "action": ToolName.PYTHON_CODER.value,
        "action_input": state["request"],
        "arguments": {},
        "by": "rule",
    }


def _is_same(step: Step, pending: Pending) -> bool:
    if step["action"] != pending["action"]:
        return False
    return step["action_input"].split() == pending["action_input"].split()


def _step(state: ReactState, action: Action, observation: str) -> Step:
    """A step in which nothing was done."""
    return {
        "id": next_id(state),
        "thought": action.thought,
        "action": action.tool or action.named,
        "action_input": action.input.strip(),
        "observation": observation,
        "success": None,
        "failure": "",
        "by": "model",
        "duration_s": 0.0,
    }


def next_id(state: ReactState) -> str:
    """The id of the step that is next."""
    return str(len(state["steps"]) + 1)


def _finish(state: ReactState, action: Action) -> dict[str, Any]:
    findings = findings_of(state)
    success = not findings or any(finding["success"] for finding in findings)
    step = _step(state, action, "")
    return {"steps": [step], "answer": action.input.strip(), "success": success}


def give_up(state: ReactState, reply: str, reason: str) -> dict[str, Any]:
    """Why no action is taken any more, when a reply was unreadable twice."""
    reason = reason.removesuffix(".")
    why = f"The model's reply could not be read as an action, twice: {reason}."
    if state["steps"]:
        return {"ending": why}
    shown = " ".join(shorten(reply, 300).split())
    return {
        "answer": f"{why} It answered {shown!r}. Ask in other words, or use a larger model.",
        "success": False,
    }


def _unknown(action: Action, deps: AgentContext) -> str:
    known = ", ".join([*deps.toolbox.names, FINISH])
    problem = f"There is no tool {action.named!r}."
    if action.tool == FINISH:
        problem = "finish came without an answer in its action_input."
    elif action.tool == NO_TOOL:
        problem = "No tool was named, so nothing was done."
    return f"{problem} Choose one of: {known}."


def _repetition(before: Step) -> str:
    return (
        f"This was done in step {before['id']} and failed; it was not done again. Go about it in "
        "another way: another tool, a smaller part of the work, another method. Or finish with "
        "what is known."
    )


def _out_of_steps(state: ReactState, deps: AgentContext) -> dict[str, Any]:
    most = deps.coder.settings.max_steps
    if len(state["steps"]) + 1 < most:
        return {}
    return {"ending": f"The limit of {most} steps is reached."}


def observe(
    state: ReactState, deps: AgentContext, pending: Pending, result: dict[str, Any]
) -> dict[str, Any]:
    """Keep what came of an action, and end the work where more would be in vain."""
    failure = failure_mark(result)
    alike = [step["id"] for step in state["steps"] if failure and step["failure"] == failure]
    observation = describe(result)
    if alike:
        observation += (
            f"\n\nThis is the same failure as in step {alike[-1]}: go about it differently."
        )
    deps.emit(Event(kind="observation", text=observation, data={"step": result["step"]}))
    step: Step = {
        "id": result["step"],
        "thought": pending["thought"],
        "action": pending["action"],
        "action_input": pending["action_input"],
        "observation": observation,
        "success": result["success"],
        "failure": failure,
        "by": pending["by"],
        "duration_s": seconds_of(result),
    }
    update: dict[str, Any] = {"pending": None, "steps": [step]}
    if result["error_kind"] in MACHINERY:
        return update | {"ending": reason_of(result)}
    if len(alike) + 1 >= _MOST_OF_THE_SAME:
        return update | {"ending": f"The same failure came {len(alike) + 1} times."}
    return update | _out_of_steps(state, deps)


def list_steps(steps: list[Step]) -> str:
    """All steps, for a prompt."""
    return "\n\n".join(
        f"Step {step['id']}\nThought: {shorten(step['thought'], 1500)}\n"
        f"Action: {shorten(step['action'], 200)}\n"
        f"Action Input: {shorten(step['action_input'], 1500)}\n"
        f"Observation: {shorten(step['observation'], OBSERVATION_CHARS)}"
        for step in steps
    )
