"""The three graphs that ``langgraph.json`` names: for LangGraph's own server and its Studio.

Each opens settings, model and sandbox when a run begins to work, and closes them when that is
over: the server makes a graph anew for each look at it. Threads, steps and results are kept by
the server. Files are those below the folder that the server was started in.
"""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Mapping
from typing import Annotated, Any, cast

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from backend.config.settings import Settings, load_settings
from backend.core.agent_graph import build_plan_graph
from backend.core.assistant import open_assistant
from backend.core.react_agent import build_react_graph
from backend.core.requests import Ask
from backend.plug.coder import PythonCoder
from backend.plug.files import OfferedFiles
from backend.plug.foreign import Keys, use_of
from backend.plug.host import emit_to_host
from backend.plug.opening import chosen
from backend.tools.python_executor_engine import place_files
from backend.types import AgentName, Message, Role

_HERE = OfferedFiles(folder=".")
_ROLES: Mapping[str, Role] = {"human": "user", "ai": "assistant"}


class ServedInput(TypedDict, total=False):
    """What is asked: a conversation, or a request to add to it."""

    messages: Annotated[list[AnyMessage], add_messages]
    request: str
    files: list[str]
    """Paths below the folder in which the server runs."""


class ServedState(ServedInput):
    """A thread."""

    python_coder_results: Annotated[list[dict[str, Any]], operator.add]
    answer: str
    success: bool


Served = CompiledStateGraph[ServedState, None, ServedInput, ServedState]


async def listen(state: ServedState) -> dict[str, Any]:
    """Make the request the last turn of the conversation."""
    request = state.get("request", "").strip()
    return {"request": "", "messages": [HumanMessage(request)]} if request else {}


def python_coder() -> Served:
    """The loop alone: each request is a task."""
    builder = _builder()
    builder.add_node("python_coder", PythonCoder().graph(folder="."))
    builder.add_node("tell", _tell)
    builder.add_edge("listen", "python_coder")
    builder.add_edge("python_coder", "tell")
    builder.add_edge("tell", END)
    return builder.compile(name="python_coder")


async def _tell(state: ServedState) -> dict[str, Any]:
    return {
        "answer": str(state["messages"][-1].text),
        "success": state["python_coder_results"][-1]["success"],
    }


def react() -> Served:
    """One thought and one action at a time."""
    return _with_agent(build_react_graph())


def plan_execute() -> Served:
    """A plan, its steps, and an answer that is verified."""
    return _with_agent(build_plan_graph())


def _builder() -> StateGraph[ServedState, None, ServedInput, ServedState]:
    builder = StateGraph(ServedState, input_schema=ServedInput)
    builder.add_node("listen", listen)
    builder.add_edge(START, "listen")
    return builder


def _with_agent(steps: CompiledStateGraph[Any, Any, Any, Any]) -> Served:
    """A graph around an agent's.

    Args:
        steps: of the form of the assistant's own: LangGraph finds it in the node, and draws and
            inspects by it what happens there.
    """

    async def agent(state: ServedState) -> dict[str, Any]:
        name = cast(AgentName, steps.name)
        settings = await asyncio.to_thread(load_settings)
        async with open_assistant(settings, record=False) as assistant:
            ask = await _ask_of(state, name, settings)
            answer = await assistant.run(ask, emit_to_host())
        return {
            "messages": [AIMessage(answer.text, name=name)],
            "python_coder_results": answer.python_coder_results,
            "answer": answer.text,
            "success": answer.success,
        }

    builder = _builder()
    builder.add_node(steps.name, agent)
    builder.add_edge("listen", steps.name)
    builder.add_edge(steps.name, END)
    return builder.compile(name=steps.name)


async def _ask_of(state: ServedState, agent: AgentName, settings: Settings) -> Ask:
    turns = state.get("messages", [])
    use = use_of(state, Keys(), offered=_HERE, options=None, model=None)
    last = max(at for at, turn in enumerate(turns) if turn.type == "human")
    paths = await chosen(use)
    return Ask(
        question=use.task,
        agent_type=agent,
        approve=settings.approve,
        history=tuple(
            Message(role=_ROLES[turn.type], content=str(turn.text))
            for turn in turns[:last]
            if turn.type in _ROLES
        ),
        files=await asyncio.to_thread(place_files, paths, settings),
    )
