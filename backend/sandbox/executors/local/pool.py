"""Keeps children ready, so that a program never waits for one to be born; each is used once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from backend.errors import SandboxUnavailable
from backend.sandbox.endings import see_through
from backend.sandbox.executors.local.child import Child
from backend.sandbox.executors.local.generation import Generation, Habits
from backend.sandbox.executors.local.zygote import Zygote

_BIRTHS_AT_A_TIME = 2
_SHORT_SECONDS = 0.5
"""After a shortage, in which the next ones are likely to be waited for as well."""
_NOTICE_SECONDS = 0.5
_BREATH_SECONDS = 0.002
"""After a run, for its result to go out before its child is cleared away and replaced."""
_RETRY_SECONDS = 1.0
_MOST_RETRY_SECONDS = 600.0
"""What does not start is tried ever less often: each time costs seconds of a processor."""
_CAN_BE_CUT_SHORT = "cut short"
"""The name of tasks that closing does not wait for."""

StartZygote = Callable[[bool], Awaitable[Zygote]]
"""Start one: True for one that has imported everything, False for one that has imported nothing."""
Bear = Callable[[Zygote, bool], Awaitable[Child]]
"""Have a child: True for one for which someone waits already."""


class Pool:
    """Children of the newest zygote, ready to be taken.

    A first zygote that has imported nothing serves until the one that has imported everything is
    there. When one is worn out another takes its place; it lives on until its last child ends.
    """

    def __init__(
        self,
        start_zygote: StartZygote,
        bear: Bear,
        *,
        size: int,
        most: int,
        warm: bool,
        habits: Habits | None = None,
    ) -> None:
        self._habits = habits or Habits()
        self._start_zygote = start_zygote
        self._bear = bear
        self._size = self._wanted = size
        self._most = most
        self._wants_warm = warm
        self._generation: Generation | None = None
        self._lent: dict[Child, Generation] = {}
        self._renewing = asyncio.Lock()
        self._is_renewing = False
        self._look = asyncio.Event()
        """There may be something to do."""
        self._last_shortage = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._failures = 0
        self.why_cold = ""
        """Why there is no zygote that has imported everything, though there should be."""
        self.shortages = 0
        """How often a child had to be born while someone waited."""

    async def open(self) -> None:
        """Start the first zygote, and what keeps children ready.

        Raises:
            SandboxUnavailable: it cannot be started here.
        """
        await self._renew(warm=False)
        self._in_background(self._maintain(), _CAN_BE_CUT_SHORT)

    async def aclose(self) -> None:
        """End every process of every generation."""
        self._closing = True
        await see_through(self._close_all())

    async def _close_all(self) -> None:
        for child in list(self._lent):
            self.give_back(child)
        if self._generation is not None:
            self._retire(self._generation)
            self._generation = None
        while self._tasks:
            for task in self._tasks:
                if task.get_name() == _CAN_BE_CUT_SHORT:
                    task.cancel()
            await asyncio.wait(self._tasks)

    async def take(self) -> Child:
        """A child for one use; give it back afterwards, however that went.

        Raises:
            SandboxUnavailable: none can be had.
        """
        for attempt in (1, 2):
            generation = await self._living()
            if (child := self._pop(generation)) is not None:
                return child
            self._note_shortage()
            generation.in_use += 1
            try:
                child = await self._bear(generation.zygote, True)
            except SandboxUnavailable:
                self._leave(generation)
                if attempt == 2 or not await _ends_soon(generation.zygote):
                    raise
            except BaseException:
                self._leave(generation)
                raise
            else:
                self._lent[child] = generation
                return child
        raise AssertionError("unreachable")

    @property
    def ready(self) -> int:
        """Children that wait for a program."""
        return len(self._generation.ready) if self._generation else 0

    @property
    def in_use(self) -> int:
        """Children that were taken and not given back."""
        return len(self._lent)

    @property
    def is_settled(self) -> bool:
        """What it bears children from is what it should be, or it is known why not."""
        is_warm = self._generation is not None and self._generation.is_warm == self._wants_warm
        return is_warm or bool(self.why_cold)

    @property
    def imported(self) -> tuple[str, ...]:
        """The modules that programs find imported now."""
        return self._generation.zygote.imported if self._generation else ()

    @property
    def is_full(self) -> bool:
        """As many are ready as are to be."""
        return self.ready >= self._wanted

    @property
    def is_quiet(self) -> bool:
        """Nobody is being born or buried, and no zygote started or ended."""
        return len(self._tasks) == 1 and not self._look.is_set()

    async def end(self, child: Child) -> None:
        """Like ``give_back``, but it has ended when this returns."""
        await child.aclose()
        self.give_back(child)

    def give_back(self, child: Child) -> None:
        """The child has been used: it ends now, and nobody waits for that."""
        child.kill()
        generation = self._lent.pop(child, None)
        if generation is not None:
            self._in_background(self._replace(child, generation))

    def _pop(self, generation: Generation) -> Child | None:
        while generation.ready:
            child = generation.ready.popleft()
            if not generation.ready:
                self._look.set()
            generation.in_use += 1
            self._lent[child] = generation
            if child.is_alive:
                return child
            self.give_back(child)
        return None

    def _note_shortage(self) -> None:
        self.shortages += 1
        self._last_shortage = time.monotonic()
        self._wanted = min(self._wanted + 1, self._most)
        self._look.set()

    async def _replace(self, child: Child, generation: Generation) -> None:
        await asyncio.sleep(_BREATH_SECONDS)
        self._look.set()
        await self._bury(child, generation)

    async def _bury(self, child: Child, generation: Generation) -> None:
        try:
            await child.aclose()
        finally:
            self._leave(generation)

    def _leave(self, generation: Generation) -> None:
        generation.in_use -= 1
        if generation is not self._generation and not generation.in_use:
            self._in_background(generation.zygote.aclose())

    async def _living(self) -> Generation:
        generation = self._generation
        if generation is None or not generation.zygote.is_alive:
            async with self._renewing:
                generation = self._generation
                if generation is None or not generation.zygote.is_alive:
                    await self._renew(warm=False)
        assert self._generation is not None
        return self._generation

    async def _renew(self, *, warm: bool) -> None:
        """Start another zygote, which has all children from now on."""
        zygote = await self._start_zygote(warm)
        old, self._generation = self._generation, Generation(zygote, self._habits, is_warm=warm)
        self._look.set()
        if old is not None:
            self._retire(old)

    def _retire(self, generation: Generation) -> None:
        """Let go of what it has ready; it ends when nobody uses a child of its any more."""
        generation.in_use += 1
        while generation.ready:
            child = generation.ready.popleft()
            generation.in_use += 1
            self._in_background(self._bury(child, generation))
        self._generation = None if generation is self._generation else self._generation
        self._leave(generation)

    async def _maintain(self) -> None:
        while not self._closing:
            self._see_to_the_zygote()
            self._see_to_the_children()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._habits.look_seconds):
                    await self._look.wait()
            self._look.clear()

    def _see_to_the_zygote(self) -> None:
        generation = self._generation
        is_due = generation is None or generation.is_worn
        if generation is not None and generation.is_warm != self._wants_warm:
            is_due = True
        if is_due and not self._is_renewing:
            self._is_renewing = True
            self._in_background(self._renew_ahead(), _CAN_BE_CUT_SHORT)

    async def _renew_ahead(self) -> None:
        try:
            await self._renew(warm=self._wants_warm)
            self._failures, self.why_cold = 0, ""
        except SandboxUnavailable as error:
            self._note_failure(error)
            await self._renew_cold()
            # Whoever asks for a child where there can be none is told why.
            seconds = _RETRY_SECONDS * 4 ** min(self._failures - 1, 9)
            await asyncio.sleep(min(seconds, _MOST_RETRY_SECONDS))
        finally:
            self._is_renewing = False
            self._look.set()

    def _note_failure(self, error: SandboxUnavailable) -> None:
        self._failures += 1
        if self._wants_warm and not self.why_cold:
            self.why_cold = str(error)
            log = logging.getLogger("backend.sandbox")
            log.warning("Programs start without imports ahead. %s", error)

    async def _renew_cold(self) -> None:
        """A zygote that has imported nothing wears out as well, and dies."""
        generation = self._generation
        if self._wants_warm and (generation is None or generation.is_worn):
            with suppress(SandboxUnavailable):
                await self._renew(warm=False)

    def _see_to_the_children(self) -> None:
        generation = self._generation
        if generation is None:
            return
        if time.monotonic() - self._last_shortage > self._habits.idle_seconds:
            self._wanted = max(self._size, self._wanted - 1)
            self._last_shortage = time.monotonic()
        while len(generation.ready) > self._wanted:
            child = generation.ready.pop()
            generation.in_use += 1
            self._in_background(self._bury(child, generation))
        # What is ready of one that is about to be replaced is born in vain.
        is_to_stay = generation.is_warm == self._wants_warm or self.why_cold
        wanted = self._wanted if is_to_stay else 1
        missing = wanted - len(generation.ready) - generation.births
        for _ in range(min(missing, _BIRTHS_AT_A_TIME - generation.births)):
            generation.births += 1
            generation.in_use += 1
            self._in_background(self._bear_ahead(generation), _CAN_BE_CUT_SHORT)

    async def _bear_ahead(self, generation: Generation) -> None:
        child = None
        try:
            is_short = time.monotonic() - self._last_shortage < _SHORT_SECONDS
            child = await self._bear(generation.zygote, is_short and self.shortages > 0)
        except SandboxUnavailable:
            await asyncio.sleep(_RETRY_SECONDS)
        finally:
            generation.births -= 1
            if child is None:
                self._leave(generation)
            elif generation is self._generation and not self._closing:
                generation.ready.append(child)
                self._leave(generation)
            else:
                self._in_background(self._bury(child, generation))
            self._look.set()

    def _in_background(self, work: Coroutine[Any, Any, None], name: str = "") -> None:
        task = asyncio.create_task(work, name=name or None)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _ends_soon(zygote: Zygote) -> bool:
    """Whether it is at its end, which is noticed a moment after that of its children."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_NOTICE_SECONDS):
            await zygote.wait()
    return not zygote.is_alive
