"""Runs that stand still until their user has decided about a program."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, select, update

from backend.store.database import Database
from backend.store.run_records import Run, not_waiting, run_of, storable
from backend.store.run_rows import count_of, is_run, unknown_run
from backend.store.tables import RunRow


class WaitingRuns:
    """The part of ``RunStore`` that is about them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def wait(
        self, run_id: str, result: Mapping[str, Any], *, owner: str, pending: Mapping[str, Any]
    ) -> None:
        """Record that a run stands still until somebody decides about a program.

        Args:
            run_id: the run.
            result: what is known so far, plain JSON values.
            owner: whose it is.
            pending: the program in question, with its ``digest``.

        Raises:
            NotFound: the owner has no such run.
        """
        values = {
            "status": "waiting",
            "code": storable(str(pending["code"])),
            "result": dict(result),
            "updated_at": time.time(),
        }
        spec = {"pending": dict(pending), "told_usage": result.get("usage")}
        await self._update_spec(run_id, owner, spec, values)

    async def decide(self, run_id: str, decision: Mapping[str, Any], *, owner: str) -> Run:
        """Record what was decided about the program that a run waits with; it can go on then.

        Raises:
            NotFound: the owner has no such run.
            RequestError: it does not wait, or somebody else was faster.
        """
        run = await self._get(run_id, owner)
        pending = run.spec.get("pending")
        decided = dict(run.spec.get("decided", {}))
        if pending is not None:
            decided[pending["digest"]] = dict(decision)
        values = {"status": "interrupted", "result": None, "updated_at": time.time()}
        spec = {"pending": None, "decided": decided}
        if pending is None or not await self._update_spec(
            run_id, owner, spec, values, RunRow.status == "waiting"
        ):
            raise not_waiting(await self._get(run_id, owner))
        return await self._get(run_id, owner)

    async def _update_spec(
        self,
        run_id: str,
        owner: str,
        spec: Mapping[str, Any],
        values: Mapping[str, Any],
        *conditions: ColumnElement[bool],
    ) -> bool:
        """Change a run and a part of its spec at once; whether it stood as it should."""
        async with self._database.transaction() as session:
            known = await session.scalar(select(RunRow.spec).where(*is_run(run_id, owner)))
            if known is None:
                raise unknown_run(run_id)
            done = await session.execute(
                update(RunRow)
                .where(*is_run(run_id, owner), *conditions)
                .values(**values, spec={**known, **spec})
            )
        return count_of(done) == 1

    async def _get(self, run_id: str, owner: str) -> Run:
        async with self._database.transaction() as session:
            row = await session.scalar(select(RunRow).where(*is_run(run_id, owner)))
        if row is None:
            raise unknown_run(run_id)
        return run_of(row)
