"""ReAct: one thought and one action at a time, until the request is answered.

act ─┬─> python_coder ─┬─> act
     ├─> tool ─────────┼─> answer ─> end     (step limit, nothing new, machinery)
     └─> end           │                     (finish, or nothing readable)
"""

from __future__ import annotations

import json
from functools import partial
from operator import add
from typing import Annotated, Any, Literal, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from backend.core.actions import Action, action_schema, native_tools, read_action, read_words
from backend.core.answering import answer_from_results
from backend.core.context import AgentContext
from backend.core.findings import (
    MACHINERY,
    describe,
    failure_mark,
    findings_of,
    has_run,
    seconds_of,
)
from backend.llm.asking import ask
from backend.prompts.texts import OBSERVATION_CHARS, shorten
from backend.tools.coder.checkpoints import Checkpointer
from backend.tools.registry import FINISH, NO_TOOL, ToolName
from backend.tools.toolbox import arguments_of
from backend.types import Event, ModelCall

__all__ = ["ReactGraph", "ReactState", "ToolName", "build_react_graph", "first_react_state"]

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


ReactGraph = CompiledStateGraph[ReactState, AgentContext, ReactState, ReactState]


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


async def act(state: ReactState, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    """Ask for the next thought and action."""
    deps = runtime.context
    toolbox = deps.toolbox
    values = {
        "request": state["request"],
        "history": deps.history_text,
        "files": deps.files_text,
        "variables": deps.coder.variables_text(),
        "tools": toolbox.describe(),
        "names": " | ".join([*toolbox.names, FINISH]),
        "steps": _list_steps(state["steps"]),
        "native": False,
    }
    asked = await ask(
        deps.model,
        "act",
        values,
        partial(read_action, toolbox=toolbox),
        schema=action_schema(toolbox),
        tools=native_tools(toolbox),
        read_words=read_words,
        **deps.coder.sampling,
    )
    update: dict[str, Any] = {"calls": asked.calls, "pending": None}
    if asked.value is None:
        return update | _gave_up(state, asked.text, asked.reason)
    if asked.value.thought:
        deps.emit(Event(kind="thought", text=asked.value.thought))
    return update | _taken(state, asked.value, deps)


def _taken(state: ReactState, action: Action, deps: AgentContext) -> dict[str, Any]:
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
        "id": _next_id(state),
        "thought": action.thought,
        "action": action.tool or action.named,
        "action_input": action.input.strip(),
        "observation": observation,
        "success": None,
        "failure": "",
        "by": "model",
        "duration_s": 0.0,
    }


def _next_id(state: ReactState) -> str:
    return str(len(state["steps"]) + 1)


def _finish(state: ReactState, action: Action) -> dict[str, Any]:
    findings = findings_of(state)
    success = not findings or any(finding["success"] for finding in findings)
    step = _step(state, action, "")
    return {"steps": [step], "answer": action.input.strip(), "success": success}


def _gave_up(state: ReactState, reply: str, reason: str) -> dict[str, Any]:
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


async def python_coder(state: ReactState, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    """Let ``python_coder`` do the pending action, and observe what came of it."""
    deps, pending = runtime.context, _chosen(state)
    _announce(deps, pending, _next_id(state))
    result = await deps.use_coder(
        state["request"],
        pending["action_input"],
        step=_next_id(state),
        number=len(state["python_coder_results"]),
        findings=findings_of(state),
    )
    result = _kept_apart(state, deps, result)
    return {"python_coder_results": [result]} | _observe(state, deps, pending, result)


async def tool(state: ReactState, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    """Do the pending action with another tool, and observe what came of it."""
    deps, pending = runtime.context, _chosen(state)
    _announce(deps, pending, _next_id(state))
    result = await deps.use_tool(
        pending["action"],
        pending["arguments"],
        step=_next_id(state),
        given=pending["action_input"],
    )
    result = _kept_apart(state, deps, result)
    return {"tool_results": [result]} | _observe(state, deps, pending, result)


def _kept_apart(state: ReactState, deps: AgentContext, result: dict[str, Any]) -> dict[str, Any]:
    deps.made_files.note(findings_of(state))
    return deps.made_files.keep_apart(result, step=result["step"], wave=len(state["steps"]) + 1)


def _chosen(state: ReactState) -> Pending:
    pending = state["pending"]
    assert pending is not None
    return pending


def _announce(deps: AgentContext, pending: Pending, step: str) -> None:
    data = {"tool": pending["action"], "step": step}
    deps.emit(Event(kind="action", text=pending["action_input"], data=data))


def _observe(
    state: ReactState, deps: AgentContext, pending: Pending, result: dict[str, Any]
) -> dict[str, Any]:
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
        return update | {"ending": describe(result) if "text" in result else str(result["error"])}
    if len(alike) + 1 >= _MOST_OF_THE_SAME:
        return update | {"ending": f"The same failure came {len(alike) + 1} times."}
    return update | _out_of_steps(state, deps)


async def answer(state: ReactState, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    """Make the answer from the observations, when no more action is taken."""
    given = await answer_from_results(
        runtime.context,
        request=state["request"],
        findings=findings_of(state),
        plan="",
        why=state["ending"],
    )
    return {"answer": given.text, "success": given.success, "calls": given.calls}


async def after_act(
    state: ReactState,
) -> Literal["act", "python_coder", "tool", "answer", "__end__"]:
    """Do what was chosen; answer when nothing more is to be done; think again otherwise."""
    if state["pending"]:
        is_coder = state["pending"]["action"] == ToolName.PYTHON_CODER
        return "python_coder" if is_coder else "tool"
    if state["answer"]:
        return "__end__"
    return "answer" if state["ending"] else "act"


async def after_tool(state: ReactState) -> Literal["act", "answer"]:
    """Think again, unless this was the last step."""
    return "answer" if state["ending"] else "act"


def _list_steps(steps: list[Step]) -> str:
    return "\n\n".join(
        f"Step {step['id']}\nThought: {shorten(step['thought'], 1500)}\n"
        f"Action: {shorten(step['action'], 200)}\n"
        f"Action Input: {shorten(step['action_input'], 1500)}\n"
        f"Observation: {shorten(step['observation'], OBSERVATION_CHARS)}"
        for step in steps
    )


def build_react_graph(checkpointer: Checkpointer | None = None) -> ReactGraph:
    """The compiled graph; it keeps nothing between requests but what the checkpointer holds."""
    builder = StateGraph(ReactState, context_schema=AgentContext)
    builder.add_node("act", act)
    builder.add_node("python_coder", python_coder)
    builder.add_node("tool", tool)
    builder.add_node("answer", answer)
    builder.add_edge(START, "act")
    builder.add_conditional_edges("act", after_act)
    builder.add_conditional_edges("python_coder", after_tool)
    builder.add_conditional_edges("tool", after_tool)
    builder.add_edge("answer", END)
    return builder.compile(checkpointer, name="react")
