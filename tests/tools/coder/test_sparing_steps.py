"""Of a graph's steps those are written that were paid for; nothing else gets lost by it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from operator import add
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.graph import StateGraph
from langgraph.types import Send, interrupt

from backend.config.settings import Settings
from backend.core.plan_state import PlanState
from backend.core.react_steps import ReactState
from backend.tools.coder.checkpoints import Checkpointer, open_checkpointer, stream_states
from backend.tools.coder.sparing_steps import PAID_FOR
from backend.tools.coder.state import CoderState


class State(TypedDict, total=False):
    calls: Annotated[list[str], add]
    notes: Annotated[list[str], add]


@pytest.fixture
async def savers(stored_settings: Settings) -> AsyncIterator[tuple[Checkpointer, Checkpointer]]:
    """Those of two servers with one store."""
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(open_checkpointer(stored_settings))
        yield one, await stack.enter_async_context(open_checkpointer(stored_settings))


def steps_that_end(checkpointer: Checkpointer, *nodes: Any) -> Any:
    builder = StateGraph(State)
    for number, node in enumerate(nodes):
        builder.add_node(f"node{number}", node)
        builder.add_edge(f"node{number - 1}" if number else "__start__", f"node{number}")
    return builder.compile(checkpointer=checkpointer)


async def paid(state: State) -> State:
    return {"calls": ["paid"]}


async def cheap(state: State) -> State:
    return {"notes": ["cheap"]}


async def run(graph: Any, first: State, **more: Any) -> Any:
    state: Any = {}
    async for reached in stream_states(graph, first, None, thread="run-1", most_steps=9, **more):
        state = reached
    return state


async def as_others_see_it(saver: Checkpointer) -> list[str]:
    found = await saver.aget_tuple({"configurable": {"thread_id": "run-1"}})
    assert found is not None
    values = found.checkpoint["channel_values"]
    return [*values.get("calls", ()), *values.get("notes", ())]


async def has_written(saver: Checkpointer, name: str) -> bool:
    found = await saver.aget_tuple({"configurable": {"thread_id": "run-1"}})
    writes = (found and found.pending_writes) or ()
    return ("calls", [name]) in [(channel, value) for _, channel, value in writes]


async def test_what_was_paid_for_is_there_for_others_at_once_and_the_rest_with_it(
    savers: tuple[Checkpointer, Checkpointer],
) -> None:
    ours, others = savers
    has_begun = asyncio.Event()

    async def killed(state: State) -> State:
        has_begun.set()
        await asyncio.sleep(60)
        raise AssertionError("it goes on here")

    for nodes, kept in (
        ((paid, killed), ["paid"]),
        ((cheap, paid, killed), ["paid", "cheap"]),
        ((paid, cheap, killed), ["paid"]),
    ):
        task = asyncio.create_task(run(steps_that_end(ours, *nodes), {"calls": []}))
        await has_begun.wait()
        has_begun.clear()
        assert await as_others_see_it(others) == kept
        task.cancel()
        await asyncio.wait({task})
        await ours.adelete_thread("run-1")


async def test_nothing_is_written_of_work_that_cost_nothing(
    savers: tuple[Checkpointer, Checkpointer],
) -> None:
    ours, others = savers
    assert await run(steps_that_end(ours, cheap, cheap), {"notes": []}) == {
        "notes": ["cheap", "cheap"],
        "calls": [],
    }
    empty = {"configurable": {"thread_id": "run-1"}}
    assert await others.aget_tuple(empty) is None
    # Who asks the one that holds it gets it, and so does everybody from then on.
    assert len([each async for each in ours.alist(empty)]) == 1
    assert await as_others_see_it(others) == ["cheap", "cheap"]
    await ours.adelete_thread("run-1")
    assert await others.aget_tuple(empty) is None


async def test_who_is_asked_goes_on_elsewhere_after_steps_that_cost_nothing(
    savers: tuple[Checkpointer, Checkpointer],
) -> None:
    async def ask(state: State) -> State:
        return {"notes": [interrupt("May I?")]}

    asked = steps_that_end(savers[0], cheap, ask)
    await run(asked, {"notes": []})

    async def answer(question: str) -> str:
        return f"{question} Yes."

    state = await run(steps_that_end(savers[1], cheap, ask), {"notes": []}, answer=answer)
    assert state["notes"] == ["cheap", "May I? Yes."]


async def test_of_steps_side_by_side_the_one_that_ended_is_not_done_again(
    savers: tuple[Checkpointer, Checkpointer],
) -> None:
    done: list[str] = []

    async def work(name: str) -> State:
        done.append(name)
        if name == "slow" and done.count("slow") == 1:
            await asyncio.sleep(60)
        return {"calls": [name]}

    def graph(saver: Checkpointer) -> Any:
        builder = StateGraph(State)
        builder.add_node("work", work)
        builder.add_conditional_edges(
            "__start__", lambda state: [Send("work", "quick"), Send("work", "slow")], ["work"]
        )
        return builder.compile(checkpointer=saver)

    task = asyncio.create_task(run(graph(savers[0]), {"calls": []}))
    for _ in range(1000):
        if await has_written(savers[1], "quick"):
            break
        await asyncio.sleep(0.02)
    state = await run(graph(savers[1]), {"calls": []})
    task.cancel()
    await asyncio.wait({task})
    assert sorted(state["calls"]) == ["quick", "slow"]
    assert sorted(done) == ["quick", "slow", "slow"]


def test_what_is_paid_for_is_what_the_states_call_it() -> None:
    parts = {
        part for state in (CoderState, ReactState, PlanState) for part in state.__annotations__
    }
    assert parts >= PAID_FOR
