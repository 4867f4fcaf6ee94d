"""Running what was chosen to its end: an agent's graph, or a conversation."""

from __future__ import annotations

from typing import Any

from backend.config.settings import Settings
from backend.core.agent_graph import build_plan_graph
from backend.core.context import AgentContext
from backend.core.findings import findings_of, last_words
from backend.core.forming import Formed, Former
from backend.core.plan_state import first_plan_state
from backend.core.react_agent import build_react_graph
from backend.core.react_steps import first_react_state
from backend.core.requests import Ask
from backend.errors import ApprovalNeeded, BadReply, ProgramRefused, PythonCoderError
from backend.llm.models import LanguageModel
from backend.prompts import render
from backend.store.told import told
from backend.tools.approval import request_of, waiting_text
from backend.tools.coder.checkpoints import Checkpointer, stream_states
from backend.types import AgentName, Emit, Event, Message


class AgentGraphs:
    """The agents' graphs, compiled once; they keep nothing between requests."""

    def __init__(self, checkpointer: Checkpointer | None) -> None:
        self._react = build_react_graph(checkpointer)
        self._plan = build_plan_graph(checkpointer)

    async def run(self, agent: AgentName, question: str, context: AgentContext) -> dict[str, Any]:
        """Run an agent's graph; once a program has run, nothing that was found out is lost.

        Returns:
            The last state, with ``answer``, ``success`` and ``calls``.

        Raises:
            PythonCoderError: our machinery failed before anything was found out.
        """
        state: dict[str, Any] = {}
        settings = context.coder.settings
        graph: Any = self._react if agent == "react" else self._plan
        first: Any = first_react_state(question) if agent == "react" else first_plan_state(question)
        try:
            async for reached in stream_states(
                graph,
                first,
                context,
                thread=context.run_id,
                most_steps=_recursion_limit(settings),
                side_by_side=settings.parallel_steps,
            ):
                state = reached
        except ApprovalNeeded as error:
            return {
                **state,
                "calls": [*state.get("calls", ()), *error.calls],
                "answer": waiting_text(request_of(error.asked)),
                "success": False,
                "approval": error.asked,
            }
        except PythonCoderError as error:
            findings = findings_of(state) if state else []
            if not findings and not isinstance(error, ProgramRefused):
                raise
            text = last_words(findings, told(error)) if findings else told(error)
            calls = [*state.get("calls", ()), *error.calls]
            return {**state, "calls": calls, "answer": text, "success": False}
        return state


def _recursion_limit(settings: Settings) -> int:
    """More steps than any request takes, so that LangGraph's own limit never ends one."""
    return settings.max_steps * 3 + settings.max_plans * 40 + 20


async def chat(
    ask: Ask, model: LanguageModel, emit: Emit, former: Former | None = None
) -> dict[str, Any]:
    """Answer in words, telling them as they come. Returns what an agent's last state has.

    Args:
        ask: the question.
        model: whom to ask.
        emit: gets the words.
        former: puts the answer into the form that is wanted; it is told when it is whole.
    """
    rules = render("chat")
    if former is not None:
        rules = f"{rules}\n\n{former.instruction()}"
    messages = [
        Message(role="system", content=rules),
        *ask.history,
        Message(role="user", content=ask.question),
    ]
    if former is not None:
        return _state_of(await former.of_conversation(messages))
    try:
        reply = await model.call(
            messages,
            stage="chat",
            **ask.sampling,
            stop=ask.stop,
            on_text=lambda piece: emit(Event(kind="text", text=piece)),
        )
    except BadReply as error:
        if error.reason != "empty" or not ask.stop:
            raise
        # It began with what was to end it.
        return {"answer": "", "success": True, "calls": list(error.calls)}
    return {"answer": reply.text.strip(), "success": True, "calls": [reply.call]}


async def in_form(ask: Ask, state: dict[str, Any], former: Former) -> dict[str, Any]:
    """An agent's last state with its answer in the form that is wanted."""
    if state.get("approval") is not None or not state["success"]:
        # There is nothing yet, or nothing was found out, that could be put into it.
        return {**state, "refusal": state["answer"]}
    formed = await former.of_answer(ask.question, state["answer"])
    return {**state, **_state_of(formed), "calls": [*state["calls"], *formed.calls]}


def _state_of(formed: Formed) -> dict[str, Any]:
    return {
        "answer": formed.text if formed.refusal is None else formed.refusal,
        "success": formed.refusal is None,
        "refusal": formed.refusal,
        "calls": formed.calls,
    }
