"""A chat answer as server-sent events, while it comes about.

One chunk a line ``data: {...}``, ended by ``data: [DONE]``: the assistant's role first, the steps as
``delta.reasoning_content`` as they happen, the words, the pictures and links, then the chunk with
``finish_reason`` that also holds ``x_session_id`` and ``x_agent_metadata``. Silence is filled with
comment lines, which clients skip.

The status line is sent when there is something to tell, at the latest after the first silence: what
fails before has an HTTP status of its own. What fails later is a line with ``error``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from backend.api.answering import (
    Completion,
    FinishReason,
    Progress,
    answer_of_cut_chat,
    complete,
    cut_at_stop,
    ids_and_metadata,
    new_head,
)
from backend.api.asking import ChatJob
from backend.api.errors import error_body, log_unexpected
from backend.api.feed import Feed, follow
from backend.api.plain import as_json
from backend.api.presence import while_connected
from backend.api.state import Server
from backend.api.steps import status_of, step_of
from backend.api.turns import Turn
from backend.core.requests import Answer
from backend.errors import PythonCoderError
from backend.types import Event

DONE = "data: [DONE]\n\n"
KEEP_ALIVE = ": keep-alive\n\n"
PIECE_CHARS = 400
"""Characters in a chunk of an answer that was there all at once."""
BEFORE_WORK = frozenset({"begin", "route", "files"})
"""Events that come before the model is asked; a model that is gone still gets its status."""


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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request and send what comes of it."""
        with suppress(ClientDisconnect):
            await while_connected(receive, self._send(send))

    async def _send(self, send: Send) -> None:
        async with aclosing(self._lines()) as lines:
            first = await anext(lines)
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send(_body(first))
            async for line in lines:
                await send(_body(line))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class ChatStream(EventStream):
    """The response to a streaming chat request; runs it, and stops it when the client goes."""

    def __init__(
        self,
        job: ChatJob,
        server: Server,
        *,
        base_url: str,
        include_usage: bool,
        shows_status: bool,
    ) -> None:
        super().__init__()
        self._job = job
        self._server = server
        self._base_url = base_url
        self._include_usage = include_usage
        self._no_usage = {"usage": None} if include_usage else {}
        self._shows_status = shows_status
        self._head = new_head(job.model).body("chat.completion.chunk")
        # What stands around a piece is the same for all of them, and there is one for each token.
        self._around = self._chunk({"": 0}).split(as_json({"": 0}))

    async def _lines(self) -> AsyncGenerator[str, None]:
        with self._server.turns.ask(self._job.owner, self._job.lane) as turn:
            if not turn.has_come:
                yield self._chunk({"role": "assistant", "content": ""})
                try:
                    async with aclosing(self._waiting(turn)) as waiting:
                        async for line in waiting:
                            yield line
                except PythonCoderError as error:
                    yield _data(error_body(error))
                    yield DONE
                    return
            async with aclosing(self._answer(is_begun=turn.has_waited)) as answer:
                async for line in answer:
                    yield line

    async def _waiting(self, turn: Turn) -> AsyncGenerator[str, None]:
        """What is told until the turn has come: that there is somebody here, and how many wait."""
        silence_s, told = self._server.settings.stream_keep_alive_s, -1
        while not turn.has_come:
            ahead = turn.ahead
            if self._shows_status and ahead != told:
                yield self._status(f"Waiting for a turn, {ahead} before you", done=False)
            else:
                yield KEEP_ALIVE
            told = ahead
            await turn.wait(silence_s)

    async def _answer(self, *, is_begun: bool) -> AsyncGenerator[str, None]:
        async with follow(self._server.assistant.stream(self._job.ask)) as feed:
            held: list[Event | Answer | None] = []
            if not is_begun:
                held = await self._before_work(feed)
                yield self._chunk({"role": "assistant", "content": ""}, **self._run_of(held))
            try:
                async with aclosing(self._rest(held, feed)) as rest:
                    async for line in rest:
                        yield line
            except Exception as error:  # the status is out; this is all that can be told now
                log_unexpected(error)
                yield _data(error_body(error))
        yield DONE

    def _run_of(self, held: list[Event | Answer | None]) -> dict[str, str]:
        """The id of the request's record, by which it can be cancelled: in a header, too."""
        begun = [each for each in held if isinstance(each, Event) and each.kind == "begin"]
        for event in begun:
            held.remove(event)
            self.headers["X-Run-Id"] = event.data["run_id"]
        return {"x_run_id": self.headers["X-Run-Id"]} if begun else {}

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
        words, progress = Words(self._job.stop), Progress()
        while True:
            try:
                item = held.pop(0) if held else await self._next(feed)
                finish: FinishReason = "stop"
            except PythonCoderError as error:
                item, finish = answer_of_cut_chat(self._job, error, progress), "length"
            if item is None:
                yield KEEP_ALIVE
            elif isinstance(item, Event):
                progress(item)
                for line in self._event(item, words):
                    yield line
            else:
                break
        done = await complete(self._job, item, self._server, base_url=self._base_url, finish=finish)
        if done.refusal is not None:
            yield self._chunk({"refusal": done.refusal})
        else:
            for piece in words.end(done.text):
                yield self._chunk({"content": piece})
        if done.links:
            yield self._chunk({"content": done.links})
        for line in self._end(done):
            yield line

    async def _next(self, feed: Feed[Event | Answer]) -> Event | Answer | None:
        return await feed.next(self._server.settings.stream_keep_alive_s)

    def _event(self, event: Event, words: Words) -> list[str]:
        if event.kind == "begin":
            return [self._chunk({}, x_run_id=event.data["run_id"])]
        if event.kind == "text":
            piece = words.take(event.text)
            return [self._piece(piece)] if piece else []
        lines = []
        if step := step_of(event):
            lines.append(self._chunk({"reasoning_content": step}))
        if self._shows_status and (status := status_of(event)):
            lines.append(self._status(status, done=False))
        return lines

    def _end(self, done: Completion) -> list[str]:
        extra = ids_and_metadata(self._job, done)
        lines = [self._status("Done", done=True)] if self._shows_status else []
        lines.append(self._chunk({}, finish=done.finish_reason, **extra))
        if self._include_usage:
            lines.append(_data(self._head | {"choices": [], "usage": done.usage}))
        return lines

    def _piece(self, words: str) -> str:
        before, after = self._around
        return f"{before}{as_json({'content': words})}{after}"

    def _chunk(self, delta: dict[str, Any], *, finish: str | None = None, **extra: Any) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return _data(self._head | {"choices": [choice]} | self._no_usage | extra)

    def _status(self, description: str, *, done: bool) -> str:
        data = {"description": description, "done": done}
        told = {"choices": [], "event": {"type": "status", "data": data}}
        return _data(self._head | told | self._no_usage)


