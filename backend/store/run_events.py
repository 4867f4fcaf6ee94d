"""What happened in runs in the background, numbered from 1, to be read again from any point."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.store.database import Database, owned_by
from backend.store.tables import RunEventRow


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

    async def last(self, run_id: str, *, owner: str) -> int:
        """The number of a run's last event; 0 where there is none."""
        async with self._database.transaction() as session:
            return await last_sequence(session, run_id, owner)

    async def add(
        self,
        run_id: str,
        events: Sequence[tuple[str, Mapping[str, Any]]],
        *,
        owner: str,
        number: int,
    ) -> None:
        """Add events, each its kind and plain JSON values; only who works on the run may.

        Args:
            run_id: the run.
            events: what happened.
            owner: whose it is.
            number: of the first one; there is none yet from it on.
        """
        async with self._database.transaction() as session:
            await add_events(session, run_id, owner, number, events)

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


async def last_sequence(session: AsyncSession, run_id: str, owner: str) -> int:
    """The number of a run's last event; 0 where there is none."""
    query = select(func.max(RunEventRow.sequence)).where(
        owned_by(RunEventRow, owner), RunEventRow.run_id == run_id
    )
    return await session.scalar(query) or 0


async def add_events(
    session: AsyncSession,
    run_id: str,
    owner: str,
    number: int,
    events: Sequence[tuple[str, Mapping[str, Any]]],
) -> None:
    """Add events within a transaction, the first under this number."""
    now = time.time()
    rows = [
        {
            "owner": owner,
            "created_at": now,
            "run_id": run_id,
            "sequence": number + place,
            "kind": kind,
            "data": dict(data),
        }
        for place, (kind, data) in enumerate(events)
    ]
    if rows:
        await session.execute(insert(RunEventRow), rows)
