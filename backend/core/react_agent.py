"""ReAct: one thought and one action at a time, until the request is answered.

act ─┬─> python_coder ─┬─> act
     ├─> tool ─────────┼─> answer ─> end     (step limit, nothing new, machinery)
     └─> end           │                     (finish, or nothing readable)
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from backend.core.actions import action_schema, native_tools, read_action, read_words
from backend.core.answering import answer_from_results
from backend.core.context import AgentContext
from backend.core.findings import (
    findings_of,
)
from backend.core.react_steps import (
    Pending,
    ReactState,
    first_react_state,
    give_up,
    list_steps,
    next_id,
    observe,
    take,
)
from backend.llm.asking import ask
from backend.tools.coder.checkpoints import Checkpointer, keeping_steps
from backend.tools.registry import FINISH, ToolName
from backend.types import Event

__all__ = ["ReactGraph", "ReactState", "ToolName", "build_react_graph", "first_react_state"]

ReactGraph = CompiledStateGraph[ReactState, AgentContext, ReactState, ReactState]


async def act(state: ReactState, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    """Ask for the next thought and action."""
    deps = runtime.context
    toolbox = deps.toolbox
    values = {
        **deps.prompt_values(state["request"]),
        "names": " | ".join([*toolbox.names, FINISH]),
        "steps": list_steps(state["steps"]),
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
        return update | give_up(state, asked.text, asked.reason)
    if asked.value.thought:
        deps.emit(Event(kind="thought", text=asked.value.thought))
    return update | take(state, asked.value, deps)


async def python_coder(state: ReactState, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    """Let ``python_coder`` do the pending action, and observe what came of it."""
    deps, pending = runtime.context, _chosen(state)
    _announce(deps, pending, next_id(state))
    result = await deps.use_coder(
        state["request"],
        pending["action_input"],
        step=next_id(state),
        number=len(state["python_coder_results"]),
        findings=findings_of(state),
    )
    result = _kept_apart(state, deps, result)
    return {"python_coder_results": [result]} | observe(state, deps, pending, result)


async def tool(state: ReactState, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    """Do the pending action with another tool, and observe what came of it."""
    deps, pending = runtime.context, _chosen(state)
    _announce(deps, pending, next_id(state))
    result = await deps.use_tool(
        pending["action"],
        pending["arguments"],
        step=next_id(state),
        given=pending["action_input"],
    )
    result = _kept_apart(state, deps, result)
    return {"tool_results": [result]} | observe(state, deps, pending, result)


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


def build_react_graph(checkpointer: Checkpointer | None = None) -> ReactGraph:
    """The compiled graph; it keeps nothing between requests but what the checkpointer holds."""
    graph: ReactGraph = keeping_steps(_thinking_and_acting(), checkpointer)
    return graph


@cache
def _thinking_and_acting() -> ReactGraph:
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
    return builder.compile(name="react")
