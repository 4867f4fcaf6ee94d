"""The steps of unfinished runs in a backup of PostgreSQL: LangGraph's tables, whatever is in them."""

from __future__ import annotations

import base64
from typing import IO, Any

import orjson
from sqlalchemy import Connection, MetaData, func, insert, select
from sqlalchemy import Table as Relation

from backend.errors import RequestError
from backend.store.json_text import storable_json

_TABLES = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")
_BYTES = "$bytes"
_AT_A_TIME = 500


def step_tables(connection: Connection) -> list[Relation]:
    """Those there are; none where no server has been started yet, and none in SQLite."""
    if connection.dialect.name != "postgresql":
        return []
    found = MetaData()
    found.reflect(connection, only=lambda name, _: name in _TABLES)
    return [found.tables[name] for name in _TABLES if name in found.tables]


def count_steps(connection: Connection) -> int:
    """How many there are."""
    tables = step_tables(connection)
    return sum(connection.scalar(select(func.count()).select_from(each)) or 0 for each in tables)


def export_steps(connection: Connection, file: IO[bytes]) -> None:
    """Write all of them, a row a line."""
    for table in step_tables(connection):
        names = [str(column.name) for column in table.columns]
        for row in connection.execute(select(table).execution_options(yield_per=_AT_A_TIME)):
            values = dict(zip(names, map(_told, row), strict=True))
            file.write(storable_json({"table": str(table.name), "row": values}).encode() + b"\n")


def import_steps(connection: Connection, content: IO[bytes]) -> None:
    """Put them back, where there are tables for them.

    Raises:
        RequestError: a row cannot be read.
    """
    tables = {str(each.name): each for each in step_tables(connection)}
    for line in content:
        try:
            told = orjson.loads(line)
            table, row = tables.get(told["table"]), told["row"]
            values = {name: _meant(value) for name, value in row.items()}
        except (ValueError, LookupError, TypeError, AttributeError):
            raise RequestError(
                "The backup is damaged: a step in it cannot be read.", "Use another."
            ) from None
        if table is not None:
            connection.execute(insert(table), values)


def _told(value: Any) -> Any:
    return {_BYTES: base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _meant(value: Any) -> Any:
    is_bytes = isinstance(value, dict) and value.keys() == {_BYTES}
    return base64.b64decode(value[_BYTES]) if is_bytes else value
