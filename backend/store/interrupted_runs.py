"""Runs whose process ended before they did: found out, and gone on with by whoever is first."""

from __future__ import annotations

import time

from sqlalchemy import Select, select, update

from backend.store.database import Database, owned_by
from backend.store.processes import this_process
from backend.store.run_records import Run, run_of
from backend.store.run_rows import count_of, is_abandoned, is_run, lean, mark_interrupted, of_key
from backend.store.tables import RunRow


class InterruptedRuns:
    """The part of ``RunStore`` that is about them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, *, owner: str, key: str) -> Run | None:
        """The newest run of an identical request that was interrupted, or None."""
        query = of_key(owner, key)
        async with self._database.transaction() as session:
            unfinished = RunRow.status.in_(("running", "interrupted"))
            if await session.scalar(lean(query).where(unfinished).limit(1)) is None:
                return None
        await self._mark(query, owner)
        async with self._database.transaction() as session:
            row = await session.scalar(query.where(RunRow.status == "interrupted").limit(1))
        return None if row is None else run_of(row)

    async def mark(self, *, owner: str) -> int:
        """Mark every run whose process is gone; returns how many were found to be."""
        return await self._mark(select(RunRow).where(owned_by(RunRow, owner)), owner)

    async def claim(self, run_id: str, *, owner: str) -> bool:
        """Take over an interrupted run for this process; False when somebody else was faster."""
        values = {"status": "running", "process": this_process(), "updated_at": time.time()}
        async with self._database.transaction() as session:
            taken = await session.execute(
                update(RunRow)
                .where(*is_run(run_id, owner), RunRow.status == "interrupted")
                .values(**values)
            )
        return count_of(taken) == 1

    async def _mark(self, query: Select[RunRow], owner: str) -> int:
        async with self._database.transaction() as session:
            rows = await session.scalars(lean(query).where(RunRow.status == "running"))
            running = rows.all()
        marked = 0
        for row in running:
            if is_abandoned(row.process, row.updated_at):
                async with self._database.transaction() as session:
                    marked += await mark_interrupted(session, row.id, owner, row.process)
        return marked
