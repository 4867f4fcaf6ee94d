"""A chat answer as server-sent events, while it comes about.

One chunk a line ``data: {...}``, ended by ``data: [DONE]``: the assistant's role first, the steps as
``delta.reasoning_content`` as they happen, the words, the pictures and links, then the chunk with
``finish_reason`` that also holds ``x_session_id`` and ``x_agent_metadata``. Silence is filled with
comment lines, which clients skip. A failure that has no HTTP status any more is a line with
``error``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import Any, Final

from backend.api.answering import (
    Completion,
    FinishReason,
    answer_of_cut_chat,
    complete,
    ids_and_metadata,
    new_head,
)
from backend.api.asking import ChatJob
from backend.api.errors import error_body
from backend.api.event_stream import KEEP_ALIVE, AnswerStream, Item
from backend.api.feed import Feed
from backend.api.plain import as_json
from backend.api.state import Server
from backend.api.steps import status_of, step_of
from backend.api.turns import Turn
from backend.api.words import Words
from backend.core.requests import Answer
from backend.errors import PythonCoderError
from backend.types import Event

DONE: Final = "data: [DONE]\n\n"


class ChatStream(AnswerStream):
    """The response to a streaming chat request; runs it, and stops it when the client goes."""

    _LAST = DONE

    def __init__(
        self,
        job: ChatJob,
        server: Server,
        *,
        base_url: str,
        include_usage: bool,
        shows_status: bool,
    ) -> None:
        super().__init__(job, server)
        self._base_url = base_url
        self._include_usage = include_usage
        self._no_usage = {"usage": None} if include_usage else {}
        self._shows_status = shows_status
        self._head = new_head(job.model).body("chat.completion.chunk")
        # What stands around a piece is the same for all of them, and there is one for each token.
        self._around = self._chunk({"": 0}).split(as_json({"": 0}))

    def _begin(self, held: list[Item]) -> str:
        return self._chunk({"role": "assistant", "content": ""}, **self._run_of(held))

    def _run_of(self, held: list[Item]) -> dict[str, str]:
        """The id of the request's record, by which it can be cancelled: in a header, too."""
        begun = [each for each in held if isinstance(each, Event) and each.kind == "begin"]
        for event in begun:
            held.remove(event)
            self.headers["X-Run-Id"] = event.data["run_id"]
        return {"x_run_id": self.headers["X-Run-Id"]} if begun else {}

    async def _waiting(self, turn: Turn) -> AsyncGenerator[str, None]:
        told = -1
        while not turn.has_come:
            ahead = turn.ahead
            if self._shows_status and ahead != told:
                yield self._status(f"Waiting for a turn, {ahead} before you", done=False)
            else:
                yield KEEP_ALIVE
            told = ahead
            await turn.wait(self._silence_s)

    async def _failed(self, error: Exception) -> str:
        return _data(error_body(error))

    async def _work(
        self, held: list[Item], feed: Feed[Event | Answer]
    ) -> AsyncGenerator[str, None]:
        words = Words(self._chat.stop)
        told = ""
        while True:
            try:
                item = held.pop(0) if held else await feed.next(self._silence_s)
                finish: FinishReason = "stop"
            except PythonCoderError as error:
                item, finish = answer_of_cut_chat(self._chat, error, self._progress), "length"
            if item is None:
                yield KEEP_ALIVE
            elif isinstance(item, Event):
                told += "".join(self._event(item, words))
                if told and not (held or feed.has_more):  # what is there goes out together
                    yield told
                    told = ""
            else:
                break
        if told:
            yield told
        done = await complete(
            self._chat, item, self._server, base_url=self._base_url, finish=finish
        )
        yield "".join([*self._rest(done, words), *self._end(done)])

    def _rest(self, done: Completion, words: Words) -> Iterator[str]:
        """What of the answer has not been told."""
        if done.refusal is not None:
            yield self._chunk({"refusal": done.refusal})
        else:
            for piece in words.end(done.text):
                yield self._chunk({"content": piece})
        if done.links:
            yield self._chunk({"content": done.links})

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
        extra = ids_and_metadata(self._chat, done)
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


def _data(value: dict[str, Any]) -> str:
    return f"data: {as_json(value)}\n\n"
