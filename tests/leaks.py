"""What is left open: seen by the garbage collector, with work cancelled wherever it waits."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from typing import Any


@contextmanager
def nothing_left_open() -> Iterator[None]:
    """Say of what was opened inside and is not in use any more, but was not closed."""
    gc.collect()  # what tests before this one left is not this one's
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ResourceWarning)
        yield
        gc.collect()
    assert [str(each.message) for each in said if each.category is ResourceWarning] == []


async def cancel_everywhere(work: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Do work again and again, each time cancelled a wait later, until it comes to its end.

    Each wait is cut short twice: before what it waits for is there, and when that is there, but
    the work has not heard of it. Returns how many waits there were.
    """
    for wait in count():
        for is_there in (False, True):
            cancelled = _Cancelled(work(), wait, is_there=is_there)
            with suppress(asyncio.CancelledError):
                await asyncio.create_task(_awaited(cancelled))
            if not cancelled.was_reached:
                return wait
    raise AssertionError


async def _awaited(cancelled: _Cancelled) -> None:
    await cancelled


class _Cancelled:
    def __init__(self, work: Coroutine[Any, Any, None], wait: int, *, is_there: bool) -> None:
        self._work = work
        self._wait = wait
        self._is_there = is_there
        self.was_reached = False

    def __await__(self) -> Generator[Any, None, None]:
        steps = self._work.__await__()
        go_on: Callable[[], Any] = partial(next, steps)
        for number in count():
            try:
                waits_for = go_on()
            except StopIteration:
                return
            is_now = number == self._wait
            if is_now:
                self.was_reached = True
                if not self._is_there:
                    task = asyncio.current_task()
                    assert task is not None
                    task.cancel()
            go_on = partial(next, steps)
            try:
                yield waits_for
                if is_now:
                    go_on = partial(steps.throw, asyncio.CancelledError())
            except BaseException as error:
                go_on = partial(steps.throw, error)
