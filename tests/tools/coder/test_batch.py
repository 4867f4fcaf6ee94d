from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backend.tools.coder.batch import run_batch


def told(item: Any, error: Exception) -> dict[str, Any]:
    return {"success": False, "error": f"{item}: {error}"}


async def test_one_failure_does_not_stop_the_others() -> None:
    async def work(item: int) -> dict[str, Any]:
        await asyncio.sleep(0.001 * (5 - item))
        if item in (0, 3):
            raise ValueError("no")
        return {"success": True, "item": item}

    results = await run_batch(range(5), work, parallel=2, on_error=told)
    assert results == [
        {"success": False, "error": "0: no"},
        {"success": True, "item": 1},
        {"success": True, "item": 2},
        {"success": False, "error": "3: no"},
        {"success": True, "item": 4},
    ]


@pytest.mark.parametrize(("parallel", "most"), [(1, 1), (3, 3), (50, 8)])
async def test_no_more_run_at_a_time_than_may(parallel: int, most: int) -> None:
    running, seen = 0, 0

    async def work(item: int) -> dict[str, Any]:
        nonlocal running, seen
        running += 1
        seen = max(seen, running)
        await asyncio.sleep(0.01)
        running -= 1
        return {}

    await run_batch(range(8), work, parallel=parallel, on_error=told)
    assert seen == most


async def test_no_items_give_no_results() -> None:
    async def work(item: int) -> dict[str, Any]:
        raise AssertionError(item)

    assert await run_batch([], work, parallel=3, on_error=told) == []


async def test_a_batch_needs_room_for_one() -> None:
    with pytest.raises(ValueError, match="parallel is 0"):
        await run_batch([1], lambda _: asyncio.sleep(0, {}), parallel=0, on_error=told)


async def test_cancelling_a_batch_cancels_all_of_it() -> None:
    begun, ended = [], []
    full = asyncio.Event()

    async def work(item: int) -> dict[str, Any]:
        begun.append(item)
        if len(begun) == 3:
            full.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(item)
        return {}

    task = asyncio.create_task(run_batch(range(9), work, parallel=3, on_error=told))
    await full.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (begun, ended) == ([0, 1, 2], [0, 1, 2])


async def test_what_on_error_raises_ends_the_batch_and_what_is_running() -> None:
    ended = []

    async def work(item: int) -> dict[str, Any]:
        if item == 0:
            await asyncio.sleep(0.01)
            raise KeyError("bug")
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(item)
        return {}

    def refuse(item: int, error: Exception) -> dict[str, Any]:
        raise error

    with pytest.raises(KeyError):
        await run_batch(range(9), work, parallel=2, on_error=refuse)
    assert ended == [1]
