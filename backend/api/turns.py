"""Whose turn it is: so much agent work at a time, and whoever waits is served fairly.

What may be under way at a time is counted in two lanes. ``work`` is whatever may run programs: it
keeps graphs, checkpoints and sandboxes busy. ``talk`` is plain chat, which costs little and mostly
waits for the model; it has its own, much wider lane, so that neither waits behind the other.

Those who wait stand in one queue an owner, and the owners are served in turn: somebody with a
hundred requests makes nobody else wait for more than one of them. Of a session one request at a time
is worked on: the others of it would take places and do nothing there. The queues are bounded: as soon as
one owner has as many waiting as there are places left for all, the next one is refused, so that
there is always room for somebody else.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Literal, Self

from backend.config.settings import Settings
from backend.errors import Busy, MachineError

Lane = Literal["work", "talk"]

_LEAST_WORK = 16
_WORK_A_PROCESSOR = 8
"""Agents wait for their model most of the time, and programs have a limit of their own."""
_TALK_FOR_WORK = 64
_FIRST_GUESS_S = 5.0
"""How long a turn takes, before any has been seen."""
_NEWEST_COUNTS = 0.1
"""Of a new turn's seconds, how much goes into what turns are expected to take."""
_MAX_RETRY_S = 300


class Turn:
    """A place in the queue, then a place at work; leaving its context gives back either."""

    def __init__(self, queue: _Queue, owner: str, session_id: str | None) -> None:
        self._queue = queue
        self.owner = owner
        self.session = None if session_id is None else (owner, session_id)
        self.asked_at = time.monotonic()
        self.come_at = 0.0
        self._come: asyncio.Event | None = None
        self.has_come = False
        """Work may begin."""
        self.has_waited = False
        """It could not begin at once."""

    @property
    def ahead(self) -> int:
        """How many stand before this one; 0 when its turn has come."""
        return 0 if self.has_come else self._queue.before(self)

    async def wait(self, timeout_s: float = math.inf) -> bool:
        """Wait for so many seconds; True as soon as the turn has come.

        Raises:
            Busy: it has waited for longer than anybody may.
        """
        if self.has_come:
            return True
        left_s = self.asked_at + self._queue.timeout_s - time.monotonic()
        if left_s <= 0:
            raise self._queue.waited_too_long(self)
        if self._come is None:
            self._come = asyncio.Event()
        try:
            async with asyncio.timeout(min(timeout_s, left_s)):
                await self._come.wait()
        except TimeoutError:
            if not self.has_come and left_s <= timeout_s:
                raise self._queue.waited_too_long(self) from None
        return self.has_come

    def begin(self) -> None:
        """Say that the turn has come."""
        self.has_come = True
        self.come_at = time.monotonic()
        if self._come is not None:
            self._come.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._queue.leave(self)


class Turns:
    """The lanes of one server process. Not for use in several threads."""

    def __init__(
        self,
        *,
        work: int,
        talk: int,
        max_waiting: int,
        timeout_s: float,
        on_turn: Callable[[Lane, float], None] | None = None,
    ) -> None:
        """Say how many there are of everything; ``on_turn`` gets the seconds that a turn took to come."""
        places: dict[Lane, int] = {"work": work, "talk": talk}
        self.is_closed = False
        """The server is being stopped; what is under way may end."""
        self._on_close: list[Callable[[], None]] = []
        self._lanes: dict[Lane, _Queue] = {
            lane: _Queue(
                places=count,
                max_waiting=max_waiting,
                timeout_s=timeout_s,
                on_turn=None if on_turn is None else partial(on_turn, lane),
            )
            for lane, count in places.items()
        }

    @classmethod
    def of(cls, settings: Settings, on_turn: Callable[[Lane, float], None] | None = None) -> Turns:
        """The lanes as the settings want them."""
        work = settings.max_requests or max(_LEAST_WORK, _WORK_A_PROCESSOR * (os.cpu_count() or 1))
        return cls(
            work=work,
            talk=work * _TALK_FOR_WORK,
            max_waiting=settings.max_queue,
            timeout_s=settings.queue_timeout_s,
            on_turn=on_turn,
        )

    def ask(self, owner: str, lane: Lane = "work", *, session_id: str | None = None) -> Turn:
        """Stand in the queue; the turn has come already where there is room. Use it as a context.

        Args:
            owner: who asks.
            lane: for what.
            session_id: the session that is worked in; None where there is none. Talk needs none.

        Raises:
            Busy: too many wait, in all or of this owner.
            MachineError: the server is being stopped.
        """
        if self.is_closed:
            raise MachineError("The server is being stopped.", "Try again in a moment.")
        return self._lanes[lane].enter(owner, session_id if lane == "work" else None)

    @asynccontextmanager
    async def take(
        self, owner: str, lane: Lane = "work", *, session_id: str | None = None
    ) -> AsyncIterator[Turn]:
        """Wait for a turn as by ``ask``, and have it within the context.

        Raises:
            Busy: too many wait, or it has waited for too long.
            MachineError: the server is being stopped.
        """
        with self.ask(owner, lane, session_id=session_id) as turn:
            if not turn.has_come:
                await turn.wait()
            yield turn

    def places(self, lane: Lane = "work") -> int:
        """How many may be at work at a time."""
        return self._lanes[lane].places

    def sessions(self, lane: Lane = "work") -> set[tuple[str, str]]:
        """Owner and id of the sessions in which somebody is at work."""
        return self._lanes[lane].sessions

    def has_room(self, lane: Lane = "work") -> bool:
        """Whether somebody could begin at once whose session nobody works in."""
        return self._lanes[lane].has_room

    def close(self) -> None:
        """Give no more turns to those who come: the server is being stopped."""
        self.is_closed = True
        for tell in self._on_close:
            tell()

    def on_close(self, tell: Callable[[], None]) -> None:
        """Have this called when no more turns are given."""
        self._on_close.append(tell)

    def active(self, lane: Lane = "work") -> int:
        """How many are at work."""
        return self._lanes[lane].active

    def waiting(self, lane: Lane = "work") -> int:
        """How many wait."""
        return self._lanes[lane].waiting


