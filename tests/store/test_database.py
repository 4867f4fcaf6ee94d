from __future__ import annotations

import stat
from pathlib import Path

import pytest
from sqlalchemy import text

from backend.config.settings import load_settings
from backend.errors import SettingsError
from backend.store.database import Database, open_database


async def test_sqlite_waits_for_others_and_keeps_references_whole(database: Database) -> None:
    async with database.transaction() as session:
        pragmas = {
            name: await session.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 10_000}


async def test_it_answers(database: Database) -> None:
    assert await database.works()


async def test_only_its_owner_can_read_it(database: Database, tmp_path: Path) -> None:
    mode = (tmp_path / "data" / "python-coder.db").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


async def test_a_url_beats_the_data_folder(tmp_path: Path) -> None:
    place = tmp_path / "elsewhere" / "x.db"
    async with open_database(load_settings(database_url=f"sqlite:///{place}")) as database:
        assert await database.works()
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
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        async with open_database(load_settings(database_url=url)):
            pass


async def test_a_password_is_never_shown() -> None:
    url = "sqlite+aiosqlite://user:secret@/proc/none/x.db"
    with pytest.raises(SettingsError) as caught:
        async with open_database(load_settings(database_url=url)):
            pass
    assert "secret" not in str(caught.value)
