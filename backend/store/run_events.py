"""What happened in runs in the background, numbered from 1, to be read again from any point."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.store.database import Database, owned_by
from backend.store.run_rows import count_of, is_run
from backend.store.tables import TO_DO, RunEventRow, RunRow


@dataclass(frozen=True, kw_only=True)
class RunEvent:
    """Something that happened."""

    sequence: int
    kind: str
    data: Mapping[str, Any]
    """Plain JSON values."""
    created_at: float
    """Unix time in seconds."""


class RunEvents:
    """The part of ``RunStore`` that is about them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self, run_id: str, events: Sequence[tuple[str, Mapping[str, Any]]], *, owner: str
    ) -> bool:
        """Add events, each its kind and plain JSON values; only who works on the run may.

        Returns:
            False when nothing was added: the run's last event is there already, or the run is gone.
        """
        # Who changes the run's row keeps others from doing so until the end of the transaction:
        # no two find the same number to be free.
        goes_on = update(RunRow).where(*is_run(run_id, owner), TO_DO)
        async with self._database.transaction() as session:
            if not count_of(await session.execute(goes_on.values(updated_at=time.time()))):
                return False
            await append_events(session, run_id, owner, events)
        return True

    async def read(
        self, run_id: str, *, owner: str, after: int = 0, limit: int = 500
    ) -> list[RunEvent]:
        """The events that follow the number ``after``, in their order."""
        query = (
            select(RunEventRow)
            .where(
                owned_by(RunEventRow, owner),
                RunEventRow.run_id == run_id,
                RunEventRow.sequence > after,
            )
            .order_by(RunEventRow.sequence)
            .limit(limit)
        )
        async with self._database.transaction() as session:
            rows = (await session.scalars(query)).all()
        return [
            RunEvent(sequence=row.sequence, kind=row.kind, data=row.data, created_at=row.created_at)
            for row in rows
        ]


async def append_events(
    session: AsyncSession,
    run_id: str,
    owner: str,
    events: Sequence[tuple[str, Mapping[str, Any]]],
) -> None:
    """Add events within a transaction that has changed the run's row."""
    last = select(func.max(RunEventRow.sequence)).where(
        owned_by(RunEventRow, owner), RunEventRow.run_id == run_id
    )
    first, now = (await session.scalar(last) or 0) + 1, time.time()
    rows = [
        {
            "owner": owner,
            "created_at": now,
            "run_id": run_id,
            "sequence": first + place,
            "kind": kind,
            "data": dict(data),
        }
        for place, (kind, data) in enumerate(events)
    ]
    if rows:
        await session.execute(insert(RunEventRow), rows)