class Words:
    """The answer's words on their way out: each once, none behind a stop sequence.

    They come piece by piece from a model that speaks to the user, and once more, whole, in the
    answer; or only in the answer.
    """

    def __init__(self, stop: tuple[str, ...]) -> None:
        self._stop = stop
        self._held_back = max((len(sequence) for sequence in stop), default=1) - 1
        self._pieces: list[str] = []
        self._tail = ""
        self._is_over = False

    def take(self, piece: str) -> str:
        """What can go out now; as much is held back as could become a stop sequence."""
        self._pieces.append(piece)
        if not self._stop:
            return piece
        if self._is_over:
            return ""
        tail = self._tail + piece
        out = cut_at_stop(tail, self._stop)
        self._is_over = len(out) < len(tail)
        if self._is_over:
            self._tail = ""
        else:
            out = tail[: max(len(tail) - self._held_back, 0)]
            self._tail = tail[len(out) :]
        return out

    def end(self, answer: str) -> list[str]:
        """What is still missing of the answer, in pieces."""
        heard = cut_at_stop("".join(self._pieces), self._stop)
        missing = self._tail
        if not heard.strip():
            missing = answer
        elif not heard.strip().endswith(answer.strip()):
            missing += f"\n\n{answer}"
        return [
            missing[start : start + PIECE_CHARS] for start in range(0, len(missing), PIECE_CHARS)
        ]


def _data(value: dict[str, Any]) -> str:
    return f"data: {as_json(value)}\n\n"


def _body(line: str) -> dict[str, Any]:
    return {
        "type": "http.response.body",
        "body": line.encode("utf-8", errors="replace"),
        "more_body": True,
    }
