"""Runs in the background: put into the queue by one request, worked on by whichever server is there.

A run is taken by one ``UPDATE`` that holds only as long as it still waits to be taken, so that of
any number of processes one has it. What servers look for is of all owners; a run that is named is
always looked up as its owner's.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import and_, case, exists, func, insert, not_, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from backend.store.database import Database, owned_by
from backend.store.ownership import of_any_owner
from backend.store.processes import this_process
from backend.store.run_events import append_events
from backend.store.run_records import OVER, Run, run_of, run_taken, storable
from backend.store.run_rows import (
    LOST_S,
    STALE_S,
    count_of,
    is_abandoned,
    is_own,
    is_run,
    mark_interrupted,
    new_run,
    read_run,
    unknown_run,
)
from backend.store.tables import TO_DO, UNFINISHED, RunRow

_TO_TAKE = ("queued", "interrupted")
_WHY = "servers work on what is queued, whoever asked for it"


class QueuedRuns:
    """The part of ``RunStore`` that is about them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self,
        run_id: str,
        *,
        owner: str,
        request: str,
        model: str,
        spec: Mapping[str, Any],
        session_id: str | None,
    ) -> tuple[Run, bool]:
        """Put a request into the queue, with its first event.

        Args:
            run_id: its id; another request's with the same id is left as it is.
            owner: whose it is.
            request: the question.
            model: the model's name.
            spec: what is needed to begin it, plain JSON values.
            session_id: its conversation.

        Returns:
            The run with this id, and whether it is new.

        Raises:
            NotFound: the id is another owner's.
        """
        row = new_run(
            owner=owner, kind="ask", request=request, model=model, spec=spec, session_id=session_id
        )
        row |= {"id": run_id, "status": "queued", "process": ""}
        row |= {"background": True, "cancel_requested": False}
        try:
            async with self._database.transaction() as session:
                await session.execute(insert(RunRow).values(**row))
                await append_events(session, run_id, owner, [("run.queued", {})])
        except IntegrityError:
            return await read_run(self._database, run_id, owner), False
        return await read_run(self._database, run_id, owner), True

    async def take(
        self,
        *,
        busy: Mapping[str, int],
        last: Mapping[str, float],
        without: Collection[str] = (),
        without_sessions: Collection[tuple[str, str]] = (),
    ) -> Run | None:
        """Take the run that is next for this process, or None.

        The owner with the fewest runs under way here is served first, among those the one who was
        served longest ago; of an owner the oldest run, of a session one at a time.

        Args:
            busy: how many runs of each owner are under way here.
            last: when an owner was served last, by whatever clock.
            without: ids of those that are not to be taken.
            without_sessions: owner and id of sessions of which none is to be taken.
        """
        oldest = func.min(RunRow.position)
        # What is worked on here is left out by what the caller knows, on other servers by this.
        other = aliased(RunRow)
        of_other = (other.owner == RunRow.owner, other.session_id == RunRow.session_id)
        under_way = exists().where(TO_DO, other.status == "running", *of_other)
        of_session = tuple_(RunRow.owner, RunRow.session_id)
        is_free = and_(of_session.not_in(without_sessions), not_(under_way))
        query = (
            select(RunRow.owner, oldest)
            .where(TO_DO, RunRow.status.in_(_TO_TAKE), RunRow.cancel_requested.is_(False))
            .where(RunRow.id.not_in(without))
            .where(or_(RunRow.session_id.is_(None), is_free))
            .group_by(RunRow.owner)
        )
        async with self._database.transaction() as session:
            waiting = (await session.execute(of_any_owner(query, _WHY))).all()

        def rank(entry: Any) -> tuple[int, float, int]:
            owner, position = entry
            return busy.get(owner, 0), last.get(owner, 0.0), position

        for owner, position in sorted(waiting, key=rank):
            if (run := await self._take(position, owner)) is not None:
                return run
        return None

    async def _take(self, position: int, owner: str) -> Run | None:
        this = (owned_by(RunRow, owner), RunRow.position == position)
        values = {"status": "running", "process": this_process(), "updated_at": time.time()}
        async with self._database.transaction() as session:
            taken = await session.execute(
                update(RunRow).where(*this, RunRow.status.in_(_TO_TAKE)).values(**values)
            )
            if count_of(taken) == 0:
                return None  # another process was faster
            row = await session.scalar(select(RunRow).where(*this))
        return None if row is None else run_of(row)

    async def begin(
        self, run: Run, *, key: str, model: str, spec: Mapping[str, Any], owner: str
    ) -> None:
        """Record what a taken run is begun with; what was needed to take it stays in its spec.

        Raises:
            RunTaken: it is not this process's any more.
        """
        values = {"key": key, "model": storable(model)[:255], "spec": {**run.spec, **spec}}
        async with self._database.transaction() as session:
            begun = update(RunRow).where(*is_run(run.id, owner), *is_own())
            if count_of(await session.execute(begun.values(**values))) == 0:
                raise run_taken(run)

    async def hand_back(self, run_id: str, *, owner: str) -> None:
        """Leave a run that this process works on to whoever takes it next; its steps are kept."""
        mine = (RunRow.status == "running", RunRow.process == this_process())
        status = case((RunRow.key == "", "queued"), else_="interrupted")
        async with self._database.transaction() as session:
            await session.execute(
                update(RunRow)
                .where(*is_run(run_id, owner), *mine)
                .values(status=status, updated_at=time.time())
            )

    async def interrupt_abandoned(self, here: Collection[str], *, quiet_s: float) -> int:
        """Mark what nobody works on any more; returns how many there were.

        Those in the background are taken then; those that somebody waited for are gone on with
        when the same is asked again.

        Args:
            here: the ids of those that this process works on.
            quiet_s: after how many seconds one in the background that is this process's, and not
                among them, counts. Others may be worked on beside the server: they have an hour.
        """
        columns = (RunRow.id, RunRow.owner, RunRow.process, RunRow.updated_at, RunRow.background)
        query = select(*columns).where(UNFINISHED, RunRow.status == "running")
        async with self._database.transaction() as session:
            running = (await session.execute(of_any_owner(query, _WHY))).all()
        marked = 0
        for run_id, owner, process, updated_at, background in running:
            if process == this_process():
                most_s = quiet_s if background else STALE_S
                is_left = run_id not in here and time.time() - updated_at > most_s
            else:
                silence_s = LOST_S if background else STALE_S
                is_left = is_abandoned(process, updated_at, silence_s=silence_s)
            if not is_left:
                continue
            async with self._database.transaction() as session:
                marked += await mark_interrupted(session, run_id, owner, process)
        return marked

    async def touch(self, run_ids: Collection[str]) -> list[str]:
        """Give a sign that these runs are worked on; returns the ids of those that another process has."""
        running = (RunRow.id.in_(run_ids), RunRow.status == "running")
        mine = RunRow.process == this_process()
        sign = update(RunRow).where(*running, mine).values(updated_at=time.time())
        lost = select(RunRow.id).where(*running, not_(mine))
        async with self._database.transaction() as session:
            await session.execute(of_any_owner(sign, _WHY))
            return list((await session.scalars(of_any_owner(lost, _WHY))).all())

    async def adopt(self, run: Run) -> bool:
        """Take it upon this process to send off a run's answer; False if another one was faster."""
        same = (RunRow.status == run.status, RunRow.process == run.process)
        this = update(RunRow).where(*is_run(run.id, run.owner), *same, TO_DO)
        async with self._database.transaction() as session:
            done = await session.execute(
                this.values(process=this_process(), updated_at=time.time())
            )
        return count_of(done) == 1

    async def unanswered(self) -> list[Run]:
        """Runs that are over, or wait, and whose answer has not gone out yet; whoever's they are."""
        over = RunRow.status.in_((*OVER, "waiting"))
        query = select(RunRow).where(TO_DO, over).order_by(RunRow.position).limit(100)
        async with self._database.transaction() as session:
            rows = (await session.scalars(of_any_owner(query, _WHY))).all()
        return [run_of(row) for row in rows]

    async def respond(self, run_id: str, response: Mapping[str, Any], *, owner: str) -> bool:
        """Record the answer as it goes out, and that this is the run's last event for now, at once.

        Returns:
            False when somebody else has done so already, or the run does not stand still.
        """
        async with self._database.transaction() as session:
            done = await session.execute(
                update(RunRow)
                .where(*is_run(run_id, owner), RunRow.status.in_((*OVER, "waiting")), TO_DO)
                .values(response=dict(response), updated_at=time.time())
            )
            if count_of(done) == 0:
                return False
            await _add_last_event(session, run_id, owner)
        return True

    async def is_over(self, run_id: str, *, owner: str) -> bool:
        """Whether nothing happens any more in a run in the background, as it stands.

        Raises:
            NotFound: the owner has no such run.
        """
        told = RunRow.response.is_not(None)
        query = select(RunRow.status, told).where(*is_run(run_id, owner))
        async with self._database.transaction() as session:
            row = (await session.execute(query)).first()
        if row is None:
            raise unknown_run(run_id)
        return row[0] in {*OVER, "waiting"} and bool(row[1])

    async def count(self, *, owner: str) -> int:
        """How many of an owner's runs wait to be taken."""
        query = select(func.count(RunRow.position)).where(
            owned_by(RunRow, owner), TO_DO, RunRow.status.in_(_TO_TAKE)
        )
        async with self._database.transaction() as session:
            return await session.scalar(query) or 0

    async def cancel(self, run_id: str, *, owner: str, why: str) -> bool:
        """Cancel a run that nobody works on; False if somebody does, or it is over."""
        now = time.time()
        values = {
            "status": "cancelled",
            "result": {"success": False, "error": why},
            "updated_at": now,
            "finished_at": now,
        }
        async with self._database.transaction() as session:
            done = await session.execute(
                update(RunRow)
                .where(*is_run(run_id, owner), RunRow.status.in_(_TO_TAKE))
                .values(**values)
            )
            if count_of(done) == 0:
                return False
            answered = await session.execute(
                update(RunRow).where(*is_run(run_id, owner), TO_DO).values(response={})
            )
            if count_of(answered):
                await _add_last_event(session, run_id, owner)
        return True

    async def ask_to_cancel(self, run_id: str, *, owner: str) -> bool:
        """Tell whoever works on a run to end it; False if nobody does."""
        async with self._database.transaction() as session:
            told = await session.execute(
                update(RunRow)
                .where(*is_run(run_id, owner), RunRow.status == "running")
                .values(cancel_requested=True)
            )
        return count_of(told) == 1

    async def left_to_cancel(self) -> list[tuple[str, str]]:
        """Id and owner of runs that were to be ended when whoever worked on them left them."""
        query = select(RunRow.id, RunRow.owner).where(
            TO_DO, RunRow.status.in_(_TO_TAKE), RunRow.cancel_requested.is_(True)
        )
        async with self._database.transaction() as session:
            found = await session.execute(of_any_owner(query, _WHY))
            return [(run_id, owner) for run_id, owner in found]

    async def to_cancel(self, run_ids: Collection[str]) -> list[str]:
        """Those of these runs that are to be ended."""
        query = select(RunRow.id).where(RunRow.id.in_(run_ids), RunRow.cancel_requested.is_(True))
        async with self._database.transaction() as session:
            return list((await session.scalars(of_any_owner(query, _WHY))).all())


async def _add_last_event(session: AsyncSession, run_id: str, owner: str) -> None:
    status = await session.scalar(select(RunRow.status).where(*is_run(run_id, owner)))
    kind = "run.waiting_approval" if status == "waiting" else f"run.{status}"
    await append_events(session, run_id, owner, [(kind, {})])
