"""No statement reaches rows without saying whose they are, unless that is meant."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import bindparam, delete, func, insert, or_, select, text, update
from sqlalchemy.orm import aliased

from backend.store.database import Database, owned_by
from backend.store.ownership import OwnerMissing, marked, of_any_owner
from backend.store.tables import FileRow, MessageRow, RunRow, SessionRow

MINE = owned_by(FileRow, "me")
OTHER = aliased(FileRow)
COUNT = (
    select(func.count(MessageRow.position))
    .where(MessageRow.owner == SessionRow.owner, MessageRow.session_id == SessionRow.id)
    .scalar_subquery()
)
NEWEST = select(RunRow.position).where(owned_by(RunRow, "me")).limit(1)
ANYBODYS = select(RunRow.position).where(RunRow.key == "k").limit(1)
TIED = select(FileRow.id).join(SessionRow, SessionRow.owner == FileRow.owner)

SCOPED: dict[str, Any] = {
    "a row": select(FileRow).where(MINE, FileRow.id == "x"),
    "columns": select(FileRow.id, FileRow.size).where(FileRow.id == "x").where(MINE),
    "a value given later": select(FileRow.id).where(FileRow.owner == bindparam("o", "me")),
    "one of several": select(FileRow.id).where(MINE, or_(FileRow.id == "x", FileRow.size > 1)),
    "an update": update(FileRow).where(MINE).values(size=1),
    "a delete": delete(FileRow).where(MINE).returning(FileRow.sha256),
    "another name": select(OTHER.id).where(OTHER.owner == "me"),
    "a row's others": select(SessionRow, COUNT).where(owned_by(SessionRow, "me")),
    "a scoped list": delete(RunRow).where(
        owned_by(RunRow, "me"), RunRow.position.not_in(NEWEST), RunRow.name.is_(None)
    ),
    "a tie": TIED.where(MINE),
    "no table of ours": text("SELECT 1"),
    "all, for a reason": of_any_owner(select(FileRow.id), "a test"),
}
UNSCOPED: dict[str, Any] = {
    "all rows": select(FileRow),
    "one by its id": select(FileRow.id).where(FileRow.id == "x"),
    "how many": select(func.count()).select_from(FileRow),
    "an alternative": select(FileRow.id).where(or_(MINE, FileRow.id == "x")),
    "all others": select(FileRow.id).where(~MINE),
    "another's": select(FileRow.id).where(FileRow.owner != "me"),
    "nobody's": select(FileRow.id).where(FileRow.owner.is_(None)),
    "an update": update(FileRow).where(FileRow.id == "x").values(size=1),
    "a delete": delete(FileRow).where(FileRow.id == "x"),
    "a second table": select(FileRow.id, RunRow.id).where(MINE, RunRow.id == FileRow.id),
    "the other name": select(FileRow.id, OTHER.id).where(MINE, OTHER.id == FileRow.id),
    "an open list": delete(RunRow).where(owned_by(RunRow, "me"), RunRow.position.not_in(ANYBODYS)),
    "an open one in a scoped one": select(FileRow.id).where(
        MINE, FileRow.sha256.in_(select(RunRow.id))
    ),
    "a tie to nobody": TIED,
    "an outer join's": select(FileRow.id).outerjoin(RunRow, owned_by(FileRow, "me")),
    "both": select(FileRow.id).where(MINE).union(select(FileRow.id)),
    "from there to here": insert(FileRow).from_select(["id"], select(RunRow.id)),
    "in words": text("SELECT id FROM files WHERE owner = 'me'"),
}


@pytest.mark.parametrize("case", sorted(SCOPED))
async def test_what_says_whose_rows_it_reaches_goes_through(database: Database, case: str) -> None:
    async with database.transaction() as session:
        await session.execute(SCOPED[case])


async def test_what_does_not_never_reaches_the_database(database: Database) -> None:
    passed = []
    for case, statement in UNSCOPED.items():
        for _ in range(2):  # what was refused once is not taken for seen
            try:
                async with database.transaction() as session:
                    await session.execute(statement)
                passed.append(case)
            except OwnerMissing as error:
                assert "owned_by" in str(error)
    assert passed == []


async def test_the_quick_way_is_guarded_as_well(database: Database) -> None:
    with pytest.raises(OwnerMissing, match="files"):
        await database.work(lambda connection: connection.execute(select(FileRow.id)))
    with pytest.raises(OwnerMissing, match="files"):
        await database.work(lambda connection: connection.exec_driver_sql("DELETE FROM files"))
    words = text("SELECT count(*) FROM files")
    found = await database.work(
        lambda connection: connection.scalar(words, execution_options=marked("a test"))
    )
    assert found == 0


async def test_a_mark_counts_for_the_statement_that_has_it_only(database: Database) -> None:
    statement = select(FileRow.id)
    async with database.transaction() as session:
        await session.execute(of_any_owner(statement, "a test"))
    with pytest.raises(OwnerMissing):
        async with database.transaction() as session:
            await session.execute(statement)
    with pytest.raises(ValueError, match="reason"):
        of_any_owner(statement, "")