class _Queue:
    """One lane: its places, and a queue an owner before them."""

    def __init__(
        self,
        *,
        places: int,
        max_waiting: int,
        timeout_s: float,
        on_turn: Callable[[float], None] | None = None,
    ) -> None:
        self._on_turn = on_turn
        self.places = places
        self.max_waiting = max_waiting
        self.timeout_s = timeout_s
        self.active = 0
        self.waiting = 0
        self._owners: OrderedDict[str, deque[Turn]] = OrderedDict()
        """Those who wait, by owner; the first owner is served next."""
        self._sessions: set[tuple[str, str]] = set()
        """In which somebody is at work."""
        self._usual_s = 0.0

    @property
    def sessions(self) -> set[tuple[str, str]]:
        return set(self._sessions)

    @property
    def has_room(self) -> bool:
        return self.active < self.places

    def enter(self, owner: str, session_id: str | None) -> Turn:
        turn = Turn(self, owner, session_id)
        if self.has_room and turn.session not in self._sessions:
            self._begin(turn)
            return turn
        own = self._owners.get(owner)
        if len(own or ()) >= self.max_waiting - self.waiting:
            raise self._full(turn, len(own or ()))
        if own is None:
            own = self._owners[owner] = deque()
        own.append(turn)
        turn.has_waited = True
        self.waiting += 1
        return turn

    def leave(self, turn: Turn) -> None:
        if not turn.has_come:
            self._forget(turn)
            return
        took_s = time.monotonic() - turn.come_at
        share = _NEWEST_COUNTS if self._usual_s else 1.0
        self._usual_s += (took_s - self._usual_s) * share
        self.active -= 1
        if turn.session is not None:
            self._sessions.remove(turn.session)
        while self.has_room and (following := self._next()) is not None:
            self._begin(following)

    def _begin(self, turn: Turn) -> None:
        self.active += 1
        if turn.session is not None:
            self._sessions.add(turn.session)
        turn.begin()
        if self._on_turn is not None:
            self._on_turn(turn.come_at - turn.asked_at)

    def before(self, turn: Turn) -> int:
        """How many stand before it: a round takes one of each owner that still waits.

        Those that wait for their sessions are among them, and may be passed.
        """
        rounds = self._owners[turn.owner].index(turn)
        count, passed = rounds, False
        for owner, own in self._owners.items():
            if owner == turn.owner:
                passed = True
                continue
            count += min(len(own), rounds if passed else rounds + 1)
        return count

    def retry_after_s(self, turn: Turn) -> int:
        """Whole seconds until its turn might come, from what turns took lately."""
        before = (self.waiting + 1) / self.places
        if self._waits_for_session(turn):
            own = self._owners.get(turn.owner, ())
            others = [each for each in own if each.session == turn.session and each is not turn]
            before = len(others) + 1
        expected_s = (self._usual_s or _FIRST_GUESS_S) * before
        return max(1, min(math.ceil(expected_s), _MAX_RETRY_S))

    def waited_too_long(self, turn: Turn) -> Busy:
        what = f"{self.waiting} requests wait."
        if self._waits_for_session(turn):
            what = "another request of this session is still worked on and has the turn."
        return Busy(
            f"No turn came within {self.timeout_s:g} s: {what}",
            "Try again later; PYTHON_CODER_QUEUE_TIMEOUT says how long a request may wait.",
            retry_after_s=self.retry_after_s(turn),
        )

    def _waits_for_session(self, turn: Turn) -> bool:
        """It is its session that it waits for: there is room for others."""
        return self.has_room and turn.session in self._sessions

    def _full(self, turn: Turn, own: int) -> Busy:
        whose = f", {own} of them yours" if 0 < own < self.waiting else ""
        if self._waits_for_session(turn):
            return Busy(
                f"Another request of this session is worked on, and {self.waiting} wait{whose}: no "
                "more may.",
                "Wait for its answer, or ask in another session; PYTHON_CODER_MAX_QUEUE allows more.",
                retry_after_s=self.retry_after_s(turn),
            )
        return Busy(
            f"{self.active} requests are worked on and {self.waiting} wait{whose}.",
            "Try again later; PYTHON_CODER_MAX_REQUESTS and PYTHON_CODER_MAX_QUEUE allow more.",
            retry_after_s=self.retry_after_s(turn),
        )

    def _next(self) -> Turn | None:
        """Take who is served next out of the queue; None where all wait for their sessions."""
        for owner, own in self._owners.items():
            turn = next((turn for turn in own if turn.session not in self._sessions), None)
            if turn is None:
                continue
            self._forget(turn)
            if own:
                self._owners.move_to_end(owner)  # behind all the others
            return turn
        return None

    def _forget(self, turn: Turn) -> None:
        own = self._owners[turn.owner]
        own.remove(turn)
        if not own:
            del self._owners[turn.owner]
        self.waiting -= 1
