"""Many tasks at once, some at a time: what becomes of one is nothing to the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
Result = dict[str, Any]


async def run_batch(
    items: Sequence[T],
    work: Callable[[T], Awaitable[Result]],
    *,
    parallel: int,
    on_error: Callable[[T, Exception], Result],
) -> list[Result]:
    """Work on every item and return the results in the items' order.

    Args:
        items: what to work on.
        work: does one of them.
        parallel: how many at a time, at least 1.
        on_error: the result of an item whose work raised. It may raise as well: then nothing more
            is begun, what is running is cancelled, and that exception is the batch's.

    Cancelling the batch cancels all of it.

    Raises:
        ValueError: ``parallel`` is below 1.
    """
    if parallel < 1:
        raise ValueError(f"parallel is {parallel}; it must be 1 or more")
    results: dict[int, Result] = {}
    waiting = iter(enumerate(items))

    async def worker() -> None:
        for place, item in waiting:
            try:
                results[place] = await work(item)
            except Exception as error:
                results[place] = on_error(item, error)

    workers = [asyncio.ensure_future(worker()) for _ in range(min(parallel, len(items)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return [results[place] for place in range(len(items))]
