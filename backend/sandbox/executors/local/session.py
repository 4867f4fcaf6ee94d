"""A session: one child that serves program after program, for as long as it is used."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from contextvars import Context

from backend.errors import SessionGone
from backend.sandbox.endings import see_through
from backend.sandbox.executors.base import Session
from backend.sandbox.executors.local.child import Child
from backend.sandbox.executors.local.header import Header, session_header
from backend.sandbox.executors.local.running import DiedBefore, run_once
from backend.sandbox.inside import wire
from backend.sandbox.walls.limits import Limits
from backend.sandbox.walls.probe import explain
from backend.types import ExecutionRequest, ExecutionResult

_ANSWER_SECONDS = 20.0
_STOP_SECONDS = 5.0
"""For a program that is cancelled to be gone, and the session to be what it was before."""

Prepare = Callable[[ExecutionRequest], AbstractAsyncContextManager[tuple[Header, Limits]]]
"""Checks a request, stages its inputs while the context lasts; gives its header and limits."""


class LocalSession(Session):
    """A child whose process lives on; use it once ``open`` has returned."""

    def __init__(
        self,
        child: Child,
        prepare: Prepare,
        idle_s: float,
        on_close: Callable[[LocalSession], None],
    ) -> None:
        self._child = child
        self._prepare = prepare
        self._idle_s = idle_s
        self._on_close = on_close
        self._turn = asyncio.Lock()
        self._expiry: asyncio.TimerHandle | None = None
        self._why_gone = ""
        self._closing: asyncio.Task[None] | None = None

    async def open(self, limits: Limits) -> None:
        """Make the child a session.

        Raises:
            SandboxUnavailable: it does not become one.
            DiedBefore: it was dead already.
        """
        reader = self._child.reader
        reader.next_report()
        await self._child.send(wire.RUN, session_header(limits, os.urandom(16)))
        await self._hear_report()
        if reader.closed and not reader.report.failure:
            raise DiedBefore
        if not reader.report.done or reader.report.lost:
            said = reader.report.failure or reader.report.lost or "it did not answer"
            raise explain(f"a session could not be opened: {said}")
        if not self._child.is_alive:
            raise DiedBefore
        self._child.on_end = self._note_end
        self._expire_later()

    @property
    def is_open(self) -> bool:
        """It can run programs."""
        return not self._why_gone and self._child.is_alive

    @property
    def why_gone(self) -> str:
        """Why it is not open any more (see ``Session.why_gone``)."""
        if self.is_open:
            return ""
        return f"The session is no more: {self._why_gone or 'its process ended'}."

    async def run(self, request: ExecutionRequest) -> ExecutionResult:
        """Run one program in the state that the last one left (see ``Session.run``)."""
        async with self._turn, self._prepare(request) as (header, limits):
            self._stay()
            try:
                result = await run_once(self._child, header, limits, is_session=True)
            except DiedBefore:
                raise self._lose("its process ended between two programs") from None
            except BaseException:
                await see_through(self._stop())
                raise
            finally:
                self._expire_later()
            report = self._child.reader.report
            if report.lost or not report.done:
                self._lose(report.lost or "its process ended with the program")
            self._see_whether_it_lives()
            return result

    async def undo(self) -> bool:
        """Go back to before the last program (see ``Session.undo``)."""
        async with self._turn:
            self._stay()
            # Seen through: else what is said about it would be taken for the next program's.
            return await see_through(self._go_back())

    async def _go_back(self) -> bool:
        reader = self._child.reader
        reader.next_report()
        await self._child.send(wire.UNDO)
        await self._hear_report()
        self._expire_later()
        if reader.report.lost or not reader.report.done:
            raise self._lose(reader.report.lost or "its process ended")
        self._see_whether_it_lives()
        return reader.report.back

    async def aclose(self) -> None:
        """End every process of the session and forget its files."""
        self._why_gone = self._why_gone or "it was closed"
        if self._expiry is not None:
            self._expiry.cancel()
        self._on_close(self)
        await self._child.aclose()

    def _stay(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        if not self.is_open:
            raise SessionGone(self.why_gone, "Open another one.")

    def _expire_later(self) -> None:
        if self._why_gone:
            return
        loop = asyncio.get_running_loop()
        # A context of its own: else it would hold on to all that its last request was about.
        self._expiry = loop.call_later(self._idle_s, self._expire, context=Context())

    def _expire(self) -> None:
        self._end(f"nobody used it for {self._idle_s:g} seconds")

    def _lose(self, why: str) -> SessionGone:
        self._end(why)
        return SessionGone(f"The session was lost: {why}.", "Open another one.")

    def _note_end(self) -> None:
        # While a program runs, its result tells how the process ended, and has to be read first.
        if not self._turn.locked():
            self._see_whether_it_lives()

    def _see_whether_it_lives(self) -> None:
        if not (self._why_gone or self._child.is_alive):
            self._end("its process ended")

    def _end(self, why: str) -> None:
        self._why_gone = self._why_gone or why
        self._on_close(self)  # at once: another may be opened in its place
        if self._closing is None:
            self._closing = asyncio.create_task(self.aclose())

    async def _stop(self) -> None:
        """End the program that runs, and wait until the session is what it was before."""
        await self._child.send(wire.STOP, b"0")
        await self._hear_report(_STOP_SECONDS)
        if not self._child.reader.report.done:
            self._lose("a program that was cancelled did not end")
        self._see_whether_it_lives()

    async def _hear_report(self, seconds: float = _ANSWER_SECONDS) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._child.reader.read_report()
