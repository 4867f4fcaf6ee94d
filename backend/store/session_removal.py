"""Deleting a conversation with all that it brought."""

from __future__ import annotations

from sqlalchemy import delete, select

from backend.store.database import Database, owned_by
from backend.store.run_records import Forgotten, digests_of
from backend.store.run_rows import used_elsewhere
from backend.store.tables import (
    ContainerRow,
    FileRow,
    ResponseRow,
    RunEventRow,
    RunRow,
    SessionRow,
)


async def remove_session(database: Database, session_id: str, *, owner: str) -> Forgotten:
    """Delete a conversation with all that came about in it; what was uploaded by itself stays.

    That is: messages, runs and their events, responses, containers, files that programs wrote or
    that came inside messages.

    Returns:
        How much there was, 0 where the owner has nothing of the kind; the runs whose steps are to
        be forgotten; and the digests of bytes that nothing refers to any more.
    """
    async with database.transaction() as session:
        count = 0
        gone = delete(SessionRow).where(owned_by(SessionRow, owner), SessionRow.id == session_id)
        count += len((await session.scalars(gone.returning(SessionRow.id))).all())
        runs = delete(RunRow).where(owned_by(RunRow, owner), RunRow.session_id == session_id)
        ended = (await session.execute(runs.returning(RunRow.id, RunRow.result))).all()
        ids = [run_id for run_id, _ in ended]
        events = (owned_by(RunEventRow, owner), RunEventRow.run_id.in_(ids))
        await session.execute(delete(RunEventRow).where(*events))
        files = delete(FileRow).where(owned_by(FileRow, owner), FileRow.session_id == session_id)
        digests = {*(await session.scalars(files.returning(FileRow.sha256))).all()}
        count += len(ids) + len(digests)
        for table in (ResponseRow, ContainerRow):
            mine = delete(table).where(owned_by(table, owner), table.session_id == session_id)
            count += len((await session.scalars(mine.returning(table.id))).all())
        unused = digests.union(*(digests_of(result) for _, result in ended))
        unused -= await used_elsewhere(session, unused)
    return Forgotten(count=count, unused=frozenset(unused), interrupted=tuple(ids))


async def unfinished_run_ids(database: Database, session_id: str, *, owner: str) -> list[str]:
    """The ids of a conversation's runs that are not over."""
    query = select(RunRow.id).where(
        owned_by(RunRow, owner),
        RunRow.session_id == session_id,
        RunRow.status.in_(("queued", "running", "waiting", "interrupted")),
    )
    async with database.transaction() as session:
        return list((await session.scalars(query)).all())
