"""What is to be done to its end, as closing what was opened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


async def to_its_end(do: Callable[[], Coroutine[Any, Any, None]]) -> None:
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
    doing.result()
