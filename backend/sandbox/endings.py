"""Clearing away that no cancelling, however often repeated, cuts short."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def see_through(work: Awaitable[T]) -> T:
    """Await bounded work to its end; whoever is cancelled meanwhile is so afterwards.

    Raises:
        asyncio.CancelledError: it was asked for meanwhile; the work is done nevertheless.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # it is told to nobody, and is not to be complained about
        raise cancelled
    return task.result()
