"""Databases: the tables and views of an SQLite file."""

from __future__ import annotations

import contextlib
import urllib.parse
from typing import Any

from . import tables
from .facts import ENTRIES, NAME_CHARS, NAMES, SHEET_ROWS, Facts, plain, short

_ALL_ROWS = 20_000
"""Rows that are read of all tables together, the first ones before the others."""
_STEPS = 30_000_000
"""Instructions of SQLite for one question; a view can be made to never end."""


def inspect(name: str) -> Facts:
    """Every table with its columns; the file is opened such that nothing is written beside it."""
    import sqlite3

    address = f"file:{urllib.parse.quote(name)}?mode=ro&immutable=1"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
        database.text_factory = lambda raw: raw.decode("utf-8", "replace")
        query = "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name"
        found = database.execute(query).fetchall()
        names = [short(table, NAME_CHARS) for table, _ in found[:NAMES]]
        each = max(100, min(SHEET_ROWS, _ALL_ROWS // max(1, len(found))))
        some = [
            {"name": shown, "kind": kind, **_table(database, address, table, each)}
            for shown, (table, kind) in zip(names[:ENTRIES], found, strict=False)
        ]
    return {"tables": some, "table_names": names}


def _table(database: Any, address: str, table: str, rows: int) -> Facts:
    import sqlite3

    import pandas as pd

    quoted = '"' + table.replace('"', '""') + '"'
    database.set_progress_handler(lambda: 1, _STEPS)
    try:
        count = database.execute(f"SELECT COUNT(*) FROM {quoted}").fetchone()[0]
        frame = pd.read_sql_query(f"SELECT * FROM {quoted} LIMIT {rows}", database)
        links = database.execute(f"PRAGMA foreign_key_list({quoted})").fetchall()
        columns = database.execute(f"PRAGMA table_info({quoted})").fetchall()
    except (sqlite3.Error, pd.errors.DatabaseError) as error:
        # A view on what is no longer there; the other tables are as good as ever.
        return {"note": f"cannot be read: {plain(str(error))}"}
    finally:
        database.set_progress_handler(None, 0)
    query = f"SELECT * FROM {quoted}"
    connected = f"sqlite3.connect({address!r}, uri=True)"
    facts: Facts = {"read_with": f"import sqlite3; pd.read_sql_query({query!r}, {connected})"}
    if keys := [plain(column[1]) for column in columns if column[5]]:
        facts["primary_key"] = keys
    if links:
        # The column it points to is not told where it is the other table's key.
        facts["foreign_keys"] = [
            f"{link[3]} -> {link[2]}" + (f".{link[4]}" if link[4] else "") for link in links
        ]
    declared = {column[1]: column[2] for column in columns if column[2]}
    facts.update(tables.describe(frame, rows=count))
    for column in facts["columns"]:
        if column["name"] in declared:
            column["declared"] = short(declared[column["name"]], 40)
    return facts
