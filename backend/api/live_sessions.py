"""The live half of sessions: variables, files and figures that programs left in the sandbox.

The store knows which sessions there are; what lives of one begins with its first program, and
ends when nobody uses it, when it is lost, when it is deleted, or with the server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from backend.errors import NotFound, PythonCoderError, SessionGone
from backend.store.sessions import SessionStore
from backend.tools.python_executor_engine import EngineSession, PythonExecutor
from backend.types import ExecutionRequest, ExecutionResult

_REMEMBERED = 1000
"""Ended sessions of which is known why they ended, for the next program that asks for them."""

_Key = tuple[str, str]


@dataclass(kw_only=True)
class _Live:
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    """Requests that run in it or wait for their turn."""
    state: EngineSession | None = None
    """None before its first program; it stays here when it has ended, because it knows why."""
    is_deleted: bool = False


class LiveSessions:
    """What lives of the sessions of all owners; each request sees its owner's only."""

    def __init__(self, engine: PythonExecutor, store: SessionStore) -> None:
        self._engine = engine
        self._store = store
        self._opened_at = time.time()
        self._live: dict[_Key, _Live] = {}

    async def execute(
        self, request: ExecutionRequest, session_id: str, *, owner: str, check: bool = True
    ) -> ExecutionResult:
        """Run a program where the session's last one left off, after those that came before it.

        Where that is not possible any more, it begins afresh, and ``notes`` says so.

        Raises:
            NotFound: the owner has no such session, or it was deleted meanwhile.
            Busy: as many sessions as may be live already do.
            PythonCoderError: as ``PythonExecutor.execute``.
        """
        async with self._turn(session_id, owner) as live:
            result, note = await self._execute(live, request, session_id, owner, check)
            if live.is_deleted:
                note = "The session was deleted while this program ran."
        return replace(result, notes=(note, *result.notes)) if note else result

    async def _execute(
        self, live: _Live, request: ExecutionRequest, session_id: str, owner: str, check: bool
    ) -> tuple[ExecutionResult, str]:
        """The result, and what else is to be said about it."""
        if live.state is not None:
            try:
                return await live.state.execute(request, check=check), ""
            except SessionGone as gone:
                if live.is_deleted:
                    raise
                note = f"{gone.what} Its variables and files are gone; this program began afresh."
                await live.state.aclose()
        else:
            note = self._lost_before(await self._store.check(session_id, owner=owner))
        state = await self._open(live)
        return await state.execute(request, check=check), note

    async def undo(self, session_id: str, *, owner: str) -> bool:
        """Go back to before the session's last program; whether there was one that still lives.

        Raises:
            NotFound: the owner has no such session, or it was deleted meanwhile.
        """
        async with self._turn(session_id, owner) as live:
            if live.state is None:
                await self._store.check(session_id, owner=owner)
                return False
            try:
                return await live.state.undo()
            except SessionGone:
                return False

    async def end(self, session_id: str, *, owner: str) -> None:
        """Let go of a session that is deleted; a program that runs in it is ended."""
        live = self._live.pop((owner, session_id), None)
        if live is not None:
            await _end(live)

    async def aclose(self) -> None:
        """Let go of all."""
        while self._live:
            _, live = self._live.popitem()
            await _end(live)

    @asynccontextmanager
    async def _turn(self, session_id: str, owner: str) -> AsyncIterator[_Live]:
        """Wait for one's turn in a session. What fails because it was deleted says that."""
        key = (owner, session_id)
        live = self._live.setdefault(key, _Live())
        live.users += 1
        try:
            async with live.turn:
                if live.is_deleted:
                    raise _deleted(session_id)
                yield live
        except PythonCoderError:
            if live.is_deleted:
                raise _deleted(session_id) from None
            raise
        finally:
            live.users -= 1
            if live.users == 0 and live.state is None and self._live.get(key) is live:
                del self._live[key]

    async def _open(self, live: _Live) -> EngineSession:
        state = await self._engine.open_session()
        if live.is_deleted:
            await state.aclose()
            raise SessionGone("The session was deleted.")
        live.state = state
        self._forget_the_oldest()
        return state

    def _forget_the_oldest(self) -> None:
        ended = [
            key
            for key, live in self._live.items()
            if live.users == 0 and live.state is not None and not live.state.is_open
        ]
        for key in ended[:-_REMEMBERED]:
            del self._live[key]

    def _lost_before(self, began_at: float) -> str:
        if began_at >= self._opened_at:
            return ""
        return (
            "The server was started again since this session began: variables and files that "
            "programs left in it before are gone."
        )


async def _end(live: _Live) -> None:
    live.is_deleted = True
    if live.state is not None:
        await live.state.aclose()


def _deleted(session_id: str) -> NotFound:
    return NotFound(
        f"The session {session_id[:80]!r} was deleted.",
        "Begin another one with POST /v1/sessions.",
        param="session_id",
    )
