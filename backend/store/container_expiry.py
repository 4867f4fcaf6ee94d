"""Forgetting containers that nobody uses any more, with the files that lie in them."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import delete, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.store.containers import DEFAULT_EXPIRY_MIN
from backend.store.database import Database, owned_by
from backend.store.ownership import of_any_owner
from backend.store.run_records import OVER
from backend.store.run_rows import used_elsewhere
from backend.store.tables import ContainerRow, FileRow, ResponseRow, RunRow, SessionRow

SHOWN_S = 86_400.0
"""How long a container that has expired is still there: whoever looks learns what became of it."""
_AT_A_TIME = 200
_EVERYBODY = "a container that has expired is over, whosesoever it is"


async def forget_containers(database: Database) -> tuple[int, set[str]]:
    """Forget containers a day after they expired, and the files in them.

    One whose conversation or responses are kept is a part of them, and goes when they are deleted;
    one in which a run can still go on stays.

    Returns:
        How many there were, and the digests of bytes that nothing refers to any more.
    """
    count, unused, position = 0, set[str](), 0
    while True:
        async with database.transaction() as session:
            found = (await session.execute(_unused_after(position))).all()
            over = [row for row in found if _expired_at(row) + SHOWN_S < time.time()]
            gone = [digests for row in over if (digests := await _forget(session, row)) is not None]
            digests = set().union(*gone)
            unused |= digests - await used_elsewhere(session, digests)
        count += len(gone)
        if len(found) < _AT_A_TIME:
            return count, unused
        position = found[-1].position


def _unused_after(position: int) -> Any:
    """Containers behind a position that nothing else needs, unused for long."""
    mine = [
        (table.owner == ContainerRow.owner, table.session_id == ContainerRow.session_id)
        for table in (ResponseRow, RunRow)
    ]
    needed = (
        exists().where(
            SessionRow.owner == ContainerRow.owner, SessionRow.id == ContainerRow.session_id
        ),
        exists().where(*mine[0]),
        exists().where(*mine[1], RunRow.status.not_in(OVER)),
    )
    columns = (
        *(ContainerRow.position, ContainerRow.owner, ContainerRow.session_id),
        *(ContainerRow.details, ContainerRow.last_active_at),
    )
    query = (
        select(*columns)
        .where(
            ContainerRow.position > position,
            ContainerRow.last_active_at < time.time() - SHOWN_S,
            *(~each for each in needed),
        )
        .order_by(ContainerRow.position)
        .limit(_AT_A_TIME)
    )
    return of_any_owner(query, _EVERYBODY)


def _expired_at(row: Any) -> float:
    minutes = int(row.details.get("expires_after_min", DEFAULT_EXPIRY_MIN))
    return float(row.last_active_at) + minutes * 60


async def _forget(session: AsyncSession, row: Any) -> set[str] | None:
    """Forget a container with its files; None when it was used meanwhile."""
    same = delete(ContainerRow).where(
        owned_by(ContainerRow, row.owner),
        ContainerRow.position == row.position,
        ContainerRow.last_active_at == row.last_active_at,
    )
    if await session.scalar(same.returning(ContainerRow.id)) is None:
        return None
    files = delete(FileRow).where(
        owned_by(FileRow, row.owner), FileRow.session_id == row.session_id
    )
    return {*(await session.scalars(files.returning(FileRow.sha256))).all()}
