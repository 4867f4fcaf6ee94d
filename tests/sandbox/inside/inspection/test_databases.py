from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.sandbox.inside.inspection.program import column, look


def make(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(script)


def test_a_view_that_cannot_be_read_does_not_hide_the_tables(tmp_path: Path) -> None:
    make(
        tmp_path / "t.db",
        "CREATE TABLE a (x); INSERT INTO a VALUES (1);"
        "CREATE TABLE gone (x); CREATE VIEW v AS SELECT x FROM gone; DROP TABLE gone;",
    )
    facts = look(tmp_path, "t.db")[0]
    table, view = facts["tables"]
    assert (table["name"], table["rows"]) == ("a", 1)
    assert view["note"].startswith("cannot be read: ")
    assert facts["table_names"] == ["a", "v"]


def test_names_with_quotes_and_texts_that_are_no_utf8_are_read(tmp_path: Path) -> None:
    make(
        tmp_path / "t.sqlite",
        """CREATE TABLE "a ""b" (t TEXT); INSERT INTO "a ""b" VALUES (CAST(X'62ff' AS TEXT));""",
    )
    table = look(tmp_path, "t.sqlite")[0]["tables"][0]
    assert table["name"] == 'a "b'
    assert column(table, "t")["samples"] == ["b\ufffd"]
