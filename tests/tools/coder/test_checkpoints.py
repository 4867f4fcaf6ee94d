"""Steps are kept where the database is, whatever is in them, and go with the run they belong to."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, TypedDict

import pytest
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph

from backend.config.settings import Settings, load_settings
from backend.errors import StoreUnavailable
from backend.tools.coder.checkpoints import Checkpointer, open_checkpointer, stream_states
from tests.leaks import cancel_everywhere, nothing_left_open


class State(TypedDict, total=False):
    text: str
    number: float
    items: list[str]
    broken: bool


HOSTILE: State = {"text": "a\0b\ud800\\u0000 가", "number": float("nan"), "items": ["\0", "\udfff"]}


@pytest.fixture
async def checkpointer(stored_settings: Settings) -> AsyncIterator[Checkpointer]:
    async with open_checkpointer(stored_settings) as opened:
        yield opened


def two_steps(checkpointer: Checkpointer, done: list[str]) -> CompiledStateGraph[Any, Any, Any]:
    async def first(state: State) -> State:
        done.append("first")
        return {"items": [*state["items"], "first"]}

    async def second(state: State) -> State:
        done.append("second")
        if len(done) == 2:
            raise ConnectionError("gone in the middle of it")
        return {"items": [*state["items"], "second"]}

    builder = StateGraph(State)
    builder.add_node("first", first)
    builder.add_node("second", second)
    builder.set_entry_point("first")
    builder.add_edge("first", "second")
    return builder.compile(checkpointer=checkpointer)


async def last_state(graph: Any, thread: str, first: State) -> State:
    state: State = {}
    async for reached in stream_states(graph, first, None, thread=thread, most_steps=10):
        state = reached
    return state


async def test_work_goes_on_after_its_last_step_with_what_it_had(
    checkpointer: Checkpointer,
) -> None:
    done: list[str] = []
    graph = two_steps(checkpointer, done)
    with pytest.raises(ConnectionError):
        await last_state(graph, "run-1", HOSTILE)
    state = await last_state(graph, "run-1", {"text": "not this one"})
    assert done == ["first", "second", "second"]
    assert (state["text"], repr(state["number"])) == ("a\0b?\\u0000 가", "nan")
    assert state["items"] == ["\0", "?", "first", "second"]


async def test_what_is_below_a_thread_goes_with_it(checkpointer: Checkpointer) -> None:
    graph = two_steps(checkpointer, ["not", "the", "first"])
    threads = ("run-1", "run-1/0", "run-1/12", "run-10", "run-1-", "run-2/0")
    for thread in threads:
        await last_state(graph, thread, {"text": "", "items": []})
    await checkpointer.adelete_thread("run-1")

    async def is_kept(thread: str) -> bool:
        return await checkpointer.aget_tuple({"configurable": {"thread_id": thread}}) is not None

    assert [each for each in threads if await is_kept(each)] == ["run-10", "run-1-", "run-2/0"]


async def test_nothing_stays_open_wherever_it_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    files: list[sqlite3.Connection] = []

    class Noted(sqlite3.Connection):
        def __init__(self, *given: Any, **more: Any) -> None:
            super().__init__(*given, **more)
            files.append(self)

    monkeypatch.setattr(
        "backend.tools.coder.checkpoints.sqlite3.connect", partial(sqlite3.connect, factory=Noted)
    )

    async def use() -> None:
        async with open_checkpointer(load_settings()) as opened:
            await opened.aget_tuple({"configurable": {"thread_id": "run-1"}})

    with nothing_left_open():
        assert await cancel_everywhere(use)
    for file in files:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            file.execute("SELECT 1")


async def test_any_number_may_open_them_at_once(postgres_url: str) -> None:
    settings = load_settings(database_url=postgres_url)

    async def use(name: str) -> State:
        async with open_checkpointer(settings) as opened:
            return await last_state(two_steps(opened, ["x", "y", "z"]), name, {"items": [name]})

    states = await asyncio.gather(*(use(f"run-{number}") for number in range(4)))
    assert [state["items"][0] for state in states] == [f"run-{number}" for number in range(4)]


async def test_a_lost_database_is_said_to_be_lost(postgres_url: str) -> None:
    import psycopg

    database = postgres_url.split("/")[3].partition("?")[0]
    async with open_checkpointer(load_settings(database_url=postgres_url)) as opened:
        config: Any = {"configurable": {"thread_id": "run-1"}}
        assert await opened.aget_tuple(config) is None
        end = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'python-coder' AND datname = %s"
        )
        elsewhere = postgres_url.replace(f"/{database}?", "/postgres?")
        with psycopg.connect(elsewhere, autocommit=True) as connection:
            assert connection.execute(end, (database,)).fetchall()
            assert await opened.aget_tuple(config) is None, "a lost connection is renewed"
            connection.execute(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS false')
            connection.execute(end, (database,))
            # Only now: to renew a connection can take longer on a machine that has much to do.
            vars(opened)["_pool"].timeout = 1
            with pytest.raises(StoreUnavailable, match="PostgreSQL"):
                await opened.aget_tuple(config)
            connection.execute(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS true')


async def test_what_cannot_be_reached_stops_the_start() -> None:
    url = "postgresql://me:secret@127.0.0.1:1/x"
    with pytest.raises(StoreUnavailable, match="See that it runs") as caught:
        async with open_checkpointer(load_settings(database_url=url)):
            pass
    for word in ("secret", "?", ".."):
        assert word not in str(caught.value)
