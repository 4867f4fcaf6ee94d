"""The worker that every server has: it takes queued runs, works on them and sends their answers off.

Any number of servers may share a database; a run is taken by one. What a server worked on when it
was killed is taken by the next one that looks, and goes on after its last finished step. A run whose
work is over but whose answer had not been recorded is answered then.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import Depends, Request

from backend.api.answering import Progress, answer_of_cut_chat
from backend.api.asking import ChatJob
from backend.api.errors import error_body, log_unexpected
from backend.api.outages import Outage
from backend.api.run_jobs import job_of, response_of
from backend.api.run_log import News, RunLog
from backend.api.state import Server
from backend.api.taking import Taking
from backend.errors import Conflict, NotFound, PythonCoderError, RunTaken, StoreUnavailable
from backend.request_context import in_request
from backend.store.endings import to_its_end
from backend.store.processes import this_process
from backend.store.run_records import OVER, Run
from backend.store.run_rows import LOST_S, is_abandoned
from backend.store.told import told
from backend.tools.coder.recording import CANCELLED
from backend.types import Event

LOOK_S = 1.0
"""Seconds between looks for what is to be done or ended, while something is under way."""
IDLE_S = 2.0
"""The same, while nothing is; what is asked here is seen at once."""
SIGN_S = 15.0
"""Seconds between signs that a run is worked on, for processes that cannot see this one."""
SWEEP_S = 5.0
"""Seconds between looks for what other processes left behind."""
PATIENCE_S = 4.0
"""Seconds that a cancel waits for another process to end the run."""
SETTLED_S = 10.0
"""Seconds after which this process's own run in the background counts as left behind, if nobody
works on it."""
_ASK_AGAIN_S = 0.05
"""Seconds between looks whether a run has ended."""


class Background:
    """Works on runs. Open it with ``open_background``."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._recorder = server.recorder
        self._runs = server.recorder.runs
        self._taking = Taking(self._runs.queued, server.turns)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._to_cancel: set[str] = set()
        self._answering: set[str] = set()
        self._wake = asyncio.Event()
        self._is_stopping = False
        self._touched_at = 0.0
        self.news = News()
        """Of the runs that this process works on."""
        server.turns.on_close(self.news.close)

    def wake(self) -> None:
        """Look at once: something was put into the queue."""
        self._wake.set()

    def works_on(self, run_id: str) -> bool:
        """Whether this process does."""
        return run_id in self._tasks

    def _here(self) -> frozenset[str]:
        """The ids of the runs that this process has to do with."""
        return self._recorder.under_way | self._recorder.unrecorded | self._tasks.keys()

    async def work(self) -> None:
        """Look for work until it is cancelled."""
        swept_at = -math.inf
        outage = Outage(fails="Runs cannot be looked for", works="Runs are looked for again")
        while True:
            try:
                await self._recorder.catch_up()
                if time.monotonic() - swept_at >= SWEEP_S:
                    await self._sweep()
                    swept_at = time.monotonic()
                await self._look_after()
                await self._take()
                outage.note_success()
            except StoreUnavailable as error:
                outage.note_failure(error)
            except Exception:
                logging.getLogger("backend.api").exception("A look for runs failed")
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S if self._tasks else IDLE_S):
                    await self._wake.wait()
            self._wake.clear()

    async def stop(self) -> None:
        """Take nothing more, and leave what is under way to whoever goes on with it."""
        self._is_stopping = True
        tasks = set(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def cancel(self, run_id: str, *, owner: str, why: str = CANCELLED) -> Run:
        """End a run, wherever it is worked on; the run, as it stands after a few seconds at most.

        ``why`` is what whoever waits for its answer is told.

        Raises:
            NotFound: the owner has no such run.
            Conflict: it is over.
        """
        run = await self._runs.get(run_id, owner=owner)
        if run.status == "running" and run_id in self._tasks:
            self._end(run_id)
        else:
            await self._recorder.cancel(run_id, owner=owner, why=why)
        return await self._ended(run_id, owner)

    async def _ended(self, run_id: str, owner: str) -> Run:
        """A run as soon as its answer has gone out, or as it stands after a few seconds."""
        until = time.monotonic() + PATIENCE_S
        while True:
            if task := self._tasks.get(run_id):
                await asyncio.wait({task}, timeout=max(0.0, until - time.monotonic()))
            run = await self._runs.get(run_id, owner=owner)
            is_over = run.status != "running"
            if time.monotonic() > until or (is_over and not _is_due(run)):
                return run
            if is_over and run_id not in self._tasks and run.process == this_process():
                await self.answer(run_id, owner=owner)
            await asyncio.sleep(_ASK_AGAIN_S)

    async def answer(self, run_id: str, *, owner: str) -> None:
        """Send off the answer to a run in the background that is over, or waits; if nobody has."""
        if run_id in self._answering:
            return
        self._answering.add(run_id)
        try:
            # Cut short, it would be sent off again, and what it brought kept again.
            await to_its_end(partial(self._answer, run_id, owner))
        finally:
            self._answering.discard(run_id)

    async def _answer(self, run_id: str, owner: str) -> None:
        run = await self._runs.get(run_id, owner=owner)
        if not _is_due(run):
            return
        try:
            response = await response_of(run, self._server)
        except StoreUnavailable:
            raise  # it is looked for again
        except Exception as error:  # it could not be kept; whoever asks is to know that
            log_unexpected(error)
            response = error_body(error)
        await self._runs.queued.respond(run_id, response, owner=owner)
        self.news.tell(run_id)

    async def _take(self) -> None:
        # One that was decided about while its last answer still goes out is taken later.
        while not self._is_stopping and (run := await self._taking.take(without=self._here())):
            task = asyncio.create_task(self._do(run))
            self._tasks[run.id] = task
            task.add_done_callback(partial(self._forget, run.id))

    def _forget(self, run_id: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(run_id) is task:
            del self._tasks[run_id]
            self._taking.end(run_id)
            self._to_cancel.discard(run_id)
        self.wake()

    async def _do(self, run: Run) -> None:
        """Work on a run that was taken, to its answer; whatever happens, it is not left behind."""
        self.news.tell(run.id)
        key_id = str(run.spec.get("key_id") or "")
        session_id = run.session_id or ""
        with in_request(owner=run.owner, key_id=key_id, run_id=run.id, session_id=session_id):
            try:
                if await self._work_on(run):
                    await self.answer(run.id, owner=run.owner)
            except StoreUnavailable as error:
                # It is taken again, when there is a store to take it from.
                logging.getLogger("backend.api").warning(
                    "The run %s stands still: %s", run.id, error
                )
            except Exception as error:
                log_unexpected(error)

    async def _work_on(self, run: Run) -> bool:
        """Work on it to its end, or until it waits; False where it was left to somebody else."""
        log = RunLog(run.id, run.owner, self._runs.events, self.news)
        try:
            async with log.keeping():
                return await self._run_in_turn(run, log)
        except asyncio.CancelledError:
            if run.id not in self._to_cancel:
                await asyncio.shield(self._runs.queued.hand_back(run.id, owner=run.owner))
                raise
            await self._finish(run, "cancelled", error=CANCELLED)
            return True
        except Exception as error:
            log_unexpected(error)
            await self._finish(run, "failed", error=repr(error))
            return True

    async def _run_in_turn(self, run: Run, log: RunLog) -> bool:
        """Run it when its turn has come; False where that is not to be done here, or not now."""
        job, progress = job_of(run), Progress()

        def note(event: Event) -> None:
            progress(event)
            log(event)

        with ExitStack() as leaving:
            try:
                turn = leaving.enter_context(
                    self._server.turns.ask(job.owner, job.lane, session_id=job.ask.session_id)
                )
                await turn.wait()
            except PythonCoderError:  # there is none to be had now, here
                self._taking.note_no_turn(job.lane)
                await self._runs.queued.hand_back(run.id, owner=run.owner)
                return False
            try:
                await self._server.assistant.run(job.ask, note)
            except RunTaken:  # whoever has it by now sees to it
                return False
            except PythonCoderError as error:
                await self._fail(run, job, error, progress)
        return True

    async def _fail(
        self, run: Run, job: ChatJob, error: PythonCoderError, progress: Progress
    ) -> None:
        try:
            cut = answer_of_cut_chat(job, error, progress)
        except PythonCoderError:
            await self._finish(run, "failed", error=told(error), error_kind=error.error_kind)
            return
        document = cut.as_dict() | {"run_id": run.id, "finish_reason": "length"}
        with suppress(RunTaken):
            await self._runs.finish(run.id, document, owner=run.owner, status="completed")

    async def _finish(
        self, run: Run, status: Literal["failed", "cancelled"], **result: Any
    ) -> None:
        """Record how a run ended before its own record could say so; not if another server has it."""
        now = await self._runs.get(run.id, owner=run.owner)
        if now.status == "running":
            left = {"success": False, **result}
            with suppress(RunTaken):
                await self._runs.finish(run.id, left, owner=run.owner, status=status)

    def _end(self, run_id: str) -> None:
        if run_id in self._recorder.under_way:
            self._recorder.end(run_id)
        elif run_id in self._tasks:
            self._to_cancel.add(run_id)
            self._tasks[run_id].cancel()

    async def _look_after(self) -> None:
        """End what is to be ended here, and show that the rest is still worked on."""
        ids = self._here()
        if not ids:
            return
        for run_id in await self._runs.queued.to_cancel(ids):
            self._end(run_id)
        if time.monotonic() - self._touched_at >= SIGN_S:
            for run_id in await self._runs.queued.touch(ids):
                self._end(run_id)  # another server gave it up for lost, and works on it
            self._touched_at = time.monotonic()

    async def _sweep(self) -> None:
        """See to what other processes left, and to what got lost here."""
        here = self._here()
        await self._runs.queued.interrupt_abandoned(here, quiet_s=SETTLED_S)
        for run_id, owner in await self._runs.queued.left_to_cancel():
            with suppress(Conflict, NotFound):
                await self._recorder.cancel(run_id, owner=owner)
        for run in await self._runs.queued.unanswered():
            if run.id not in here and _is_left(run) and await self._runs.queued.adopt(run):
                await self.answer(run.id, owner=run.owner)


def _is_due(run: Run) -> bool:
    """Its answer is still to be sent off."""
    return run.background and run.response is None and run.status in {*OVER, "waiting"}


def _is_left(run: Run) -> bool:
    """Nobody is about to send its answer off."""
    if run.process == this_process():
        return run.status == "cancelled" or time.time() - run.updated_at > SETTLED_S
    return is_abandoned(run.process, run.updated_at, silence_s=LOST_S)


@asynccontextmanager
async def open_background(server: Server) -> AsyncIterator[Background]:
    """Work on queued runs until the context is left; what is under way then is handed back."""
    background = Background(server)
    working = asyncio.create_task(background.work())
    try:
        yield background
    finally:
        working.cancel()
        await asyncio.wait({working})
        await background.stop()


async def get_background(request: Request) -> Background:
    """The server's worker. A dependency that is no coroutine is run in a thread."""
    background = request.app.state.background
    assert isinstance(background, Background)
    return background


BackgroundDep = Annotated[Background, Depends(get_background)]
