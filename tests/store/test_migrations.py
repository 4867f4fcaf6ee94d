"""Databases of every version are brought to this one, and back; what is in them stays."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, NullPool, create_engine, inspect, text

from backend.config.settings import load_settings
from backend.errors import SettingsError
from backend.store.database import open_database
from backend.store.migrations import HEAD, VERSION_TABLE
from backend.store.migrations.moving import downgrade, scripts, upgrade
from backend.store.schema import ensure_schema, locked, version_of
from backend.store.tables import Table

FILE = (
    "INSERT INTO files (owner, created_at, id, filename, purpose, media_type, size, sha256)"
    " VALUES ('me', 1.5, 'file-1', 'a.csv', 'assistants', 'text/csv', 3, 'x')"
)
RUN = (
    "INSERT INTO runs (owner, created_at, id, kind, key, status, request, spec, model, prompts,"
    " code, usage, timings, process, updated_at) VALUES ('me', 1.5, 'run-1', 'ask', 'k',"
    " 'completed', 'q', '{\"a\": 1}', 'm', '{}', 'print(1)', '{}', '{}', 'p', 2.5)"
)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/x.db"
    address: str = request.getfixturevalue("postgres_url")
    return address


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    made = create_engine(
        url.replace("postgresql:", "postgresql+psycopg:"),
        isolation_level="AUTOCOMMIT",
        poolclass=NullPool,
    )
    yield made
    made.dispose()


def differences(connection: Connection) -> list[Any]:
    def ours(name: str | None, kind: str, _parents: Any) -> bool:
        return kind != "table" or name != VERSION_TABLE

    options = {"include_name": ours, "version_table": VERSION_TABLE}
    return list(
        compare_metadata(MigrationContext.configure(connection, opts=options), Table.metadata)
    )


def rows(connection: Connection, table: str) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(text(f"SELECT * FROM {table}")).mappings()]


def test_the_steps_lead_to_the_tables_and_back_and_lose_nothing(engine: Engine) -> None:
    with engine.connect() as connection:
        with locked(connection):
            upgrade(connection, "0001")
            connection.execute(text(FILE))
            connection.exec_driver_sql(RUN)
        before = {name: rows(connection, name) for name in ("files", "runs")}
        with locked(connection):
            upgrade(connection)
        assert version_of(connection) == HEAD
        assert differences(connection) == [], "tables.py and backend/store/migrations differ"
        later = {name: rows(connection, name) for name in ("files", "runs")}
        assert (later["runs"][0]["background"], later["files"][0]["expires_at"]) == (0, None)
        with locked(connection):
            downgrade(connection, "0001")
        assert {name: rows(connection, name) for name in ("files", "runs")} == before
        with locked(connection):
            downgrade(connection)
        assert inspect(connection).get_table_names() == [VERSION_TABLE]


def test_what_results_tell_of_is_found_by_its_digest_afterwards(engine: Engine) -> None:
    made = [{"name": "a.csv", "sha256": digest * 64} for digest in "aab"]
    result = {"artifacts": made[:2], "python_coder_results": [{"artifacts": made}]}
    told = RUN.replace(" updated_at)", " updated_at, result)")
    with engine.connect() as connection:
        with locked(connection):
            upgrade(connection, "0002")
            connection.exec_driver_sql(told.replace("2.5)", f"2.5, '{json.dumps(result)}')"))
            for number in range(2, 500):
                connection.exec_driver_sql(RUN.replace("run-1", f"run-{number}"))
            last = told.replace("2.5)", f"2.5, '{json.dumps({'artifacts': made[2:]})}')")
            connection.exec_driver_sql(last.replace("run-1", "run-500"))
            upgrade(connection)
        kept = {(row["run_id"], row["sha256"]) for row in rows(connection, "run_contents")}
        assert kept == {("run-1", "a" * 64), ("run-1", "b" * 64), ("run-500", "b" * 64)}
        with locked(connection):
            downgrade(connection, "0002")
        assert "run_contents" not in inspect(connection).get_table_names()
        assert len(rows(connection, "runs")) == 500


def test_a_new_database_is_what_the_steps_lead_to(engine: Engine) -> None:
    with engine.connect() as connection:
        ensure_schema(connection)
        assert version_of(connection) == HEAD == scripts().get_current_head()
        assert differences(connection) == []
        with locked(connection):
            downgrade(connection)


async def test_a_database_from_before_there_were_versions_is_brought_up_to_date(
    engine: Engine, url: str
) -> None:
    with engine.connect() as connection, locked(connection):
        upgrade(connection, "0001")
        connection.exec_driver_sql(RUN)
        connection.execute(text(f"DROP TABLE {VERSION_TABLE}"))
        connection.execute(text("DROP TABLE files"))
    async with open_database(load_settings(database_url=url)):
        pass
    with engine.connect() as connection:
        assert differences(connection) == []
        assert [row["id"] for row in rows(connection, "runs")] == ["run-1"]


async def test_a_database_of_a_newer_version_is_refused_and_left_alone(
    engine: Engine, url: str
) -> None:
    with engine.connect() as connection:
        ensure_schema(connection)
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(SettingsError, match=r"version 9999.*up to.*Install that version"):
        async with open_database(load_settings(database_url=url)):
            pass
    with engine.connect() as connection:
        assert version_of(connection) == "9999"


async def test_a_step_that_fails_leaves_the_database_as_it_was(engine: Engine) -> None:
    with engine.connect() as connection:
        with locked(connection):
            upgrade(connection, "0001")
            # What stands in the way of 0002, after it has done some of its work.
            connection.execute(text("CREATE TABLE containers (x INTEGER)"))
        with pytest.raises(Exception, match="containers"):
            ensure_schema(connection)
        assert version_of(connection) == "0001"
        assert "api_keys" not in inspect(connection).get_table_names()
        connection.execute(text("DROP TABLE containers"))
        ensure_schema(connection)
        assert differences(connection) == []


@pytest.mark.parametrize("old", [False, True], ids=["new", "old"])
async def test_any_number_may_open_one_at_the_same_time(
    engine: Engine, url: str, old: bool
) -> None:
    if old:
        with engine.connect() as connection, locked(connection):
            upgrade(connection, "0001")

    async def open_it() -> bool:
        async with open_database(load_settings(database_url=url)) as database:
            return await database.fault() == ""

    assert await asyncio.gather(*(open_it() for _ in range(4))) == [True] * 4
    with engine.connect() as connection:
        assert differences(connection) == []
