from __future__ import annotations

import asyncio
import gc
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from backend.config.settings import load_settings
from backend.errors import SettingsError, StoreUnavailable
from backend.store.database import Database, open_database
from tests.leaks import cancel_everywhere, nothing_left_open
from tests.store.conftest import ON_BOTH


async def test_sqlite_waits_for_others_and_keeps_references_whole(database: Database) -> None:
    async with database.transaction() as session:
        pragmas = {
            name: await session.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 10_000}


async def test_it_answers(database: Database) -> None:
    assert await database.fault() == ""


async def test_only_its_owner_can_read_it(database: Database, tmp_path: Path) -> None:
    mode = (tmp_path / "data" / "python-coder.db").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


async def test_a_url_beats_the_data_folder(tmp_path: Path) -> None:
    place = tmp_path / "elsewhere" / "x.db"
    async with open_database(load_settings(database_url=f"sqlite:///{place}")) as database:
        assert await database.fault() == ""
    assert place.is_file()


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("nonsense", id="no url"),
        pytest.param("oracle9://x/y", id="unknown dialect"),
        pytest.param("sqlite:////proc/none/x.db", id="cannot be created"),
    ],
)
async def test_an_unusable_url_stops_the_start(url: str) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL") as caught:
        async with open_database(load_settings(database_url=url)):
            pass
    for word in ("Errno", "aiosqlite", ".."):
        assert word not in str(caught.value)


async def test_a_password_is_never_shown() -> None:
    url = "sqlite+aiosqlite://user:secret@/proc/none/x.db"
    with pytest.raises(SettingsError) as caught:
        async with open_database(load_settings(database_url=url)):
            pass
    assert "secret" not in str(caught.value)
    assert "'sqlite://user:***@/proc/none/x.db'" in str(caught.value)


async def test_a_file_that_another_program_holds_may_be_free_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.store.database.BUSY_TIMEOUT_MS", 50)
    path = tmp_path / "held.db"
    settings = load_settings(database_url=f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailable, match=r"database is locked\. End what holds it"):
            async with open_database(settings):
                pass
    async with open_database(settings) as opened:
        assert await opened.fault() == ""


async def test_nothing_is_written_to_a_file_that_is_gone_or_another(
    database: Database, tmp_path: Path
) -> None:
    async def use() -> None:
        async with database.transaction() as session:
            await session.execute(text("SELECT 1"))

    await use()  # there is a connection in the pool, and one in the thread
    folder = tmp_path / "data"
    folder.rename(tmp_path / "gone")
    for is_back in (False, True):
        if is_back:
            folder.mkdir()
            (folder / "python-coder.db").touch()
        for late in (use(), database.work(lambda connection: connection.execute(text("SELECT 1")))):
            with pytest.raises(StoreUnavailable, match="removed or replaced"):
                await late
        assert "not the one that was opened" in await database.fault()
    assert (folder / "python-coder.db").stat().st_size == 0


@ON_BOTH
async def test_what_is_under_way_when_it_is_closed_comes_to_its_end(database: Database) -> None:
    begun, goes_on = asyncio.Event(), asyncio.Event()

    async def hold(opened: Database) -> None:
        async with opened.transaction() as session:
            await session.execute(text("SELECT 1"))
            begun.set()
            await goes_on.wait()
            await session.execute(text("SELECT 1"))

    with nothing_left_open():
        async with open_database(load_settings()) as opened:
            holder = asyncio.create_task(hold(opened))
            await begun.wait()
            asyncio.get_running_loop().call_later(0.05, goes_on.set)
        assert holder.done()
        await holder
        assert await opened.fault()
        for late in (hold(opened), opened.work(lambda connection: None)):
            with pytest.raises(StoreUnavailable, match="is closed"):
                await late
        del opened, holder, late


async def test_nothing_stays_open_wherever_it_is_cancelled() -> None:
    async def use() -> None:
        async with open_database(load_settings()) as opened:
            assert await opened.fault() == ""
            async with opened.transaction() as session:
                await session.execute(text("SELECT 1"))
            await opened.work(lambda connection: connection.execute(text("SELECT 1")))

    with nothing_left_open():
        assert await cancel_everywhere(use)


@ON_BOTH
async def test_what_was_cancelled_in_a_transaction_leaves_the_next_write_free(
    database: Database,
) -> None:
    async def write() -> None:
        await database.work(lambda connection: connection.execute(text("INSERT INTO n VALUES (1)")))
        async with database.transaction() as session:
            await session.execute(text("INSERT INTO n VALUES (2)"))
            await session.execute(text("SELECT * FROM n"))

    await database.work(lambda connection: connection.execute(text("CREATE TABLE n (n INTEGER)")))
    before = gc.get_threshold()
    gc.set_threshold(0)  # nothing is let go by chance
    try:
        assert await cancel_everywhere(write)
    finally:
        gc.set_threshold(*before)
