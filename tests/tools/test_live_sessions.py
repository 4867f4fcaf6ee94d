"""Sessions that requests hold: one request at a time, and what is known of them is what they are."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from backend.config.settings import load_settings
from backend.errors import Busy, NotFound, SandboxUnavailable
from backend.store.blobs import BlobStore
from backend.store.database import open_database
from backend.store.files import FileStore
from backend.store.session_records import ChatTurn
from backend.store.sessions import SessionStore
from backend.tools.held_session import HeldSession, Live
from backend.tools.live_sessions import LiveSessions
from backend.tools.python_executor_engine import EngineSession, open_engine
from backend.types import ExecutionRequest, ExecutionResult

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveSessions]:
    folder = tmp_path_factory.mktemp("live")
    settings = load_settings(data_dir=folder, execution_dir=folder / "execution", preimport="none")
    try:
        async with open_database(settings) as database, open_engine(settings) as engine:
            store = SessionStore(database)
            for name in ("a", "b"):
                await store.append(name, (), owner="local")
            sessions = LiveSessions(engine, store, FileStore(database, BlobStore(folder / "blobs")))
            yield sessions
            await sessions.aclose()
    except SandboxUnavailable as error:
        pytest.skip(str(error))


async def run(held: HeldSession, code: str, **more: bool) -> ExecutionResult:
    return await held.execute(ExecutionRequest(code=code), **more)


async def test_what_programs_leave_is_known_outside(live: LiveSessions) -> None:
    async with live.hold("a", owner="local") as held:
        await run(held, "x = 1\nopen('a.txt', 'w').write('1')")
        assert (dict(held.names), held.files) == ({"x": "1"}, ("a.txt",))
        await run(held, "y = 2\nopen('b.txt', 'w').write('2')")
        assert await held.undo()
        assert (dict(held.names), held.files) == ({"x": "1"}, ("a.txt",))
        assert not await held.undo()
    async with live.hold("a", owner="local") as held:
        assert dict(held.names) == {"x": "1"}


async def test_a_failed_program_is_undone_where_that_is_wanted(live: LiveSessions) -> None:
    async with live.hold("b", owner="local") as held:
        await run(held, "seen = [1]")
        await run(held, "seen.append(2)\n1 / 0")
        assert dict(held.names) == {"seen": "[1, 2]"}
        await run(held, "seen.append(3)\n1 / 0", keep_failed=False)
        assert dict(held.names) == {"seen": "[1, 2]"}
        refused = await run(held, "import socket", keep_failed=False)
        killed = await run(held, "import os\nos._exit(1)", keep_failed=False, check=False)
        assert (refused.success, killed.success) == (False, False)
        assert (await run(held, "seen")).value == "[1, 2]"


async def test_only_the_own_and_last_program_is_taken_back(live: LiveSessions) -> None:
    async with live.hold("b", owner="local") as held:
        one, other = held.part(), held.part()
        await run(one, "first = 1")
        await run(other, "second = 2")
        await one.take_back()
        assert {"first", "second"} <= held.names.keys()
        await other.take_back()
        assert "second" not in held.names
        await other.take_back()
        assert (await run(held, "first")).value == "1"


async def test_a_request_that_waits_can_be_cancelled(live: LiveSessions) -> None:
    async def ask() -> None:
        async with live.hold("a", owner="local") as held:
            await run(held, "x = 'of the one that waited'")

    async with live.hold("a", owner="local") as held:
        waiting = asyncio.create_task(ask())
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await run(held, "x = 3")
    async with live.hold("a", owner="local") as held:
        assert (await run(held, "x")).value == "3"


async def test_a_program_that_is_cancelled_leaves_the_session_as_it_was(
    live: LiveSessions, tmp_path: Path
) -> None:
    async with live.hold("a", owner="local") as held:
        await run(held, "x = 4")
    running = asyncio.Event()

    async def ask() -> None:
        async with live.hold("a", owner="local") as held:
            running.set()
            await run(held, "x = 5\nimport time\ntime.sleep(60)")

    task = asyncio.create_task(ask())
    await running.wait()
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with live.hold("a", owner="local") as held:
        assert held.names["x"] == "4"
        assert (await run(held, "x")).value == "4"


async def test_the_check_knows_the_names_of_a_session(live: LiveSessions) -> None:
    async with live.hold("a", owner="local") as held:
        await run(held, "import math\nradius = 2")
        known = await run(held, "area = math.pi * radius ** 2")
        assert known.issues == ()
        unknown = await run(held, "print(raduis)")
        assert ["raduis" in issue.message for issue in unknown.issues] == [True]


async def test_a_session_that_nobody_has_is_unknown(live: LiveSessions) -> None:
    with pytest.raises(NotFound):
        async with live.hold("none", owner="local"):
            pytest.fail("it was held")
    async with live.hold("new", owner="local", gives_way=True) as held:
        assert held.notes == ()
        assert (await run(held, "1 + 1")).value == "2"


async def test_variables_of_another_server_are_said_not_to_be_here(live: LiveSessions) -> None:
    other = LiveSessions(live._engine, live._store, live._files)
    await live._store.append("shared", (), owner="local")
    asked = ExecutionRequest(code="x = 1")
    assert (await live.execute(asked, "shared", owner="local")).notes == ()
    there = await other.execute(asked, "shared", owner="local")
    assert "not in this server" in there.notes[0]
    for each in (live, other):
        assert (await each.execute(asked, "shared", owner="local")).notes == ()
    said = (ChatTurn(role="user", content="hello"), ChatTurn(role="assistant", content="hello"))
    await live._store.append("spoken", said, owner="local")
    async with other.hold("spoken", owner="local", gives_way=True) as held:
        assert held.notes == ()
    await other.aclose()


async def test_whoever_has_most_sessions_gives_one_up_for_who_has_none(tmp_path: Path) -> None:
    settings = load_settings(execution_dir=tmp_path / "execution", preimport="none", max_sessions=2)
    async with open_database(settings) as database, open_engine(settings) as engine:
        store = SessionStore(database)
        live = LiveSessions(engine, store, FileStore(database, BlobStore(tmp_path / "blobs")))
        for owner in ("alice", "bob"):
            for name in ("1", "2", "3"):
                await store.append(owner + name, (), owner=owner)

        async def names(session_id: str, owner: str) -> tuple[list[str], tuple[str, ...]]:
            async with live.hold(session_id, owner=owner) as held:
                before = list(held.names)
                await run(held, f"{session_id} = 1")
                return before, held.notes

        assert await names("alice1", "alice") == await names("alice2", "alice") == ([], ())
        with pytest.raises(Busy):
            await names("alice3", "alice")
        assert await names("bob1", "bob") == ([], ())
        with pytest.raises(Busy):
            await names("bob2", "bob")
        assert await names("alice2", "alice") == (["alice2"], ()), (
            "the other one was not used as long"
        )
        with pytest.raises(Busy):
            await names("alice1", "alice")
        await live.aclose()


async def test_of_what_has_ended_only_the_reason_is_kept(tmp_path: Path) -> None:
    """A state holds on to everything that its requests were about."""
    settings = load_settings(execution_dir=tmp_path / "execution", preimport="none", max_sessions=1)
    async with open_database(settings) as database, open_engine(settings) as engine:
        store = SessionStore(database)
        live = LiveSessions(engine, store, FileStore(database, BlobStore(tmp_path / "blobs")))
        before = _states()
        for number in range(5):
            await store.append(f"s{number}", (), owner="local")
            async with live.hold(f"s{number}", owner="local", gives_way=True) as held:
                assert (await run(held, "x = 1")).notes == ()
        assert len(_states() - before) == 1
        async with live.hold("s0", owner="local", gives_way=True) as held:
            assert "place was needed for others" in " ".join((await run(held, "y = 1")).notes)
            assert dict(held.names) == {"y": "1"}
        async with live.hold("s0", owner="local") as held:
            assert dict(held.names) == {"y": "1"}
        await live.aclose()


def _states() -> set[int]:
    gc.collect()
    return {id(each) for each in gc.get_objects() if isinstance(each, EngineSession)}


async def test_a_session_that_is_deleted_while_it_is_held_runs_nothing_more(
    live: LiveSessions,
) -> None:
    with pytest.raises(NotFound, match="was deleted"):
        async with live.hold("new", owner="local", gives_way=True) as held:
            await live.end("new", owner="local")
            await run(held, "1")


async def test_files_that_were_not_put_back_are_so_the_next_time(tmp_path: Path) -> None:
    """A client may leave, or the store fail, while a session that was lost begins afresh."""
    settings = load_settings(
        data_dir=tmp_path, execution_dir=tmp_path / "execution", preimport="none"
    )
    asked, never = asyncio.Event(), asyncio.Event()

    async def restore() -> dict[str, bytes]:
        if asked.is_set():
            return {"a.txt": b"1"}
        asked.set()
        await never.wait()
        return {}

    async with open_engine(settings) as engine:
        state = Live()
        state.is_lost = True
        held = HeldSession(state, "s", engine=engine, begin=engine.open_session, restore=restore)
        leaving = asyncio.create_task(held.open())
        await asked.wait()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert not state.is_open
        await held.open()
        assert held.files == ("a.txt",)
        assert (await run(held, "open('a.txt').read()")).value == "'1'"
