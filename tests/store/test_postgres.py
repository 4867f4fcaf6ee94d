"""PostgreSQL as the database: what it refuses, and what becomes of requests when it fails."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from backend.config.settings import load_settings
from backend.errors import NotFound, SettingsError, StoreUnavailable
from backend.store.database import Database, open_database
from backend.store.files import FileStore
from backend.store.runs import RunStore
from backend.store.session_records import ChatTurn
from backend.store.sessions import SessionStore
from backend.tools.coder.checkpoints import open_checkpointer
from tests.postgres import Cluster
from tests.store.conftest import ON_BOTH

HOSTILE = "a\0b\ud800c \\u0000 \x1b[2J 가"
SHOWN = "a\\x00b\\ud800c \\u0000 \x1b[2J 가"


@pytest.fixture
async def opened(postgres_url: str) -> AsyncIterator[Database]:
    async with open_database(load_settings(database_url=postgres_url)) as database:
        yield database


def end_connections(url: str) -> int:
    """End what others have open there, as when the server was started again."""
    words = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        return len(connection.execute(words).fetchall())


@ON_BOTH
async def test_nothing_that_is_said_or_printed_makes_a_request_fail(database: Database) -> None:
    details: dict[str, Any] = {"artifacts": [{"id": HOSTILE}], HOSTILE: [float("nan"), 2**70]}
    sessions, runs = SessionStore(database), RunStore(database)
    turns = [
        ChatTurn(role="user", content=HOSTILE),
        ChatTurn(role="assistant", content="", details=details),
    ]
    await sessions.append("s", turns, owner=HOSTILE)
    asked, answered = (await sessions.messages("s", owner=HOSTILE)).messages
    assert asked.content == SHOWN
    assert answered.details == {"artifacts": [{"id": SHOWN}], SHOWN: [None, 2**70]}
    assert await sessions.artifacts("s", owner=HOSTILE) == [{"id": SHOWN}]
    run_id = await runs.begin(owner="me", kind="ask", key=HOSTILE, request=HOSTILE, model=HOSTILE)
    await runs.finish(run_id, {"success": True, "output": HOSTILE, "code": HOSTILE}, owner="me")
    found = await runs.find_completed(owner="me", key=HOSTILE)
    assert found is not None
    assert (found.request, found.model, found.code) == (SHOWN,) * 3
    for reference in (HOSTILE, "run-" + HOSTILE, "x" * 5000):
        with pytest.raises(NotFound):
            await runs.find(reference, owner="me")
        with pytest.raises(NotFound):
            await runs.get(reference, owner="me")


@ON_BOTH
async def test_no_id_that_a_client_makes_up_makes_a_request_fail(files: FileStore) -> None:
    for file_id in (HOSTILE, "", "x" * 5000, "%", "' OR 1=1 --"):
        with pytest.raises(NotFound):
            await files.get(file_id, owner="me")
        with pytest.raises(NotFound):
            await files.list(owner="me", after=file_id)


async def test_a_lost_connection_is_renewed(opened: Database, postgres_url: str) -> None:
    assert await opened.fault() == ""
    assert end_connections(postgres_url) > 0
    assert await SessionStore(opened).exists("s", owner="me") is False


async def test_one_that_is_lost_in_the_middle_is_said_to_be(
    opened: Database, postgres_url: str
) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be used"):
        async with opened.transaction() as session:
            await session.execute(text("SELECT 1"))
            await asyncio.to_thread(end_connections, postgres_url)
            await session.execute(text("SELECT 1"))
    assert await opened.fault() == ""


@pytest.mark.parametrize("by", ["work", "transaction"])
async def test_whoever_is_cancelled_leaves_a_connection_that_the_next_can_use(
    opened: Database, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At whatever moment: psycopg leaves some in the middle of what they did."""
    monkeypatch.setattr("psycopg.waiting.MAX_BUSY_TIME", 0)  # as on a loop with much to do
    await opened.work(lambda connection: connection.execute(text("CREATE TABLE x (n int)")))
    many, insert = [{"n": n} for n in range(5)], text("INSERT INTO x VALUES (:n)")

    async def add() -> None:
        if by == "work":
            await opened.work(lambda connection: connection.execute(insert, many))
            return
        async with opened.transaction() as session:
            await session.execute(insert, many)

    for turns in [*range(150)] * 3:
        adding = asyncio.create_task(add())
        for _ in range(turns):
            await asyncio.sleep(0)
        is_done = adding.done()
        adding.cancel()
        await asyncio.wait({adding})
        assert adding.cancelled() or is_done
        left = await opened.work(
            lambda connection: connection.scalar(text("SELECT count(*) FROM x"))
        )
        assert left % 5 == 0


async def test_one_that_does_not_answer_is_given_up(
    opened: Database, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.store.database.ANSWER_TIMEOUT_S", 0.3)
    with psycopg.connect(postgres_url) as holder:
        holder.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreUnavailable, match="has not answered for"):
            await SessionStore(opened).exists("s", owner="me")
    assert await SessionStore(opened).exists("s", owner="me") is False


async def test_more_requests_than_connections_wait_for_their_turn(opened: Database) -> None:
    sessions = SessionStore(opened)
    turn = [ChatTurn(role="user", content="?"), ChatTurn(role="assistant", content="!")]
    await asyncio.gather(
        *(sessions.append("s", turn, owner=f"o{number % 3}") for number in range(60))
    )
    roles = [each.role for each in (await sessions.messages("s", owner="o0")).messages]
    assert roles == ["user", "assistant"] * 20


async def test_a_start_without_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://me:secret@127.0.0.1:1/x"
    # Status 3: whoever starts the server at boot tries again, as the database may come up later.
    with pytest.raises(StoreUnavailable, match="See that it runs") as caught:
        async with open_database(load_settings(database_url=url)):
            pass
    for word in ("secret", "psycopg", "?", "..", "Is the"):
        assert word not in str(caught.value)
    real = builtins.__import__

    def without(name: str, *given: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "psycopg":
            raise ModuleNotFoundError("No module named 'psycopg'", name="psycopg")
        return real(name, *given, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SettingsError, match=r"python-coder\[postgres\]"):
        async with open_database(load_settings(database_url=url)):
            pass


async def test_one_that_cannot_hold_every_text_is_refused(postgres: Cluster) -> None:
    with postgres.database(encoding="SQL_ASCII") as url:
        settings = load_settings(database_url=url)
        for opening in (open_checkpointer, open_database):
            with pytest.raises(SettingsError, match=r"SQL_ASCII.*createdb .* --encoding UTF8"):
                async with opening(settings):
                    pass
        with psycopg.connect(url) as connection:
            made = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
            assert made.fetchone() == (0,)


@pytest.mark.parametrize("url", ["postgresql+asyncpg://x/y", "mysql://x/y", "oracle9://x/y"])
async def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="postgresql://user:password@host/name"):
        async with open_database(load_settings(database_url=url)):
            pass
