"""Databases: the tables and views of an SQLite file."""

from __future__ import annotations

import contextlib
from typing import Any

from . import tables
from .facts import ENTRIES, NAME_CHARS, NAMES, SHEET_ROWS, Facts, plain, short


def inspect(name: str) -> Facts:
    """Every table with its columns; the file is opened such that nothing is written beside it."""
    import sqlite3
    import urllib.parse

    address = f"file:{urllib.parse.quote(name)}?mode=ro&immutable=1"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
        database.text_factory = lambda raw: raw.decode("utf-8", "replace")
        query = "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name"
        found = database.execute(query).fetchall()
        names = [short(table, NAME_CHARS) for table, _ in found[:NAMES]]
        some = [
            {"name": name, "kind": kind, **_table(database, table)}
            for name, (table, kind) in zip(names[:ENTRIES], found, strict=False)
        ]
    return {"tables": some, "table_names": names}


def _table(database: Any, table: str) -> Facts:
    import sqlite3

    import pandas as pd

    quoted = '"' + table.replace('"', '""') + '"'
    try:
        rows = database.execute(f"SELECT COUNT(*) FROM {quoted}").fetchone()[0]
        frame = pd.read_sql_query(f"SELECT * FROM {quoted} LIMIT {SHEET_ROWS}", database)
    except (sqlite3.Error, pd.errors.DatabaseError) as error:
        # A view on what is no longer there; the other tables are as good as ever.
        return {"note": f"cannot be read: {plain(str(error))}"}
    return tables.describe(frame, rows=rows)
