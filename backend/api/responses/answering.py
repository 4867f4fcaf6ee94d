"""The work on a response: in one piece, or as server-sent events."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

from fastapi.responses import JSONResponse, Response

from backend.api.attachments import forget_attached
from backend.api.errors import error_response, log_unexpected, stopped_response
from backend.api.event_stream import KEEP_ALIVE, AnswerStream, Item
from backend.api.feed import Feed, follow
from backend.api.plain import as_json, plain
from backend.api.responses.preparing import ResponseJob
from backend.api.responses.telling import OutEvent, Telling
from backend.api.state import Server
from backend.core.requests import Answer
from backend.errors import PythonCoderError, StoreUnavailable
from backend.store.endings import to_its_end
from backend.store.told import told
from backend.types import Event


async def answer_whole(job: ResponseJob, server: Server, base_url: str) -> Response:
    """The response to a request that does not stream."""
    telling = Telling(job, server, base_url)
    telling.begin()
    try:
        chat = job.chat
        async with server.turns.take(chat.owner, chat.lane, session_id=chat.ask.session_id):
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
    finally:
        if job.chat.ask.files:
            await forget_attached(job.chat.session, server, job.chat.owner)
        await _forget_files(job, server)
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


class ResponseStream(AnswerStream):
    """The response to a request that streams."""

    def __init__(self, job: ResponseJob, server: Server, *, base_url: str) -> None:
        super().__init__(job.chat, server)
        self._job = job
        self._telling = Telling(job, server, base_url)

    async def _lines(self) -> AsyncGenerator[str, None]:
        try:
            async with aclosing(super()._lines()) as lines:
                async for line in lines:
                    yield line
        finally:
            await _forget_files(self._job, self._server)

    def _begin(self, held: list[Item]) -> str:
        return lines_of(self._telling.begin())

    async def _work(
        self, held: list[Item], feed: Feed[Event | Answer]
    ) -> AsyncGenerator[str, None]:
        last: list[OutEvent] = []
        while not last:
            try:
                item = held.pop(0) if held else await feed.next(self._silence_s)
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

    def _cut_off(self, error: PythonCoderError) -> str:
        return lines_of(self._telling.fail(error))

    async def _failed(self, error: Exception) -> str:
        events = self._telling.fail(error)
        await keep_response(self._job, self._telling, self._server)
        return lines_of(events)


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
        note = f"The response could not be kept. {told(error)}"
        metadata: dict[str, Any] = telling.body["x_agent_metadata"] or {}
        notes = [*metadata.get("notes", ()), note]
        telling.body = {**telling.body, "x_agent_metadata": {**metadata, "notes": notes}}


async def _forget_files(job: ResponseJob, server: Server) -> None:
    """Let the files go that came with a request of which nothing is kept."""
    session_id, owner = job.passing_session, job.chat.owner
    if session_id is not None:
        with suppress(OSError, StoreUnavailable):
            await to_its_end(lambda: server.container_files.delete_all(session_id, owner=owner))


def lines_of(events: list[OutEvent]) -> str:
    """Events as they go over the wire."""
    return "".join(f"event: {event['type']}\ndata: {as_json(event)}\n\n" for event in events)
