"""Work in a thread of its own: in order, to its end, and told of as it went."""

from __future__ import annotations

import asyncio
import threading

import pytest

from backend.errors import StoreUnavailable
from backend.store.one_thread import open_thread


async def test_work_is_done_in_the_order_in_which_it_comes() -> None:
    done: list[int] = []
    async with open_thread("test") as thread:
        waiting = [thread.run(lambda number=number: done.append(number)) for number in range(20)]
        await asyncio.gather(*waiting)
    assert done == list(range(20))


async def test_what_work_gives_and_raises_reaches_whoever_asked_for_it() -> None:
    def fail() -> None:
        raise ValueError("this one")

    async with open_thread("test") as thread:
        outcomes = await asyncio.gather(
            thread.run(lambda: 1), thread.run(fail), thread.run(lambda: 3), return_exceptions=True
        )
    assert outcomes[0] == 1 and outcomes[2] == 3
    assert isinstance(outcomes[1], ValueError)


async def test_work_is_done_when_nobody_waits_for_it_any_more() -> None:
    held, done = threading.Event(), threading.Event()
    async with open_thread("test") as thread:
        first = asyncio.ensure_future(thread.run(held.wait))
        second = asyncio.ensure_future(thread.run(done.set))
        await asyncio.sleep(0)
        second.cancel()
        held.set()
        await first
    assert done.is_set()


async def test_what_waits_is_done_before_it_ends() -> None:
    done: list[str] = []
    async with open_thread("test") as thread:
        waiting = asyncio.ensure_future(thread.run(lambda: done.append("last")))
        await asyncio.sleep(0)
    await waiting
    assert done == ["last"]
    with pytest.raises(StoreUnavailable, match="is closed"):
        await thread.run(lambda: done.append("too late"))


async def test_nothing_counts_as_done_where_what_follows_fails() -> None:
    def full() -> None:
        raise OSError("no room")

    async with open_thread("test", after=full) as thread:
        with pytest.raises(OSError, match="no room"):
            await thread.run(lambda: 1)
