"""What a database's tables are when it is opened: created, brought up to date, or refused.

Any number of processes may open one at the same time: whoever finds that something is to be done
takes a lock, and looks again. Where nothing is to be done, one short query says so, and Alembic is
not even imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    Select,
    String,
    inspect,
    literal_column,
    select,
    table,
)
from sqlalchemy import Table as Relation
from sqlalchemy.exc import DBAPIError

from backend.errors import SettingsError
from backend.store.migrations import HEAD, VERSION_TABLE
from backend.store.ownership import of_any_owner
from backend.store.tables import Table

_LOCK = 0x707963  # "pyc"
"""What PostgreSQL's advisory lock is called; any number does, as long as it is always this one."""
_NONE = "none"
"""The version of a database that has none of our tables."""
_UNWRITTEN = "unwritten"
"""The version of tables from before there were versions."""


def ensure_schema(connection: Connection) -> None:
    """Create the tables, or bring them to the version of this program.

    Args:
        connection: in autocommit mode; on return nothing is under way in it.

    Raises:
        SettingsError: they are of a version that this program does not know, or another program's.
    """
    with _unless_missing():
        if _written(connection) == HEAD:
            return
    with locked(connection):
        version = version_of(connection)
        if version == _NONE:
            Table.metadata.create_all(connection, checkfirst=False)
            _write(connection)
        elif version != HEAD:
            _upgrade(connection, version)


@contextmanager
def locked(connection: Connection) -> Iterator[None]:
    """A transaction that no other process has at the same time; committed when nothing is raised."""
    is_sqlite = connection.dialect.name == "sqlite"
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_sqlite else "BEGIN")
    try:
        if not is_sqlite:
            # Another process may be at it: for long, where there is much to move.
            connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        yield
    except BaseException:
        connection.exec_driver_sql("ROLLBACK")
        raise
    connection.exec_driver_sql("COMMIT")


def version_of(connection: Connection) -> str:
    """Which version the tables are of; ``none`` without any.

    Raises:
        SettingsError: one of their names is taken by another program's.
    """
    there = set(inspect(connection).get_table_names())
    if VERSION_TABLE in there:
        return _written(connection) or _UNWRITTEN
    ours = sorted(there & {"files", "sessions", "messages", "runs"})
    for name in ours:
        look: Select[Any] = select(literal_column("owner")).select_from(table(name)).limit(0)
        try:
            connection.execute(of_any_owner(look, "it reads no row"))
        except DBAPIError:
            raise SettingsError(
                f"The database has a table {name!r} that is another program's.",
                "Name another database with DATABASE_URL or PYTHON_CODER_DATA_DIR.",
            ) from None
    return _UNWRITTEN if ours else _NONE


def _versions() -> Relation:
    """The table that Alembic keeps, as it makes it."""
    column = Column("version_num", String(32), primary_key=True)
    return Relation(VERSION_TABLE, MetaData(), column)


def _written(connection: Connection) -> str | None:
    return connection.scalar(select(_versions().c.version_num))


def _write(connection: Connection) -> None:
    versions = _versions()
    versions.create(connection)
    connection.execute(versions.insert().values(version_num=HEAD))


def _upgrade(connection: Connection, version: str) -> None:
    from backend.store.migrations.moving import upgrade

    try:
        upgrade(connection)
    except LookupError:
        raise SettingsError(
            f"The database is of a newer python-coder: its tables are version {version}, this "
            f"program knows them up to {HEAD}.",
            "Install that version again, or name another database with DATABASE_URL or "
            "PYTHON_CODER_DATA_DIR.",
        ) from None


@contextmanager
def _unless_missing() -> Iterator[None]:
    """Go on where a table that is asked for is not there."""
    try:
        yield
    except DBAPIError as error:
        missing = getattr(error.orig, "sqlstate", None) == "42P01"
        if not missing and "no such table" not in str(error.orig):
            raise
