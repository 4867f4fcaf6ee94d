"""Files that came inside messages of conversations that never came about.

They are kept before the question is answered, and it was not: it was refused, failed or was
cancelled, or the process was killed.
"""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, exists, select

from backend.store.database import Database, owned_by
from backend.store.file_records import INLINE_PURPOSE
from backend.store.files import FileStore
from backend.store.ownership import of_any_owner
from backend.store.tables import (
    UNFINISHED,
    ContainerRow,
    FileRow,
    ResponseRow,
    RunRow,
    SessionRow,
)

STRAY_S = 86_400.0
"""How old they are before they go by themselves: their questions may be under way until then."""
_AT_A_TIME = 500
_EVERYBODY = "what belongs to nothing goes, whosesoever it is"


async def forget_unanswered(
    database: Database, files: FileStore, session_id: str, *, owner: str
) -> None:
    """Forget the files of a conversation that did not come about, now that its request has ended.

    Where anything of it was kept, or somebody goes on with it, they stay.
    """
    goes_on = _of_session(RunRow, RunRow.session_id).where(UNFINISHED)
    mine = (owned_by(FileRow, owner), FileRow.session_id == session_id)
    forget = delete(FileRow).where(*mine, *_stray(), ~goes_on).returning(FileRow.sha256)

    def do(connection: Connection) -> set[str]:
        return {*connection.scalars(forget)}

    # In one line with what is still being written of it, where that was cancelled.
    await files.forget_bytes(await database.work(do), of_files=True)


async def forget_strays(database: Database, files: FileStore) -> int:
    """Forget those of all owners, a day after they came; returns how many there were."""
    old = FileRow.created_at < time.time() - STRAY_S
    which = (old, *_stray(), ~_of_session(RunRow, RunRow.session_id))
    count = position = 0
    while True:
        some = select(FileRow.position).where(FileRow.position > position, *which)
        some = some.order_by(FileRow.position).limit(_AT_A_TIME)
        async with database.transaction() as session:
            found = (await session.scalars(of_any_owner(some, _EVERYBODY))).all()
        if not found:
            return count
        position = found[-1]
        forget = delete(FileRow).where(FileRow.position.in_(found), *which)
        async with database.transaction() as session:
            told = of_any_owner(forget.returning(FileRow.sha256), _EVERYBODY)
            digests = (await session.scalars(told)).all()
        count += len(digests)
        await files.forget_bytes({*digests}, of_files=True)


def _stray() -> tuple[ColumnElement[bool], ...]:
    """What makes a file one, but for the runs of its conversation."""
    return (
        FileRow.purpose == INLINE_PURPOSE,
        FileRow.session_id.is_not(None),
        ~_of_session(SessionRow, SessionRow.id),
        ~_of_session(ResponseRow, ResponseRow.session_id),
        ~_of_session(ContainerRow, ContainerRow.session_id),
    )


def _of_session(table: Any, session_id: Any) -> Any:
    """That a table has something of the conversation of a file."""
    return exists().where(table.owner == FileRow.owner, session_id == FileRow.session_id)
