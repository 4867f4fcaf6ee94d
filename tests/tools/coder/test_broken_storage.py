"""A store that is broken, full or in use: the result says so, and what was reached is not lost."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backend.tools.python_coder_tool import open_tool
from backend.types import Event
from tests.scripts import generate
from tests.solving import GOOD, Play, solve

pytestmark = pytest.mark.sandbox


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def damage(path: Path) -> None:
    path.write_bytes(b"no database " * 1000)


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 + 100])


def put_other_tables(path: Path) -> None:
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE checkpoints (a, b)")
        database.commit()


@pytest.mark.parametrize("spoil", [damage, cut, put_other_tables])
async def test_steps_that_cannot_be_read_are_set_aside_and_cost_nothing_else(
    data: Path, play: Play, spoil: Any
) -> None:
    play(generate("print(1)"), generate("print(2)"), *GOOD)
    assert (await solve())["output"] == "1\n"
    kept = data / "checkpoints.db"
    spoil(kept)
    assert (await solve(use_cache=False))["output"] == "2\n"
    assert (data / "checkpoints.db.broken").is_file()
    assert (await solve())["cached"] is True


async def test_a_record_of_another_make_is_named_and_nothing_is_written_to_it(
    data: Path, play: Play
) -> None:
    play(generate("print(1)"), *GOOD)
    with closing(sqlite3.connect(data / "python-coder.db")) as database:
        database.execute("CREATE TABLE runs (a, b)")
        database.commit()
    result = await solve()
    assert result["success"] is False
    assert "runs" in result["error"]
    assert result["usage"]["calls"] == 0


async def test_artifacts_that_cannot_be_kept_end_a_task_with_what_was_reached(
    data: Path, play: Play
) -> None:
    play(generate("open('a.txt', 'w').write('x')\nprint(1)"), *GOOD)
    (data / "blobs").write_text("in the way")
    result = await solve()
    assert (result["success"], result["error_kind"]) == (False, "input")
    assert str(data / "blobs") in result["error"]
    assert "a.txt" in result["code"]


def put_back(database: Path, table: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"ALTER TABLE gone RENAME TO {table}")
        connection.commit()


def take_away(database: Path, table: str) -> Callable[[Event], None]:
    """Whoever is told of a run takes a table away under it."""

    def emit(event: Event) -> None:
        if event.kind == "run":
            with closing(sqlite3.connect(database)) as connection:
                connection.execute(f"ALTER TABLE {table} RENAME TO gone")
                connection.commit()

    return emit


async def test_a_result_that_cannot_be_recorded_is_given_all_the_same(
    data: Path, play: Play
) -> None:
    play(generate("print(1)"), *GOOD)
    result = await solve(emit=take_away(data / "python-coder.db", "runs"))
    assert (result["success"], result["output"], result["cached"]) == (True, "1\n", False)
    assert any("could not be recorded" in note for note in result["notes"])


async def test_steps_that_can_no_longer_be_kept_end_a_task_with_what_was_reached(
    data: Path, play: Play
) -> None:
    play(generate("print(1)"), *GOOD)
    result = await solve(emit=take_away(data / "checkpoints.db", "checkpoints"))
    assert (result["success"], result["error_kind"]) == (False, "input")
    assert "checkpoints.db" in result["error"]
    assert result["code"] == "print(1)"
    assert result["usage"]["calls"] == 2


class Writer:
    """Somebody else who writes to the database, so that others wait for their turn."""

    def __init__(self, database: Path) -> None:
        self._connection = sqlite3.connect(database)

    def begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def end(self) -> None:
        self._connection.rollback()
        self._connection.close()


def left_behind(data: Path) -> tuple[list[str], int]:
    """How the runs stand, and how many steps are kept."""
    with (
        closing(sqlite3.connect(data / "python-coder.db")) as runs,
        closing(sqlite3.connect(data / "checkpoints.db")) as steps,
    ):
        statuses = [row[0] for row in runs.execute("SELECT status FROM runs ORDER BY position")]
        (kept,) = steps.execute("SELECT count(*) FROM checkpoints").fetchone()
    return statuses, kept


@pytest.mark.parametrize(("moment", "recorded"), [("begin", "cancelled"), ("output", "completed")])
async def test_a_task_that_is_cancelled_while_it_is_recorded_leaves_nothing_open(
    data: Path, play: Play, moment: str, recorded: str
) -> None:
    play(generate("print(1)", repeat=True), *GOOD)
    async with open_tool() as tool:
        await tool.execute_code_task("The first one")
        other = Writer(data / "python-coder.db")

        def emit(event: Event) -> None:
            if event.kind == moment:
                other.begin()

        if moment == "begin":
            other.begin()
        task = asyncio.create_task(tool.execute_code_task("The second", emit=emit))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.sleep(0.1)
        other.end()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert left_behind(data) == (["completed", recorded], 0)


async def test_an_end_that_could_not_be_recorded_is_recorded_once_the_store_works_again(
    data: Path, play: Play
) -> None:
    play(generate("print(1)", repeat=True), *GOOD)
    database = data / "python-coder.db"
    async with open_tool() as tool:
        first = await tool.execute_code_task("The first one", emit=take_away(database, "runs"))
        assert first["output"] == "1\n"
        put_back(database, "runs")
        await tool.execute_code_task("The second")
    assert left_behind(data) == (["completed", "completed"], 0)
