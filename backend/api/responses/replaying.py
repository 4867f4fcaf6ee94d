"""The events of a response that is over, for whoever comes back for them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import Any

from backend.api.background import Background
from backend.api.event_stream import KEEP_ALIVE, EventStream
from backend.api.responses.answering import lines_of
from backend.api.responses.linking import with_fresh_links
from backend.api.responses.message import AnswerMessage
from backend.api.responses.outcome import UNFINISHED
from backend.api.responses.programs import Draft, ProgramCall
from backend.api.responses.settling import settled
from backend.api.responses.telling import OutEvent, shown
from backend.api.responses.thinking import Thoughts
from backend.api.run_stream import LEAVE, follower
from backend.api.state import Server
from backend.store.responses import StoredResponse

_LAST = {
    "completed": "response.completed",
    "incomplete": "response.incomplete",
    "cancelled": "response.incomplete",
}


class ReplayedStream(EventStream):
    """The events of a stored response, those behind a number that was heard already.

    One that is not over yet is waited for. Links in it are good for as long again.
    """

    def __init__(
        self,
        stored: StoredResponse,
        server: Server,
        background: Background,
        *,
        owner: str,
        after: int | None,
        with_outputs: bool,
        base_url: str,
    ) -> None:
        super().__init__()
        self._stored = stored
        self._server = server
        self._background = background
        self._owner = owner
        self._after = -1 if after is None else after
        self._with_outputs = with_outputs
        self._base_url = base_url

    async def _lines(self) -> AsyncGenerator[str, None]:
        yield KEEP_ALIVE  # the status goes out at once, whatever is there to tell
        run_id, silence_s = (
            str(self._stored.body["x_run_id"]),
            self._server.settings.stream_keep_alive_s,
        )
        with follower(self._background, run_id, silence_s) as news:
            while True:
                news.look()
                body = await settled(self._stored, self._server, owner=self._owner)
                if body["status"] not in UNFINISHED:
                    break
                if news.has_to_leave:
                    yield LEAVE
                    return
                if await news.wait():
                    yield KEEP_ALIVE
        body = with_fresh_links(body, self._server, owner=self._owner, base_url=self._base_url)
        events = replay(shown(body, with_outputs=self._with_outputs))
        yield lines_of([each for each in events if each["sequence_number"] > self._after])


def replay(body: dict[str, Any]) -> list[OutEvent]:
    """What a stream of a response would have told, item by item."""
    return [
        {"type": kind, "sequence_number": number, **fields}
        for number, (kind, fields) in enumerate(_drafts(body))
    ]


def _drafts(body: dict[str, Any]) -> Iterator[Draft]:
    begun = {
        **body,
        "status": "in_progress",
        "output": [],
        "usage": None,
        "error": None,
        "incomplete_details": None,
        "completed_at": None,
    }
    yield "response.created", {"response": begun}
    yield "response.in_progress", {"response": begun}
    for index, item in enumerate(body["output"]):
        match item["type"]:
            case "code_interpreter_call":
                yield from _program(index, item)
            case "message":
                yield from _message(index, item)
            case _:
                yield from _steps(index, item)
    yield _LAST.get(body["status"], "response.failed"), {"response": body}


def _program(index: int, item: dict[str, Any]) -> Iterator[Draft]:
    call = ProgramCall(
        index=index, id=item["id"], code=item["code"], container_id=item["container_id"]
    )
    yield from call.begin()
    yield from call.end(None)
    yield "response.output_item.done", {"output_index": index, "item": item}


def _message(index: int, item: dict[str, Any]) -> Iterator[Draft]:
    [part] = item["content"]
    message = AnswerMessage(
        index=index,
        id=item["id"],
        refusal=part.get("refusal"),
        annotations=part.get("annotations", []),
        is_cut=item["status"] == "incomplete",
    )
    yield from message.begin()
    yield from message.say(part.get("text", ""))
    yield from message.end()


def _steps(index: int, item: dict[str, Any]) -> Iterator[Draft]:
    thoughts = Thoughts(index=index, id=item["id"])
    yield from thoughts.begin()
    for part in item["summary"]:
        yield from thoughts.say(part["text"])
    yield from thoughts.end()
