"""A run's events as server-sent events: those there are, then those to come, until it stands still."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from backend.api.background import Background
from backend.api.event_stream import KEEP_ALIVE, EventStream
from backend.api.plain import as_json
from backend.errors import NotFound
from backend.store.run_events import RunEvent
from backend.store.runs import RunStore

POLL_S = 0.5
"""Seconds between looks into the table, where another process works on the run."""
LEAVE = ": the server is being stopped; follow again, after what was told last\n\n"
"""A comment line: the stream ends, what it tells of does not."""


class RunEventStream(EventStream):
    """The response that follows a run; leaving it changes nothing about the run."""

    def __init__(
        self,
        run_id: str,
        *,
        owner: str,
        after: int,
        runs: RunStore,
        background: Background,
        keep_alive_s: float,
    ) -> None:
        super().__init__()
        self._run_id = run_id
        self._owner = owner
        self._after = after
        self._runs = runs
        self._background = background
        self._keep_alive_s = keep_alive_s

    async def _lines(self) -> AsyncGenerator[str, None]:
        yield KEEP_ALIVE  # the status goes out at once, whatever is there to tell
        after = self._after
        with (
            follower(self._background, self._run_id, self._keep_alive_s) as news,
            suppress(NotFound),
        ):
            while True:
                news.look()
                # Looked up first: what has happened by then is read afterwards.
                is_over = await self._runs.queued.is_over(self._run_id, owner=self._owner)
                events = await self._runs.events.read(self._run_id, owner=self._owner, after=after)
                for event in events:
                    after = event.sequence
                    yield event_line(event, self._run_id)
                if events:
                    news.told()
                    continue
                if is_over:
                    return
                if news.has_to_leave:
                    yield LEAVE
                    return
                if await news.wait():
                    yield KEEP_ALIVE


class Follower:
    """Waits for news of a run, wherever it is worked on. Open it with ``follower``."""

    def __init__(
        self, background: Background, run_id: str, fresh: asyncio.Event, keep_alive_s: float
    ) -> None:
        self._background = background
        self._run_id = run_id
        self._fresh = fresh
        self._keep_alive_s = keep_alive_s
        self._told_at = time.monotonic()

    @property
    def has_to_leave(self) -> bool:
        """The server is being stopped. The run goes on without it, and can be followed again."""
        return self._background.news.is_closed

    def look(self) -> None:
        """Say that one looks now: only what happens from here on is news."""
        self._fresh.clear()

    def told(self) -> None:
        """Say that the client has been told something."""
        self._told_at = time.monotonic()

    async def wait(self) -> bool:
        """Wait until it is time for another look; True where it is time for a sign of life, too."""
        left_s = self._told_at + self._keep_alive_s - time.monotonic()
        here = self._background.works_on(self._run_id)
        with suppress(TimeoutError):
            async with asyncio.timeout(left_s if here else min(left_s, POLL_S)):
                await self._fresh.wait()
        if time.monotonic() - self._told_at < self._keep_alive_s:
            return False
        self.told()
        return True


@contextmanager
def follower(background: Background, run_id: str, keep_alive_s: float) -> Iterator[Follower]:
    """Follow a run; ``keep_alive_s`` is the silence after which a stream says that it is alive."""
    with background.news.listen(run_id) as fresh:
        yield Follower(background, run_id, fresh, keep_alive_s)


def event_line(event: RunEvent, run_id: str) -> str:
    """An event with its number, by which a client goes on after it."""
    return f"id: {event.sequence}\ndata: {as_json(event_body(event, run_id))}\n\n"


def event_body(event: RunEvent, run_id: str) -> dict[str, Any]:
    """An event as it goes out."""
    return {
        "id": event.sequence,
        "object": "run.event",
        "run_id": run_id,
        "type": event.kind,
        "created_at": int(event.created_at),
        "step": event.data.get("step"),
        "text": event.data.get("text"),
        "data": event.data.get("data") or {},
    }
