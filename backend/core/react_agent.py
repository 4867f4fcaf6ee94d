"""ReAct: one thought and one action at a time, until the request is answered.

act ─┬─> python_coder ─┬─> act
     │                 └─> answer ─> end      (step limit, the same call again, machinery)
     └─> end                                  (finish, or nothing readable)
"""

from __future__ import annotations

from operator import add
from typing import Annotated, Any, Literal, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from backend.core.actions import ACTION_SCHEMA, Action, read_action
from backend.core.answering import answer_from_results
from backend.core.context import MACHINERY, AgentContext, describe_result
from backend.llm.asking import ask
from backend.prompts.texts import OBSERVATION_CHARS, shorten
from backend.tools.coder.checkpoints import Checkpointer
from backend.tools.registry import FINISH, NO_TOOL, ToolName, list_tools
from backend.types import Event, ModelCall

__all__ = ["ReactGraph", "ReactState", "ToolName", "build_react_graph", "first_react_state"]


class Step(TypedDict):
    """One thought, action and observation."""

    thought: str
    action: str
    action_input: str
    observation: str
    by: Literal["model", "rule"]
    """``rule`` where the house chose the action against the model."""


class ReactState(TypedDict, total=False):
    """The state of one request; plain JSON values."""

    request: str
    pending: dict[str, Any] | None
    """The action that was chosen and not yet done."""
    steps: Annotated[list[Step], add]
    python_coder_results: Annotated[list[dict[str, Any]], add]
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
        "calls": [],
        "ending": "",
        "answer": "",
        "success": False,
    }


async def act(state: ReactState, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    """Ask for the next thought and action."""
    deps = runtime.context
    values = {
        "request": state["request"],
        "history": deps.history_text,
        "files": deps.files_text,
        "tools": list_tools(),
        "names": " | ".join([*ToolName, FINISH]),
        "steps": _list_steps(state["steps"]),
    }
    asked = await ask(
        deps.model,
        "act",
        values,
        read_action,
        schema=ACTION_SCHEMA,
        **deps.coder.sampling,
    )
    update: dict[str, Any] = {"calls": asked.calls, "pending": None}
    if asked.value is None:
        return update | _gave_up(state, asked.text, asked.reason)
    action = asked.value
    if action.thought:
        deps.emit(Event(kind="thought", text=action.thought))
    if action.tool == FINISH and action.input.strip():
        if not deps.needs_code or state["python_coder_results"]:
            return update | _finish(state, action)
        return update | {"pending": _overrule(state, action)}
    if action.tool == ToolName.PYTHON_CODER:
        task = action.input.strip() or state["request"]
        pending = _pending(action, ToolName.PYTHON_CODER, task, "model")
        if _done_before(state, task):
            return update | {"ending": "The model asked for the same thing again."}
        return update | {"pending": pending}
    return update | {"steps": [_unknown(action)]} | _out_of_steps(state, deps)


def _pending(action: Action, tool: str, task: str, by: str) -> dict[str, Any]:
    return {"thought": action.thought, "action": str(tool), "action_input": task, "by": by}


def _overrule(state: ReactState, action: Action) -> dict[str, Any]:
    """A request that needs a program is not answered from memory: the coder gets it."""
    return _pending(action, ToolName.PYTHON_CODER, state["request"], "rule")


def _finish(state: ReactState, action: Action) -> dict[str, Any]:
    results = state["python_coder_results"]
    step: Step = {
        "thought": action.thought,
        "action": FINISH,
        "action_input": action.input,
        "observation": "",
        "by": "model",
    }
    success = not results or any(result["success"] for result in results)
    return {"steps": [step], "answer": action.input.strip(), "success": success}


def _gave_up(state: ReactState, reply: str, reason: str) -> dict[str, Any]:
    why = f"The model's reply could not be read as an action, twice: {reason}."
    if state["steps"]:
        return {"ending": why}
    shown = " ".join(shorten(reply, 300).split())
    return {
        "answer": f"{why} It answered {shown!r}. Ask in other words, or use a larger model.",
        "success": False,
    }


def _unknown(action: Action) -> Step:
    known = ", ".join([*ToolName, FINISH])
    problem = (
        "finish came without an answer in its action_input."
        if action.tool == FINISH
        else f"There is no tool {action.named!r}."
    )
    return {
        "thought": action.thought,
        "action": NO_TOOL if action.tool == NO_TOOL else action.named,
        "action_input": action.input,
        "observation": f"{problem} Choose one of: {known}.",
        "by": "model",
    }


def _done_before(state: ReactState, task: str) -> bool:
    words = task.split()
    return any(step["action_input"].split() == words for step in state["steps"])


def _out_of_steps(state: ReactState, deps: AgentContext) -> dict[str, Any]:
    most = deps.coder.settings.max_steps
    if len(state["steps"]) + 1 < most:
        return {}
    return {"ending": f"The limit of {most} steps is reached."}


async def python_coder(state: ReactState, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    """Do the pending action and observe what came of it."""
    deps = runtime.context
    pending = state["pending"] or {}
    task = pending["action_input"]
    deps.emit(Event(kind="action", text=task, data={"tool": str(ToolName.PYTHON_CODER)}))
    result = await deps.use_coder(state["request"], task, state["python_coder_results"])
    observation = describe_result(result)
    deps.emit(Event(kind="observation", text=observation))
    step: Step = {**pending, "observation": observation}  # type: ignore[typeddict-item]
    update: dict[str, Any] = {
        "pending": None,
        "steps": [step],
        "python_coder_results": [result],
    }
    if result["error_kind"] in MACHINERY:
        return update | {"ending": str(result["error"])}
    return update | _out_of_steps(state, deps)


async def answer(state: ReactState, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    """Make the answer from the observations, when no more action is taken."""
    given = await answer_from_results(
        runtime.context,
        request=state["request"],
        results=state["python_coder_results"],
        plan="",
        why=state["ending"],
    )
    return {"answer": given.text, "success": given.success, "calls": given.calls}


async def after_act(state: ReactState) -> Literal["act", "python_coder", "answer", "__end__"]:
    """Do what was chosen; answer when nothing more is to be done; think again otherwise."""
    if state["pending"]:
        return "python_coder"
    if state["answer"]:
        return "__end__"
    return "answer" if state["ending"] else "act"


async def after_tool(state: ReactState) -> Literal["act", "answer"]:
    """Think again, unless this was the last step."""
    return "answer" if state["ending"] else "act"


def _list_steps(steps: list[Step]) -> str:
    return "\n\n".join(
        f"Step {number}\nThought: {shorten(step['thought'], 1500)}\n"
        f"Action: {shorten(step['action'], 200)}\n"
        f"Action Input: {shorten(step['action_input'], 1500)}\n"
        f"Observation: {shorten(step['observation'], OBSERVATION_CHARS)}"
        for number, step in enumerate(steps, 1)
    )


def build_react_graph(checkpointer: Checkpointer | None = None) -> ReactGraph:
    """The compiled graph; it keeps nothing between requests but what the checkpointer holds."""
    builder = StateGraph(ReactState, context_schema=AgentContext)
    builder.add_node("act", act)
    builder.add_node("python_coder", python_coder)
    builder.add_node("answer", answer)
    builder.add_edge(START, "act")
    builder.add_conditional_edges("act", after_act)
    builder.add_conditional_edges("python_coder", after_tool)
    builder.add_edge("answer", END)
    return builder.compile(checkpointer, name="react")
