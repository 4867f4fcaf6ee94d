"""Runs: the record of every request, from before its first step to its result.

A run that is ``running`` names the process that works on it. When that process is gone, the run is
``interrupted``, and whoever claims it first may go on with it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    delete,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from backend.errors import RequestError
from backend.store.database import Database, Order, owned_by
from backend.store.interrupted_runs import InterruptedRuns
from backend.store.paging import Part, read_page
from backend.store.processes import this_process
from backend.store.queued_runs import QueuedRuns
from backend.store.run_contents import note_contents
from backend.store.run_events import RunEvents
from backend.store.run_records import (
    Forgotten,
    Run,
    RunKind,
    RunPage,
    RunStatus,
    checked_name,
    digests_of,
    last_program,
    run_of,
    run_taken,
    storable,
    summary_of,
)
from backend.store.run_rows import (
    count_of,
    is_run,
    lean,
    new_run,
    of_key,
    read_run,
    unknown_run,
    used_elsewhere,
)
from backend.store.tables import RunEventRow, RunRow
from backend.store.waiting_runs import WaitingRuns
from backend.usage import UsageTotals

_PREFIX = "run-"
_SHOWN_ALTERNATIVES = 5


_STATUSES = (
    select(RunRow.status)
    .where(owned_by(RunRow, bindparam("of")), RunRow.key == bindparam("what"))
    .distinct()
)
_CHANGE = update(RunRow).where(
    owned_by(RunRow, bindparam("of")),
    RunRow.id == bindparam("which"),
    RunRow.process == bindparam("mine"),
    # An answer that was cut off is one: its worker corrects what was recorded of it as a failure.
    RunRow.status.in_(("running", "interrupted", "failed")),
)


class RunStore:
    """Runs of all owners; each method sees one owner's only. Any number of processes may use it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.waiting = WaitingRuns(database)
        self.queued = QueuedRuns(database)
        self.interrupted = InterruptedRuns(database)
        self.events = RunEvents(database)

    async def begin(
        self,
        *,
        owner: str,
        kind: RunKind,
        key: str,
        request: str,
        model: str,
        spec: Mapping[str, Any] | None = None,
        session_id: str | None = None,
        parent: str | None = None,
    ) -> str:
        """Record that this process begins to work on a request. Returns the run's id."""
        row = new_run(
            owner=owner,
            kind=kind,
            key=key,
            request=request,
            model=model,
            spec=spec,
            session_id=session_id,
            parent=parent,
        )
        await self._database.work(lambda connection: connection.execute(insert(RunRow), row))
        return str(row["id"])

    async def begin_unless(
        self,
        known_as: Collection[RunStatus],
        *,
        owner: str,
        kind: RunKind,
        key: str,
        request: str,
        model: str,
        spec: Mapping[str, Any] | None = None,
        session_id: str | None = None,
    ) -> tuple[str | None, frozenset[RunStatus]]:
        """``begin``, unless a run of an identical request stands as one of these.

        Returns:
            The run's id, or None where there is such a run; and how those of identical requests
            stand that were there before.
        """
        row = new_run(
            owner=owner,
            kind=kind,
            key=key,
            request=request,
            model=model,
            spec=spec,
            session_id=session_id,
        )

        def do(connection: Connection) -> tuple[str | None, frozenset[RunStatus]]:
            found = connection.scalars(_STATUSES, {"of": owner, "what": key})
            known = frozenset(cast(RunStatus, status) for status in found)
            if known.intersection(known_as):
                return None, known
            connection.execute(insert(RunRow), row)
            return str(row["id"]), known

        return await self._database.work(do)

    async def finish(
        self,
        run_id: str,
        result: Mapping[str, Any] | None,
        *,
        owner: str,
        status: Literal["completed", "failed", "cancelled"] | None = None,
        columns: Mapping[str, Sequence[str]] | None = None,
        prompts: Mapping[str, Sequence[str]] | None = None,
        usage: UsageTotals | None = None,
    ) -> None:
        """Record what came of a run; its program, usage, timings and isolation are in the result.

        Args:
            run_id: the run.
            result: plain JSON values: the dict of ``execute_code_task``, or an answer's document.
            owner: whose it is.
            status: None for what the result's ``success`` says.
            columns: of each input file that is a table.
            prompts: hashes of the prompts that were sent, by stage.
            usage: None for what the result says; where that says nothing, what is known stays.

        Raises:
            NotFound: the owner has no such run.
            RunTaken: it is not this process's any more, or over.
        """
        known = result or {}
        now = time.time()
        values: dict[str, Any] = {
            "status": status or ("completed" if known.get("success") else "failed"),
            "code": storable(last_program(known)),
            "result": None if result is None else dict(result),
            "timings": dict(known.get("timings") or {}),
            "isolation": known.get("isolation"),
            "updated_at": now,
            "finished_at": now,
        }
        if prompts:
            values["prompts"] = _lists(prompts)
        if used := usage or known.get("usage"):
            values["usage"] = dict(used)
        which = {"of": owner, "which": run_id, "mine": this_process()}

        def do(connection: Connection) -> bool:
            if columns:
                spec = connection.scalar(select(RunRow.spec).where(*is_run(run_id, owner)))
                values["spec"] = {**(spec or {}), "columns": _lists(columns)}
            if connection.execute(_CHANGE, {**values, **which}).rowcount == 0:
                return False
            note_contents(connection, run_id, result, owner=owner)
            return True

        if not await self._database.work(do):
            raise run_taken(await read_run(self._database, run_id, owner))

    async def get(self, run_id: str, *, owner: str) -> Run:
        """A run.

        Raises:
            NotFound: the owner has no such run.
        """
        return await read_run(self._database, run_id, owner)

    async def find(self, reference: str, *, owner: str) -> Run:
        """A run by its id, the beginning of its id, or the name under which it was saved.

        Raises:
            NotFound: the owner has no such run.
            RequestError: the ids of several begin so.
        """
        beginning = _PREFIX + reference.removeprefix(_PREFIX).lower()
        mine = owned_by(RunRow, owner)
        async with self._database.transaction() as session:
            named = await session.scalar(select(RunRow).where(mine, RunRow.name == reference))
            if named is not None:
                return run_of(named)
            like = RunRow.id.startswith(beginning, autoescape=True)
            few = select(RunRow).where(mine, like).limit(_SHOWN_ALTERNATIVES)
            rows = (await session.scalars(few)).all()
        if not rows or not reference.removeprefix(_PREFIX):
            raise unknown_run(reference)
        if len(rows) > 1:
            ids = ", ".join(row.id for row in rows)
            raise RequestError(
                f"The ids of several runs begin with {reference[:80]!r}: {ids}.", "Give more of it."
            )
        return run_of(rows[0])

    async def page(
        self,
        *,
        owner: str,
        after: str | None = None,
        limit: int = 100,
        order: Order = "desc",
        status: RunStatus | None = None,
        interrupted: bool | None = None,
        saved: bool = False,
        session_id: str | None = None,
        kind: RunKind | None = None,
    ) -> RunPage:
        """The owner's runs by the time they began, those that follow ``after``.

        Args:
            owner: whose.
            after: the id of a run.
            limit: how many.
            order: newest or oldest first.
            status: only those that stand so.
            interrupted: with ``status``, those that were interrupted as well: in the background or
                (False) not.
            saved: only those that were saved under a name.
            session_id: only those of a conversation.
            kind: only those.

        Raises:
            NotFound: the owner has no run ``after``.
        """
        query = lean(select(RunRow).where(owned_by(RunRow, owner)))
        if status is not None:
            standing = RunRow.status == status
            if interrupted is not None:
                where = RunRow.background.is_(interrupted)
                standing = or_(standing, and_(RunRow.status == "interrupted", where))
            query = query.where(standing)
        if session_id is not None:
            query = query.where(RunRow.session_id == session_id)
        if kind is not None:
            query = query.where(RunRow.kind == kind)
        if saved:
            query = query.where(RunRow.name.is_not(None))
        mine = owned_by(RunRow, owner)
        part = Part(after=after, limit=limit, order=order, unknown=unknown_run)
        async with self._database.transaction() as session:
            rows, has_more = await read_page(session, query, RunRow, part, mine)
        return RunPage(runs=[summary_of(row) for (row,) in rows], has_more=has_more)

    async def find_completed(self, *, owner: str, key: str) -> Run | None:
        """The newest run of an identical request that succeeded, or None."""
        query = of_key(owner, key).where(RunRow.status == "completed")
        async with self._database.transaction() as session:
            row = await session.scalar(query.limit(1))
        return None if row is None else run_of(row)

    async def save(self, run_id: str, name: str, *, owner: str) -> None:
        """Give a run a name: it is found by it, and never pruned.

        Raises:
            NotFound: the owner has no such run.
            RequestError: the name cannot be one, or another run has it.
        """
        given = checked_name(name)
        try:
            async with self._database.transaction() as session:
                named = update(RunRow).where(*is_run(run_id, owner)).values(name=given)
                if count_of(await session.execute(named)) == 0:
                    raise unknown_run(run_id)
        except IntegrityError:
            raise RequestError(
                f"Another run is saved as {given!r}.", "Choose another name.", param="name"
            ) from None

    async def delete(self, run_id: str, *, owner: str) -> Forgotten:
        """Forget a run.

        Raises:
            NotFound: the owner has no such run.
        """
        forgotten = await self._forget(owner, RunRow.id == run_id)
        if forgotten.count == 0:
            raise unknown_run(run_id)
        return forgotten

    async def prune(self, keep: int, *, owner: str) -> Forgotten:
        """Forget all but the newest ``keep`` runs; those saved, running or waiting stay as well."""
        await self.interrupted.mark(owner=owner)
        mine = owned_by(RunRow, owner)
        newest = select(RunRow.position).where(mine).order_by(RunRow.position.desc()).limit(keep)
        old = RunRow.position.not_in(newest)
        over = RunRow.status.not_in(("queued", "running", "waiting"))
        return await self._forget(owner, old, RunRow.name.is_(None), over)

    async def _forget(self, owner: str, *which: ColumnElement[bool]) -> Forgotten:
        async with self._database.transaction() as session:
            told = (RunRow.id, RunRow.status, RunRow.result)
            mine = owned_by(RunRow, owner)
            forget = delete(RunRow).where(mine, *which).returning(*told)
            gone = (await session.execute(forget)).all()
            unused = set().union(*(digests_of(result) for _, _, result in gone))
            ids = [run_id for run_id, _, _ in gone]
            events = (owned_by(RunEventRow, owner), RunEventRow.run_id.in_(ids))
            await session.execute(delete(RunEventRow).where(*events))
            if unused:
                unused -= await used_elsewhere(session, unused)
        unfinished = ("running", "interrupted", "waiting")
        interrupted = tuple(run_id for run_id, status, _ in gone if status in unfinished)
        return Forgotten(count=len(gone), unused=frozenset(unused), interrupted=interrupted)


def _lists(named: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    return {name: list(entries) for name, entries in named.items()}
