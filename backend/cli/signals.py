"""Running a command's coroutine so that every signal that ends us also ends what we started."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """A signal other than Ctrl-C asked us to end, and everything is closed."""

    def __init__(self, number: int) -> None:
        self.exit_status = 128 + number
        super().__init__(f"Ended by {signal.Signals(number).name}.")


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; on SIGINT, SIGTERM or SIGHUP cancel it, wait until it has closed, and say so.

    Raises:
        KeyboardInterrupt: on SIGINT.
        Stopped: on SIGTERM or SIGHUP.
    """
    received: list[int] = []

    async def watched() -> T:
        task = asyncio.ensure_future(work)

        def stop(number: int) -> None:
            received.append(number)
            task.cancel()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, stop, number)
        return await task

    try:
        return asyncio.run(watched())
    except asyncio.CancelledError:
        if received:
            raise Stopped(received[0]) from None
        raise
