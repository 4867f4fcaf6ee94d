"""Work that ends when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

T = TypeVar("T")


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Do the work; when the client goes, cancel it and wait until it has cleaned up.

    The request's body must have been read.

    Raises:
        ClientDisconnect: the client has gone.
    """
    # A scope and not a task of its own, which would begin and be heard of later.
    patience = asyncio.timeout(None)
    watcher = asyncio.create_task(_gone(receive))
    try:
        async with patience:
            watcher.add_done_callback(functools.partial(_give_up, patience))
            answer = await work
    except Exception:
        if patience.expired():
            raise ClientDisconnect from None
        raise
    finally:
        watcher.cancel()
    if patience.expired():
        raise ClientDisconnect
    return answer


def _give_up(patience: asyncio.Timeout, watcher: asyncio.Task[None]) -> None:
    if watcher.cancelled():
        return  # the work is done
    watcher.exception()  # who cannot be heard any more is gone as well
    with suppress(RuntimeError):  # the work is done by now
        patience.reschedule(0)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
