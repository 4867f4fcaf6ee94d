"""A run's events as server-sent events: those there are, then those to come, until it stands still."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

from backend.api.background import Background
from backend.api.plain import as_json
from backend.api.streaming import KEEP_ALIVE, EventStream
from backend.errors import NotFound
from backend.store.run_events import RunEvent
from backend.store.runs import RunStore

POLL_S = 0.5
"""Seconds between looks into the table, where another process works on the run."""


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
        after, told_at = self._after, time.monotonic()
        with self._background.news.listen(self._run_id) as fresh, suppress(NotFound):
            while True:
                fresh.clear()
                # Looked up first: what has happened by then is read afterwards.
                is_over = await self._runs.queued.is_over(self._run_id, owner=self._owner)
                events = await self._runs.events.read(self._run_id, owner=self._owner, after=after)
                for event in events:
                    after = event.sequence
                    yield event_line(event, self._run_id)
                if events:
                    told_at = time.monotonic()
                    continue
                if is_over:
                    return
                if time.monotonic() - told_at >= self._keep_alive_s:
                    told_at = time.monotonic()
                    yield KEEP_ALIVE
                here = self._background.works_on(self._run_id)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._keep_alive_s if here else POLL_S):
                        await fresh.wait()


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
