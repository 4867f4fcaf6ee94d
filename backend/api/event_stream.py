"""Responses of server-sent events: of any kind, and those of an answer that is worked on meanwhile.

The status line is sent when there is something to tell, at the latest after the first silence: what
fails before has an HTTP status of its own. What fails later is told as an event.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any, ClassVar

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from backend.api.answering import Progress
from backend.api.asking import ChatJob
from backend.api.attachments import forget_attached
from backend.api.errors import error_body, log_unexpected, stopped
from backend.api.feed import Feed, follow
from backend.api.presence import while_connected
from backend.api.state import Server
from backend.api.turns import Turn
from backend.core.requests import Answer
from backend.errors import PythonCoderError
from backend.types import Event

KEEP_ALIVE = ": keep-alive\n\n"
BEFORE_WORK = frozenset({"begin", "route", "files"})
"""Events that come before the model is asked; a model that is gone still gets its status."""

LAST_WORDS = "python_coder.last_words"
"""Where a request's scope has what a stream that was cancelled tells its client last."""

Item = Event | Answer | None
"""What happened, the answer at the end, or None for a silence."""


class EventStream(Response, ABC):
    """A response of server-sent events; what it tells of is stopped when the client goes."""

    def __init__(self) -> None:
        super().__init__(
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )
        del self.headers["content-length"]

    @abstractmethod
    def _lines(self) -> AsyncGenerator[str, None]:
        """The events; what is raised before the first one has an HTTP status of its own."""

    def _has_run(self) -> bool:
        """Whether a program of the request has run."""
        return False

    def _cut_off(self, error: PythonCoderError) -> str:
        """That the server's end cuts it off, in the stream's own words."""
        return f"data: {json.dumps(error_body(error))}\n\n"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request and send what comes of it."""
        try:
            with suppress(ClientDisconnect):
                await while_connected(receive, self._send(send))
        except asyncio.CancelledError:
            scope[LAST_WORDS] = self._cut_off(stopped(after_run=self._has_run()))
            raise

    async def _send(self, send: Send) -> None:
        async with aclosing(self._lines()) as lines:
            first = await anext(lines)
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send(_body(first))
            async for line in lines:
                await send(_body(line))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class AnswerStream(EventStream):
    """An answer while it comes about: waits for its turn, and tells of the work in its own words."""

    _LAST: ClassVar[str] = ""
    """What goes out last, whatever became of the work."""

    def __init__(self, chat: ChatJob, server: Server) -> None:
        super().__init__()
        self._chat = chat
        self._server = server
        self._silence_s = server.settings.stream_keep_alive_s
        self._progress = Progress()

    def _has_run(self) -> bool:
        return self._progress.has_run

    def _cut_off(self, error: PythonCoderError) -> str:
        return super()._cut_off(error) + self._LAST

    def _note(self, item: Event | Answer) -> None:
        if isinstance(item, Event):
            self._progress(item)

    @abstractmethod
    def _begin(self, held: list[Item]) -> str:
        """That it is begun; takes out of ``held``, what has happened by now, what that tells of."""

    @abstractmethod
    def _work(self, held: list[Item], feed: Feed[Event | Answer]) -> AsyncGenerator[str, None]:
        """The work to its end, what was held first; raises what ends it."""

    @abstractmethod
    async def _failed(self, error: Exception) -> str:
        """That it failed, now that the status is out."""

    async def _waiting(self, turn: Turn) -> AsyncGenerator[str, None]:
        """What is told until the turn has come; ends when it has."""
        while not turn.has_come:
            yield KEEP_ALIVE
            await turn.wait(self._silence_s)

    async def _lines(self) -> AsyncGenerator[str, None]:
        try:
            async with aclosing(self._in_turn()) as lines:
                async for line in lines:
                    yield line
        finally:
            if self._chat.ask.files:
                await forget_attached(self._chat.session, self._server, self._chat.owner)

    async def _in_turn(self) -> AsyncGenerator[str, None]:
        chat = self._chat
        with self._server.turns.ask(chat.owner, chat.lane, session_id=chat.ask.session_id) as turn:
            if not turn.has_come:
                yield self._begin([])
                try:
                    async with aclosing(self._waiting(turn)) as waiting:
                        async for line in waiting:
                            yield line
                except PythonCoderError as error:
                    yield await self._failed(error) + self._LAST
                    return
            async with aclosing(self._answer(is_begun=turn.has_waited)) as answer:
                async for line in answer:
                    yield line

    async def _answer(self, *, is_begun: bool) -> AsyncGenerator[str, None]:
        async with follow(self._server.assistant.stream(self._chat.ask), self._note) as feed:
            held: list[Item] = []
            if not is_begun:
                held = await self._before_work(feed)
                yield self._begin(held)
            try:
                async with aclosing(self._work(held, feed)) as work:
                    async for line in work:
                        yield line
            except Exception as error:  # the status is out; this is all that can be told now
                log_unexpected(error)
                yield await self._failed(error)
        if self._LAST:
            yield self._LAST

    async def _before_work(self, feed: Feed[Event | Answer]) -> list[Item]:
        held: list[Item] = []
        while True:
            item = await feed.next(self._silence_s)
            held.append(item)
            if not (isinstance(item, Event) and item.kind in BEFORE_WORK):
                return held


def _body(line: str) -> dict[str, Any]:
    return {
        "type": "http.response.body",
        "body": line.encode("utf-8", errors="replace"),
        "more_body": True,
    }
