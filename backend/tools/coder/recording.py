"""The memory of the work: what was asked before is recalled, what was interrupted goes on.

Every request is recorded before its first step and when it has ended, however it ended. An
identical request is answered from what is kept; one whose process was killed goes on after its
last finished step.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from backend.config.settings import Settings
from backend.errors import (
    Conflict,
    PythonCoderError,
    RequestError,
    RunTaken,
    StoreUnavailable,
)
from backend.request_context import in_request
from backend.store.blobs import BlobStore
from backend.store.database import Database, open_database
from backend.store.processes import this_process
from backend.store.run_records import Run, RunStatus, run_taken
from backend.store.runs import RunStore
from backend.store.told import told
from backend.tools.approval import request_of
from backend.tools.coder.checkpoints import Checkpointer, open_checkpointer
from backend.tools.coder.ending import Endings, ending_by, ending_with
from backend.tools.coder.entries import (
    Entry,
    Job,
    Result,
    Work,
    going_on,
    recalled,
    spec_of,
)
from backend.tools.coder.recall import Identity, identify, recall
from backend.tools.coder.under_way import UnderWay

CANCELLED = "The request was cancelled."


class Recorder:
    """Records requests around the work on them. Open it with ``open_recorder``."""

    def __init__(self, runs: RunStore, blobs: BlobStore, checkpointer: Checkpointer) -> None:
        self.runs = runs
        self.checkpointer = checkpointer
        self._blobs = blobs
        self._under_way: dict[str, UnderWay] = {}
        self._endings = Endings(runs, checkpointer)

    async def serve(self, entry: Entry, work: Work) -> Result:
        """Recall the result of an identical request, go on with one, or begin.

        Args:
            entry: the request.
            work: does it; its steps are to be kept under the job's run id.

        Returns:
            What ``work`` gave, with ``run_id``, ``resumed`` and ``cached``. Where that has an
            ``approval``, the run waits: it is recorded as such, and its steps are kept.

        Raises:
            PythonCoderError: whatever ``work`` raised; it is recorded as failed.
            RunCancelled: ``cancel`` ended it.
            RequestError: the run to go on with is another request's, or cannot be gone on with.
        """
        started = time.monotonic()
        await self.catch_up()
        identity = await identify(
            kind=entry.kind,
            request=entry.request,
            model=entry.model,
            settings=entry.settings,
            background=entry.background,
            history=entry.history,
            files=entry.files,
            options=entry.options,
        )
        if entry.run_id is not None:
            job, _ = await self._take_on(entry, identity)
            assert job is not None, "it is gone on with, or an error says why not"
            return await self._record(entry, job, work)
        of_use = frozenset[RunStatus]()
        if entry.recall:
            of_use |= {"completed"}
        if entry.resume:
            of_use |= {"running", "interrupted"}
        job, known_as = await self._take_on(entry, identity, unless=of_use)
        if job is None and "completed" in known_as & of_use:
            known = await recall(self.runs, self._blobs, identity, owner=entry.owner)
            if known is not None and known.result is not None:
                return recalled(known.id, known.result, time.monotonic() - started)
        if job is None:
            unfinished = bool(known_as & of_use - {"completed"})
            job, _ = await self._take_on(entry, identity, resume=unfinished)
        assert job is not None, "nothing kept it from beginning"
        return await self._record(entry, job, work)

    async def cancel(self, run_id: str, *, owner: str, why: str = CANCELLED) -> None:
        """End a run: one that is worked on here, that waits, or that nobody works on.

        One that another process works on is marked: a server looks for that every second.

        Args:
            run_id: the run.
            owner: whose it is.
            why: what whoever waits for its answer is told.

        Raises:
            NotFound: the owner has no such run.
            Conflict: it is over.
        """
        await self.catch_up()
        under_way = self._under_way.get(run_id)
        run = await self.runs.get(run_id, owner=owner)
        if under_way is not None:
            under_way.cancel(why)
            await under_way.over.wait()
            return
        if run.status == "running" and await self.runs.interrupted.mark(owner=owner):
            run = await self.runs.get(run_id, owner=owner)
        if run.status == "waiting":
            await self.leave(run_id, why, owner=owner)
        elif await self.runs.queued.cancel(run_id, owner=owner, why=why):
            await self._endings.forget_steps(run_id)
        elif not await self.runs.queued.ask_to_cancel(run_id, owner=owner):
            raise Conflict(
                f"The run {run_id} cannot be cancelled: it is {run.status}.",
                "There is nothing left to end.",
            )

    @property
    def under_way(self) -> frozenset[str]:
        """The ids of the runs that this process works on."""
        return frozenset(self._under_way)

    @property
    def unrecorded(self) -> frozenset[str]:
        """The ids of runs that ended here while the store could not be told."""
        return self._endings.due

    async def catch_up(self) -> None:
        """Record how those ended, as far as the store works again."""
        await self._endings.catch_up()

    def end(self, run_id: str) -> None:
        """Cancel a run that this process works on, if it does; not waiting for its end."""
        if under_way := self._under_way.get(run_id):
            under_way.cancel(CANCELLED)

    async def leave(self, run_id: str, why: str, *, owner: str, about: str = "") -> None:
        """End a run that waits for an approval; nobody goes on with it.

        Args:
            run_id: the run.
            why: what is told of it.
            owner: whose it is.
            about: the digest of the program that it is to wait with; '' for whichever it is.

        Raises:
            NotFound: the owner has no such run.
            Conflict: it does not wait, or with another program.
        """
        left = {"success": False, "error": why, "error_kind": "policy"}
        await self.runs.waiting.leave(run_id, left, owner=owner, about=about)
        await self._endings.forget_steps(run_id)

    async def _take_on(
        self,
        entry: Entry,
        identity: Identity,
        *,
        unless: frozenset[RunStatus] = frozenset(),
        resume: bool = False,
    ) -> tuple[Job | None, frozenset[RunStatus]]:
        """Go on with a request or begin it; a caller cancelled meanwhile leaves it cancelled."""
        taking = asyncio.ensure_future(self._begin(entry, identity, unless, resume))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError as error:
            with suppress(PythonCoderError):
                job, _ = await taking
                if job is not None and not entry.is_claimed:  # else its worker sees to it
                    await self._fail(entry, job, error)
            raise

    async def _begin(
        self, entry: Entry, identity: Identity, unless: frozenset[RunStatus], resume: bool
    ) -> tuple[Job | None, frozenset[RunStatus]]:
        """The job, or None where identical requests stand so; and how those stand."""
        if entry.run_id is not None:
            return await self._continue(entry, entry.run_id, identity), frozenset()
        job = await self._resume(entry, identity.key) if resume else None
        if job is not None:
            return job, frozenset()
        run_id, known_as = await self.runs.begin_unless(
            unless,
            owner=entry.owner,
            kind=entry.kind,
            key=identity.key,
            request=entry.request,
            model=entry.model.name,
            spec=spec_of(entry, identity),
            session_id=entry.session_id,
        )
        return (Job(run_id=run_id, resumed=False) if run_id else None), known_as

    async def _resume(self, entry: Entry, key: str) -> Job | None:
        found = await self.runs.interrupted.find(owner=entry.owner, key=key)
        return None if found is None else await self._claim(entry, found)

    async def _continue(self, entry: Entry, run_id: str, identity: Identity) -> Job:
        """Go on with a run that is known.

        Raises:
            NotFound: the owner has no such run.
            RequestError: it was begun otherwise, or does not stand still.
            RunTaken: it was claimed, and is somebody else's by now.
        """
        found = await self.runs.get(run_id, owner=entry.owner)
        if entry.is_claimed:
            self._require_own(found)
        if entry.is_claimed and not found.key:
            await self.runs.queued.begin(
                found,
                owner=entry.owner,
                key=identity.key,
                model=entry.model.name,
                spec=spec_of(entry, identity),
            )
            return Job(run_id=found.id, resumed=False)
        if found.key != identity.key:
            raise RequestError(
                f"The run {found.id} was begun with other settings or another version of "
                "python-coder.",
                "Set them as they were, or ask anew.",
            )
        if entry.decision is not None:
            # Claimed in the same moment: a server that looks for work must not get it.
            decision = entry.decision.as_dict()
            return going_on(
                await self.runs.waiting.decide(
                    run_id, decision, owner=entry.owner, claim=True, about=entry.about
                )
            )
        job = going_on(found) if entry.is_claimed else await self._claim(entry, found)
        if job is None:
            raise RequestError(
                f"The run {found.id} cannot be gone on with: it is {found.status}.",
                "Approve or reject its program first."
                if found.status == "waiting"
                else "`python-coder runs show` and GET /v1/runs/{id} tell what came of it.",
            )
        return job

    def _require_own(self, found: Run) -> None:
        is_own = found.status == "running" and found.process == this_process()
        if not is_own or found.id in self._under_way:
            raise run_taken(found)

    async def _claim(self, entry: Entry, found: Run) -> Job | None:
        if not await self.runs.interrupted.claim(found.id, owner=entry.owner):
            return None
        return going_on(found)

    async def _record(self, entry: Entry, job: Job, work: Work) -> Result:
        under_way = self._under_way[job.run_id] = UnderWay()
        try:
            with in_request(
                owner=entry.owner, run_id=job.run_id, session_id=entry.session_id or ""
            ):
                return await self._recorded(entry, job, work, under_way)
        finally:
            if self._under_way.get(job.run_id) is under_way:  # it may go on already, decided about
                del self._under_way[job.run_id]
            under_way.over.set()

    async def _recorded(self, entry: Entry, job: Job, work: Work, under_way: UnderWay) -> Result:
        try:
            result = await under_way.do(work(job))
        except BaseException as error:
            with suppress(RunTaken, StoreUnavailable):
                if entry.hands_back and isinstance(error, asyncio.CancelledError):
                    await asyncio.shield(self.runs.queued.hand_back(job.run_id, owner=entry.owner))
                else:
                    await asyncio.shield(self._fail(entry, job, error))
            raise
        result |= {"run_id": job.run_id, "resumed": job.resumed, "cached": False}
        finishing = asyncio.ensure_future(self._finish(entry, job, result))
        try:
            await asyncio.shield(finishing)
        except asyncio.CancelledError:
            await finishing
            raise
        return result

    async def _finish(self, entry: Entry, job: Job, result: Result) -> None:
        if result.get("approval"):
            await self._wait(entry, job, result)
            return
        try:
            await self._endings.write(ending_with(result, entry, job))
        except (RunTaken, StoreUnavailable) as error:
            # The work is done; its caller has it all the same.
            if "notes" in result:
                result["notes"].append(f"This request could not be recorded. {told(error)}")

    async def _wait(self, entry: Entry, job: Job, result: Result) -> None:
        result["approval"] |= {"run_id": job.run_id}
        pending = {**result["approval"], "digest": request_of(result["approval"]).digest}
        try:
            await self.runs.waiting.wait(job.run_id, result, owner=entry.owner, pending=pending)
        except StoreUnavailable as error:
            # Without its record nobody could go on with it: its caller is told.
            with suppress(StoreUnavailable):
                await self._fail(entry, job, error)
            raise

    async def _fail(self, entry: Entry, job: Job, error: BaseException) -> None:
        """Cancelled or failed: nobody goes on with it."""
        # What failed for want of a store is taken again by a worker, when there is one.
        is_taken_again = entry.hands_back and isinstance(error, StoreUnavailable)
        await self._endings.write(ending_by(error, entry, job), keeps=not is_taken_again)


def thread_of_use(run_id: str, number: int) -> str:
    """Under which name the steps of an agent's use of the coder are kept: below the run's."""
    return f"{run_id}/{number}"


@asynccontextmanager
async def open_recorder(
    settings: Settings, database: Database | None = None
) -> AsyncIterator[Recorder]:
    """Open the record of runs and the checkpoints.

    Args:
        settings: where they lie.
        database: one that is open already.

    Raises:
        SettingsError: one of them cannot be opened.
    """
    async with AsyncExitStack() as stack:
        if database is None:
            database = await stack.enter_async_context(open_database(settings))
        checkpointer = await stack.enter_async_context(open_checkpointer(settings))
        blobs = BlobStore.of(settings)
        yield Recorder(RunStore(database), blobs, checkpointer)
