"""Running a command's coroutine so that every signal that ends us also ends what we started."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """A signal asked us to end, and everything is closed."""

    def __init__(self, number: int, name: str) -> None:
        self.exit_status = 128 + number
        super().__init__("Interrupted." if name == "SIGINT" else f"Ended by {name}.")


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; on SIGINT, SIGTERM or SIGHUP cancel it, wait until it has closed, and say so.

    Raises:
        Stopped: a signal ended it.
    """
    import asyncio
    import signal

    received: list[signal.Signals] = []

    async def watched() -> T:
        task = asyncio.ensure_future(work)

        def stop(number: signal.Signals) -> None:
            received.append(number)
            task.cancel()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, stop, number)
        return await task

    try:
        return asyncio.run(watched())
    except KeyboardInterrupt:
        raise Stopped(signal.SIGINT, "SIGINT") from None
    except asyncio.CancelledError:
        if received:
            raise Stopped(received[0], received[0].name) from None
        raise
