"""The work on a response: in one piece, or as server-sent events."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi.responses import JSONResponse, Response

from backend.api.errors import error_response, log_unexpected, stopped_response
from backend.api.feed import Feed, follow
from backend.api.plain import as_json, plain
from backend.api.responses.preparing import ResponseJob
from backend.api.responses.telling import OutEvent, Telling
from backend.api.state import Server
from backend.api.streaming import BEFORE_WORK, KEEP_ALIVE, EventStream
from backend.api.turns import Turn
from backend.core.requests import Answer
from backend.errors import PythonCoderError, StoreUnavailable
from backend.types import Event


async def answer_whole(job: ResponseJob, server: Server, base_url: str) -> Response:
    """The response to a request that does not stream."""
    telling = Telling(job, server, base_url)
    telling.begin()
    try:
        async with server.turns.take(job.chat.owner, job.chat.lane):
            await _work(job, server, telling)
        await keep_response(job, telling, server)
    except Exception as error:
        if not telling.progress.has_run:
            raise
        log_unexpected(error)
        return error_response(error, after_run=True)
    except asyncio.CancelledError:
        if not (telling.progress.has_run and server.turns.is_closed):
            raise
        return stopped_response(after_run=True)
    return JSONResponse(plain(telling.shown()))


async def _work(job: ResponseJob, server: Server, telling: Telling) -> None:
    try:
        async with follow(server.assistant.stream(job.chat.ask)) as feed:
            while True:
                item = await feed.next(math.inf)
                if isinstance(item, Event):
                    await telling.tell(item)
                elif item is not None:
                    await telling.end(item)
                    return
    except PythonCoderError as error:
        await telling.end_cut(error)


class ResponseStream(EventStream):
    """The response to a request that streams."""

    def __init__(self, job: ResponseJob, server: Server, *, base_url: str) -> None:
        super().__init__()
        self._job = job
        self._server = server
        self._telling = Telling(job, server, base_url)

    async def _lines(self) -> AsyncGenerator[str, None]:
        chat = self._job.chat
        with self._server.turns.ask(chat.owner, chat.lane) as turn:
            if not turn.has_come:
                yield lines_of(self._telling.begin())
                try:
                    async with aclosing(self._waiting(turn)) as waiting:
                        async for line in waiting:
                            yield line
                except PythonCoderError as error:
                    yield lines_of(await self._failed(error))
                    return
            async with aclosing(self._answer(is_begun=turn.has_waited)) as answer:
                async for line in answer:
                    yield line

    async def _waiting(self, turn: Turn) -> AsyncGenerator[str, None]:
        while not turn.has_come:
            yield KEEP_ALIVE
            await turn.wait(self._server.settings.stream_keep_alive_s)

    async def _answer(self, *, is_begun: bool) -> AsyncGenerator[str, None]:
        async with follow(self._server.assistant.stream(self._job.chat.ask)) as feed:
            held: list[Event | Answer | None] = []
            if not is_begun:
                held = await self._before_work(feed)
                yield lines_of(self._telling.begin())
            try:
                async with aclosing(self._rest(held, feed)) as rest:
                    async for line in rest:
                        yield line
            except Exception as error:  # the status is out; this is all that can be told now
                log_unexpected(error)
                yield lines_of(await self._failed(error))

    async def _before_work(self, feed: Feed[Event | Answer]) -> list[Event | Answer | None]:
        held: list[Event | Answer | None] = []
        while True:
            item = await feed.next(self._server.settings.stream_keep_alive_s)
            held.append(item)
            if not (isinstance(item, Event) and item.kind in BEFORE_WORK):
                return held

    async def _rest(
        self, held: list[Event | Answer | None], feed: Feed[Event | Answer]
    ) -> AsyncGenerator[str, None]:
        last: list[OutEvent] = []
        while not last:
            try:
                item = held.pop(0) if held else await self._next(feed)
            except PythonCoderError as error:
                last = await self._telling.end_cut(error)
                break
            if item is None:
                yield KEEP_ALIVE
            elif isinstance(item, Event):
                if events := await self._telling.tell(item):
                    yield lines_of(events)
            else:
                last = await self._telling.end(item)
        # Whoever hears the end may ask for the response at once.
        await keep_response(self._job, self._telling, self._server)
        last[-1]["response"] = self._telling.shown()
        yield lines_of(last)

    async def _next(self, feed: Feed[Event | Answer]) -> Event | Answer | None:
        return await feed.next(self._server.settings.stream_keep_alive_s)

    async def _failed(self, error: Exception) -> list[OutEvent]:
        events = self._telling.fail(error)
        await keep_response(self._job, self._telling, self._server)
        return events


async def keep_response(job: ResponseJob, telling: Telling, server: Server) -> None:
    """Keep the response, where that is wanted; a store that fails costs the record only."""
    if job.request.store is False:
        return
    session = job.chat.session
    try:
        await server.responses.add(
            plain(telling.body),
            owner=job.chat.owner,
            session_id=session.id if session else None,
            previous=job.request.previous_response_id or None,
            input=plain(job.input),
        )
    except StoreUnavailable as error:
        note = f"The response could not be kept. {error}"
        metadata: dict[str, Any] = telling.body["x_agent_metadata"] or {}
        notes = [*metadata.get("notes", ()), note]
        telling.body = {**telling.body, "x_agent_metadata": {**metadata, "notes": notes}}


def lines_of(events: list[OutEvent]) -> str:
    """Events as they go over the wire."""
    return "".join(f"event: {event['type']}\ndata: {as_json(event)}\n\n" for event in events)
