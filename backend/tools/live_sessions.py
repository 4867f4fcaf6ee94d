"""The live half of sessions: variables, files and figures that programs left in the sandbox.

The store knows which sessions there are; what lives of one begins with its first program, and
ends when nobody uses it, when it is lost, when it is deleted, when its place is needed, or with the
process.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from backend.errors import Busy, NotFound, PythonCoderError, StoreUnavailable
from backend.store.file_records import StoredFile
from backend.store.files import FileStore
from backend.store.sessions import SessionStore
from backend.tools.held_session import MOST_FILES, HeldSession, Live, deleted, lost
from backend.tools.python_executor_engine import EngineSession, PythonExecutor
from backend.types import ExecutionRequest, ExecutionResult

__all__ = ["HeldSession", "LiveSessions"]

_REMEMBERED = 1000
"""Ended sessions of which is known why they ended, for the next program that asks for them."""

_PUT_BACK_BYTES = 32 << 20
"""Of the files that are put back into a session that begins afresh."""

_Key = tuple[str, str]


class LiveSessions:
    """What lives of the sessions of all owners; each request sees its owner's only."""

    def __init__(self, engine: PythonExecutor, store: SessionStore, files: FileStore) -> None:
        self._engine = engine
        self._store = store
        self._files = files
        self._opened_at = time.time()
        self._live: dict[_Key, Live] = {}
        """Those that live or are used, and those whose end nobody has noticed yet."""
        self._ended: dict[_Key, Live] = {}
        self._going: Counter[_Key] = Counter()
        """Those that are being deleted."""

    @asynccontextmanager
    async def hold(
        self, session_id: str, *, owner: str, gives_way: bool = False
    ) -> AsyncIterator[HeldSession]:
        """Wait for one's turn in a session, and keep others out of it until the end.

        Args:
            session_id: the session's.
            owner: whose it is.
            gives_way: a conversation, whose session comes about by itself: it need not be stored
                yet, and its variables are let go when others need the place. Where there is none
                for it, its programs run by themselves, and ``notes`` says so.

        Raises:
            NotFound: the owner has no such session, or it was deleted meanwhile.
        """
        async with self._turn(session_id, owner) as live:
            note, is_stored = "", True
            if not live.is_open:
                try:
                    note = await self._lost(live, session_id, owner)
                except NotFound:
                    if not gives_way:
                        raise
                    is_stored = False
                live.is_lost = bool(note)
            live.gives_way = gives_way and (live.gives_way or not live.has_begun)
            known = live.state
            yield HeldSession(
                live,
                session_id,
                engine=self._engine,
                begin=lambda: self._open(live, owner, or_none=gives_way),
                restore=lambda: self._made(session_id, owner),
                note=note,
            )
            if live.state is not known and is_stored:
                with suppress(StoreUnavailable):  # only another server of this database needs it
                    await self._store.append(session_id, (), owner=owner, opens=False)

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
        async with self.hold(session_id, owner=owner) as held:
            return await held.execute(request, check=check)

    async def undo(self, session_id: str, *, owner: str) -> bool:
        """Go back to before the session's last program; whether there was one that still lives.

        Raises:
            NotFound: the owner has no such session, or it was deleted meanwhile.
        """
        async with self.hold(session_id, owner=owner) as held:
            return await held.undo()

    @asynccontextmanager
    async def ended(self, session_id: str, *, owner: str) -> AsyncIterator[None]:
        """Delete a session within the context: it is let go of, and nobody begins it meanwhile."""
        key = (owner, session_id)
        self._going[key] += 1
        try:
            await self.end(session_id, owner=owner)
            yield
        finally:
            self._going[key] -= 1
            if not self._going[key]:
                del self._going[key]

    async def end(self, session_id: str, *, owner: str) -> None:
        """Let go of a session that is deleted; a program that runs in it is ended."""
        key = (owner, session_id)
        self._ended.pop(key, None)
        if (live := self._live.pop(key, None)) is not None:
            await _end(live)

    async def aclose(self) -> None:
        """Let go of all."""
        while self._live:
            _, live = self._live.popitem()
            await _end(live)

    @asynccontextmanager
    async def _turn(self, session_id: str, owner: str) -> AsyncIterator[Live]:
        """Wait for one's turn in a session. What fails because it was deleted says that."""
        key = (owner, session_id)
        if key in self._going:
            raise deleted(session_id)
        live = self._live.get(key) or self._ended.pop(key, None) or Live()
        self._live[key] = live
        live.users += 1
        try:
            async with live.turn:
                if live.is_deleted:
                    raise deleted(session_id)
                yield live
        except PythonCoderError:
            if live.is_deleted:
                raise deleted(session_id) from None
            raise
        finally:
            live.users -= 1
            live.used_at = time.monotonic()
            if live.users == 0 and not live.is_open and self._live.get(key) is live:
                self._put_away(key)

    async def _lost(self, live: Live, session_id: str, owner: str) -> str:
        """Why nothing is there of what earlier programs left; '' where there were none.

        Raises:
            NotFound: the owner has no such session.
        """
        if live.has_begun:
            return lost(live.why_gone)
        found = await self._store.get(session_id, owner=owner)
        if found.created_at < self._opened_at:
            return lost("python-coder was started again since this session was begun.")
        said_at = found.created_at
        if found.message_count:
            last = await self._store.messages(session_id, owner=owner, limit=1, order="desc")
            said_at = last.messages[0].created_at
        if found.updated_at <= said_at:
            return ""
        # What it was used for since was a program, and not one of this server's.
        return "This session's variables are not in this server, but in another: it begins afresh."

    async def _open(self, live: Live, owner: str, *, or_none: bool) -> EngineSession | None:
        """A session of the sandbox; None, where that will do, when there is no room."""
        try:
            state = await self._open_somehow("" if or_none else owner)
        except Busy:
            if or_none:
                return None
            raise
        if live.is_deleted:
            await state.aclose()
            raise NotFound("The session was deleted.", "Begin another one: POST /v1/sessions.")
        self._put_away_the_ended()
        return state

    async def _open_somehow(self, in_need: str) -> EngineSession:
        """A session of the sandbox, in another one's place where there is no other.

        Conversations make way for everybody. For an owner ``in_need`` so does whoever has at least
        two more: else the first to come would keep all others out for as long as he likes.
        """
        while True:
            try:
                return await self._engine.open_session()
            except Busy:
                idle = self._idle(in_need)
                if not idle:
                    raise
                await min(idle, key=lambda live: live.used_at).make_way()

    def _idle(self, in_need: str) -> list[Live]:
        """What nobody uses at the moment and can make way."""
        is_open = {key: live for key, live in self._live.items() if live.is_open}
        unused = [(owner, live) for (owner, _), live in is_open.items() if live.users == 0]
        conversations = [live for _, live in unused if live.gives_way]
        if conversations or not in_need:
            return conversations
        count = Counter(owner for owner, _ in is_open)
        most = max((count[owner] for owner, _ in unused), default=0)
        if most < count[in_need] + 2:
            return []
        return [live for owner, live in unused if count[owner] == most]

    def _put_away_the_ended(self) -> None:
        ended = [key for key, live in self._live.items() if not (live.users or live.is_open)]
        for key in ended:
            self._put_away(key)

    def _put_away(self, key: _Key) -> None:
        """Nobody uses it, and nothing lives of it: what is kept, for a while, is why."""
        live = self._live.pop(key)
        live.keep_only_why()
        if live.has_begun:
            self._ended[key] = live
            if len(self._ended) > _REMEMBERED:
                del self._ended[next(iter(self._ended))]

    async def _made(self, session_id: str, owner: str) -> dict[str, bytes]:
        """The files that a conversation's programs made, by name; the newest, where not all fit."""
        newest = {
            each["name"]: each for each in await self._store.artifacts(session_id, owner=owner)
        }
        found: dict[str, bytes] = {}
        room = _PUT_BACK_BYTES
        for name, artifact in reversed(newest.items()):
            room -= artifact["size"]
            if room < 0 or len(found) == MOST_FILES:
                break
            with suppress(NotFound, OSError):  # it was deleted
                file = await self._files.get(artifact["id"], owner=owner)
                found[name] = await asyncio.to_thread(self._read, file)
        return dict(reversed(found.items()))

    def _read(self, file: StoredFile) -> bytes:
        return self._files.path(file).read_bytes()


async def _end(live: Live) -> None:
    live.is_deleted = True
    if live.state is not None:
        await live.state.aclose()
