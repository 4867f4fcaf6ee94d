"""What happens in a request, kept until its client takes it.

A model goes on speaking while a client reads slowly or not at all. What has not been taken is kept
as few pieces: words that follow one another become one piece once enough of them wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from backend.types import Event

_ENOUGH = 32
"""Pieces that may wait before words are put together."""
_LONG = 4096
"""Characters from which on a piece is left as it is."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class _Ended:
    error: BaseException | None


class Feed(Generic[T]):
    """What a source gives, to be waited for with a limit; see ``follow``."""

    def __init__(self) -> None:
        self._items: deque[T | _Ended] = deque()
        self._news = asyncio.Event()

    @property
    def has_more(self) -> bool:
        """``next`` would give an item at once."""
        return bool(self._items) and not isinstance(self._items[0], _Ended)

    async def next(self, timeout_s: float) -> T | None:
        """The next item, or None after so many seconds of silence.

        Raises:
            Exception: what the source raised.
        """
        if not self._items:
            self._news.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._news.wait()
            except TimeoutError:
                return None
        item = self._items.popleft()
        if isinstance(item, _Ended):
            raise item.error or RuntimeError("It ended without an answer.")
        return item

    def put(self, item: T | _Ended) -> None:
        """Add an item, or its words to the last one."""
        if len(self._items) >= _ENOUGH and isinstance(item, Event):
            last = self._items[-1]
            if isinstance(last, Event) and _is_one_text(last, item):
                self._items[-1] = replace(last, text=last.text + item.text)
                return
        self._items.append(item)
        self._news.set()

    async def pump(self, source: AsyncIterator[T], note: Callable[[T], None]) -> None:
        """Take in everything the source gives; ``note`` is given each item at once."""
        error: BaseException | None = None
        try:
            async for item in source:
                note(item)
                self.put(item)
        except Exception as raised:
            error = raised
        finally:
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()
        self.put(_Ended(error=error))


def _is_one_text(last: Event, new: Event) -> bool:
    same = last.kind == new.kind == "text" and last.data == new.data
    return same and len(last.text) + len(new.text) <= _LONG


@asynccontextmanager
async def follow(
    source: AsyncIterator[T], note: Callable[[T], None] = lambda _: None
) -> AsyncIterator[Feed[T]]:
    """Let a source work on its own; on leaving it is stopped, and has stopped.

    Args:
        source: what gives the items.
        note: is given each item when it comes, however late it is taken.
    """
    feed: Feed[T] = Feed()
    task = asyncio.create_task(feed.pump(source, note))
    try:
        yield feed
    finally:
        task.cancel()
        await asyncio.wait({task})
