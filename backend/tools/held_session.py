"""A session that one request has to itself: its programs run in what the last ones left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from backend.errors import NotFound, SandboxUnavailable, SessionGone
from backend.sandbox.endings import see_through
from backend.tools.python_executor_engine import EngineSession, PythonExecutor
from backend.types import ExecutionRequest, ExecutionResult

MOST_FILES = 200
"""Of a session's files, that are remembered by name, or put back."""
_RESTORE = """\
for _name, _data in _files.items():
    __import__("os").makedirs(__import__("os").path.dirname(_name) or ".", exist_ok=True)
    with open(_name, "wb") as _file:
        _file.write(_data)
globals().pop("_name", None), globals().pop("_data", None), globals().pop("_file", None)
del _files
"""


@dataclass(frozen=True, kw_only=True)
class _Left:
    """What programs left in a session, as far as it is known outside of it."""

    names: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Live:
    """What there is of a session while anyone uses it or it lives."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Of requests."""
    running: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Of programs of one request."""
    users: int = 0
    """Requests that run in it or wait for their turn."""
    used_at: float = 0.0
    state: EngineSession | None = None
    """None before its first program, and once its end was taken note of."""
    ended: str = ""
    """Why there is no state any more, a sentence."""
    gives_way: bool = False
    """Its state is let go when others need the place."""
    made_way: bool = False
    is_lost: bool = False
    """There was more in it than there is."""
    is_deleted: bool = False
    left: _Left = field(default_factory=_Left)
    before: _Left = field(default_factory=_Left)
    """The same before the last program."""
    last: int = 0
    """The number of the last program, while it can be taken back; else 0."""
    count: int = 0
    """Programs so far."""

    @property
    def is_open(self) -> bool:
        """Its state lives."""
        return self.state is not None and self.state.is_open

    @property
    def has_begun(self) -> bool:
        """It has a state, or had one."""
        return self.state is not None or bool(self.ended)

    @property
    def why_gone(self) -> str:
        """A sentence; '' while it lives, and before."""
        if self.made_way:
            return "The session's place was needed for others."
        return self.ended if self.state is None else self.state.why_gone

    def keep_only_why(self) -> None:
        """Its state has ended: no more of it is kept than the reason.

        What a state holds on to is all that its requests were about.
        """
        if self.state is not None and not self.state.is_open:
            self.ended, self.state = self.why_gone, None
            self.left = self.before = _Left()

    async def make_way(self) -> None:
        """Let go of its state."""
        assert self.state is not None
        self.made_way = True
        await self.state.aclose()

    def begin(self, state: EngineSession) -> None:
        """Go on with another state, in which nothing is."""
        self.state, self.ended, self.made_way, self.is_lost = state, "", False, False
        self.left, self.before, self.last = _Left(), _Left(), 0


class HeldSession:
    """A session for the time of one request, or one of several uses that a request makes of it."""

    def __init__(
        self,
        live: Live,
        session_id: str,
        *,
        engine: PythonExecutor,
        begin: Callable[[], Awaitable[EngineSession | None]],
        restore: Callable[[], Awaitable[Mapping[str, bytes]]],
        note: str = "",
    ) -> None:
        """Not called directly: see ``LiveSessions.hold``."""
        self._live = live
        self._id = session_id
        self._engine = engine
        self._begin = begin
        self._restore = restore
        self._notes: list[str] = [note] if note else []
        self._untold = list(self._notes)
        self._own = 0
        """The number of the last program that was run through this object."""

    @property
    def names(self) -> Mapping[str, str]:
        """What programs find defined -> a line about it ('' where none is known)."""
        return self._live.left.names if self._live.is_open else {}

    @property
    def files(self) -> tuple[str, ...]:
        """Names of files that programs wrote, and that lie in the working directory."""
        return self._live.left.files if self._live.is_open else ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be known of the session: why it began afresh, ..."""
        return tuple(self._notes)

    def tell(self) -> tuple[str, ...]:
        """Those of ``notes`` that no result has told yet; they count as told then."""
        untold, self._untold[:] = tuple(self._untold), []
        return untold

    def part(self) -> HeldSession:
        """The same session for one of several uses, which may be under way at a time."""
        other = HeldSession(
            self._live,
            self._id,
            engine=self._engine,
            begin=self._begin,
            restore=self._restore,
        )
        other._notes, other._untold = self._notes, self._untold
        return other

    async def open(self) -> None:
        """Begin afresh now, where that is to be done: files that earlier programs made are back.

        Raises:
            Busy: there is no room for it.
            SandboxUnavailable: it cannot be had.
        """
        async with self._live.running:
            await self._opened()

    async def execute(
        self, request: ExecutionRequest, *, check: bool = True, keep_failed: bool = True
    ) -> ExecutionResult:
        """Run a program in the state that the last one left.

        Args:
            request: the program.
            check: False leaves out the static check.
            keep_failed: what a program leaves that fails is kept, as in a notebook; else all is as
                it was before.

        Raises:
            NotFound: the session was deleted meanwhile.
            Busy: there is no room for it.
            PythonCoderError: as ``PythonExecutor.execute``.
        """
        async with self._live.running:
            result, left_something = await self._run(request, check)
            if left_something and not (result.success or keep_failed):
                await self._go_back()
        notes = self.tell()
        if self._live.is_deleted:
            notes = (*notes, "The session was deleted while this program ran.")
        return replace(result, notes=(*notes, *result.notes)) if notes else result

    async def undo(self) -> bool:
        """Go back to before the session's last program; whether there was one."""
        async with self._live.running:
            return await self._go_back()

    async def take_back(self) -> None:
        """Undo the program that was run through this object last, unless another one followed."""
        async with self._live.running:
            if self._own and self._live.last == self._own:
                await self._go_back()

    async def _run(self, request: ExecutionRequest, check: bool) -> tuple[ExecutionResult, bool]:
        """The result, and whether it left anything that could be taken back."""
        live = self._live
        state = await self._opened()
        if state is None:
            return await self._engine.execute(request, check=check), False
        asked = replace(request, describe_names=request.language == "python")
        try:
            result = await state.execute(asked, check=check, names=live.left.names)
        except SessionGone:
            if live.is_deleted:
                raise
            live.is_lost = True
            self._note(lost(live.why_gone))
            state = await self._opened()
            if state is None:
                return await self._engine.execute(request, check=check), False
            result = await state.execute(asked, check=check, names=live.left.names)
        return result, result.isolation is not None and self._remember(result)

    def _remember(self, result: ExecutionResult) -> bool:
        """Take note of what a program left; whether it left anything."""
        live = self._live
        if result.rolled_back:
            live.last = 0
            return False
        live.count += 1
        live.last = self._own = live.count
        made = [artifact.name for artifact in result.artifacts]
        files = [*(name for name in live.left.files if name not in made), *made]
        names = live.left.names if result.names is None else result.names
        live.before = live.left
        live.left = _Left(names=names, files=tuple(files[-MOST_FILES:]))
        return True

    async def _go_back(self) -> bool:
        live = self._live
        if live.state is None:
            return False

        async def go_back(state: EngineSession) -> bool:
            undone = await state.undo()
            if undone:
                live.left, live.last = live.before, 0
            return undone

        try:
            # Seen through: what is known of the session is not to differ from what it is.
            return await see_through(go_back(live.state))
        except SessionGone:
            return False

    async def _opened(self) -> EngineSession | None:
        """Its state, begun afresh where need be; None where there is no room."""
        live = self._live
        if live.is_deleted:
            raise deleted(self._id)
        if live.state is not None and live.state.is_open:
            return live.state
        was_lost = live.is_lost
        if live.state is not None:
            await live.state.aclose()
        state = await self._begin()
        if state is None:
            self._note(
                "As many sessions as may be are in use: this program ran by itself, and what it "
                "left is not kept."
            )
            return None
        live.begin(state)
        if was_lost:
            try:
                await self._put_back(state)
            except BaseException:
                # Without its files it is not what its conversation shows: the next begins afresh.
                live.is_lost = True
                await see_through(state.aclose())
                raise
        return state

    async def _put_back(self, state: EngineSession) -> None:
        """Bring the files back that programs had made before the state was lost."""
        files = await self._restore()
        if not files:
            return
        put_back = ExecutionRequest(code=_RESTORE, variables={"_files": dict(files)}, on_record="")
        try:
            result = await state.execute(put_back, check=False)
        except (SessionGone, SandboxUnavailable):
            return
        if result.success:
            self._live.left = _Left(files=tuple(files))
            self._note(f"Files that programs had made are there again: {', '.join(files)}.")

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)
            self._untold.append(text)


def lost(why: str) -> str:
    """What a request is told whose session begins afresh."""
    return f"{why} What programs had left in it is gone, and it began afresh."


def deleted(session_id: str) -> NotFound:
    """What a request fails with whose session was deleted meanwhile."""
    return NotFound(
        f"The session {session_id[:80]!r} was deleted.",
        "Begin another one with POST /v1/sessions.",
        param="session_id",
    )
