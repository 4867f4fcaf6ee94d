"""What happens in runs in the background: kept in small batches, and told to whoever listens here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

from backend.api.plain import plain
from backend.errors import StoreUnavailable
from backend.store.endings import to_its_end
from backend.store.run_events import RunEvents
from backend.types import Event

FLUSH_S = 0.25
"""Seconds that events wait for others to be written with."""
MAX_CHARS = 8000
"""Characters kept of one event's text; the whole of it is in the answer."""
MAX_DATA = 4000
"""Characters of an event's values from which on they are left out."""


class News:
    """Wakes those who follow a run of this process."""

    def __init__(self) -> None:
        self._listening: dict[str, set[asyncio.Event]] = {}
        self.is_closed = False
        """There will be no more here: the server is being stopped."""

    def tell(self, run_id: str) -> None:
        """Something has happened in a run."""
        for fresh in self._listening.get(run_id, ()):
            fresh.set()

    def close(self) -> None:
        """Send away whoever follows a run: it goes on, here after a restart or on another server."""
        self.is_closed = True
        for run_id in self._listening:
            self.tell(run_id)

    @contextmanager
    def listen(self, run_id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever something has happened."""
        fresh = asyncio.Event()
        listening = self._listening.setdefault(run_id, set())
        listening.add(fresh)
        try:
            yield fresh
        finally:
            listening.discard(fresh)
            if not listening:
                self._listening.pop(run_id, None)


class RunLog:
    """Takes a run's events in, and keeps them while its context ``keeping`` is open."""

    def __init__(self, run_id: str, owner: str, events: RunEvents, news: News) -> None:
        self._run_id = run_id
        self._owner = owner
        self._events = events
        self._news = news
        self._waiting: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        kind, data = _entry(event)
        newest = self._waiting[-1] if self._waiting else None
        if kind == "text" and newest is not None and newest[0] == "text":
            newest[1]["text"] += data["text"]
        elif kind:
            self._waiting.append((kind, data))

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        """Write what has come every moment, and the rest on leaving."""
        task = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            task.cancel()
            await to_its_end(partial(self._rest, task))

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            await to_its_end(self._flush)

    async def _rest(self, task: asyncio.Task[None]) -> None:
        await asyncio.gather(task, return_exceptions=True)
        await self._flush()

    async def _flush(self) -> None:
        if not self._waiting:
            return
        batch, self._waiting = self._waiting, []
        try:
            await self._events.add(self._run_id, batch, owner=self._owner)
        except StoreUnavailable:
            # A step that is not told costs nothing else; the disk may have room again later.
            self._waiting = batch + self._waiting
        self._news.tell(self._run_id)


def _entry(event: Event) -> tuple[str, dict[str, Any]]:
    """How an event is kept; '' for one that is not."""
    text = plain(event.text)
    if event.kind == "begin":
        return "run.started", {}
    if event.kind == "answer":
        return "", {}
    if event.kind == "text":
        return "text", {"text": text}
    if len(text) > MAX_CHARS:
        text = f"{text[:MAX_CHARS]}\n[...]"
    return "step", {"step": event.kind, "text": text, "data": _small(event.data)}


def _small(data: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = plain(dict(data))
    return values if len(json.dumps(values, default=str)) <= MAX_DATA else {}
