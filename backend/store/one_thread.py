"""A thread that does, one after the other, what many tasks want done.

A way to a thread and back costs more than a small piece of work there. So it takes at once all that
waits for it, and all of it is told at once that it is done.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from backend.errors import StoreUnavailable
from backend.store.endings import to_its_end

T = TypeVar("T")

_TOLD_A_TURN = 4
"""Those who wait go on in the loop's thread: as many at once as would come to the thread are a turn
of the loop in which nobody else is heard."""

_Outcome = tuple[asyncio.Future[Any], Any, BaseException | None]


class OneThread:
    """Does work in its thread, in the order in which it comes. Open it with ``open_thread``."""

    def __init__(self, name: str, after: Callable[[], None] | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._after = after
        self._waiting: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()
        self._wakes: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._to_tell: deque[_Outcome] = deque()
        self._ends = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, do: Callable[[], T]) -> T:
        """Do something there. Once asked for it is done, also when nobody waits for it any more.

        Raises:
            StoreUnavailable: the thread has been told to end.
            Exception: what the work raised.
        """
        if self._ends:
            raise StoreUnavailable(
                "The data folder is closed: what had opened it is ending.",
                "Try again once it runs again.",
            )
        done: asyncio.Future[T] = self._loop.create_future()
        self._waiting.append((do, done))
        self._wakes.put(True)
        return await done

    async def aclose(self) -> None:
        """Do what still waits, and end; nothing is taken any more."""
        self._ends = True
        self._wakes.put(False)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        goes_on = True
        while goes_on:
            goes_on = self._wakes.get()
            done: list[_Outcome] = []
            while self._waiting:
                work, told = self._waiting.popleft()
                try:
                    done.append((told, work(), None))
                except BaseException as error:
                    done.append((told, None, error))
            if done:
                self._loop.call_soon_threadsafe(self._tell, self._finished(done))

    def _finished(self, done: list[_Outcome]) -> list[_Outcome]:
        if self._after is None:
            return done
        try:
            self._after()
        except BaseException as error:
            return [(told, None, failed or error) for told, _, failed in done]
        return done

    def _tell(self, done: list[_Outcome]) -> None:
        is_idle = not self._to_tell
        self._to_tell.extend(done)
        if is_idle:
            self._tell_some()

    def _tell_some(self) -> None:
        for _ in range(min(_TOLD_A_TURN, len(self._to_tell))):
            told, result, error = self._to_tell.popleft()
            if told.done():
                continue  # whoever waited was cancelled
            if error is None:
                told.set_result(result)
            else:
                told.set_exception(error)
        if self._to_tell:
            self._loop.call_soon(self._tell_some)


@asynccontextmanager
async def open_thread(
    name: str, *, after: Callable[[], None] | None = None
) -> AsyncIterator[OneThread]:
    """Start a thread, and let it end with what it was given.

    Args:
        name: the thread's.
        after: done there after each time that it took up what waited, before any of that counts as
            done. What it raises, all of that has failed with.
    """
    thread = OneThread(name, after)
    try:
        yield thread
    finally:
        await to_its_end(thread.aclose)
