"""What is to be done to its end, as closing what was opened."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def to_its_end(do: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Do something, also when whoever waits for it is cancelled meanwhile: then after its end.

    Raises:
        Exception: what it raised.
    """
    doing = asyncio.create_task(do())
    cancelled: asyncio.CancelledError | None = None
    while not doing.done():
        try:
            await asyncio.shield(doing)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled from (None if doing.cancelled() else doing.exception())
    return doing.result()


async def opened(open_: Callable[[], int]) -> int:
    """Open a file in a thread; when whoever waits for it is cancelled meanwhile, it is closed.

    Raises:
        OSError: it cannot be opened.
    """
    opening = asyncio.ensure_future(asyncio.to_thread(open_))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise


def _close(opening: asyncio.Future[int]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        os.close(opening.result())
