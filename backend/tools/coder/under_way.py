"""Work that can be ended from elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from backend.errors import RunCancelled

T = TypeVar("T")


class UnderWay:
    """One piece of it."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        """It has ended, and its record says so."""
        self._scope: asyncio.Timeout | None = None
        self._why = ""

    async def do(self, work: Awaitable[T]) -> T:
        """Do it.

        Raises:
            RunCancelled: ``cancel`` was called meanwhile.
        """
        scope = self._scope = asyncio.timeout(None)
        try:
            async with scope:
                return await work
        except TimeoutError:
            if not scope.expired():
                raise
            raise RunCancelled(self._why) from None
        finally:
            self._scope = None

    def cancel(self, why: str) -> None:
        """End it; what is over already stays as it is."""
        if self._scope is not None and not self._scope.expired():
            self._why = why
            self._scope.reschedule(0)
