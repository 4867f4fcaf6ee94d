"""The events of a response that is over, for whoever comes back for them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import Any

from backend.api.responses.answering import lines_of
from backend.api.responses.message import AnswerMessage
from backend.api.responses.programs import Draft, ProgramCall
from backend.api.responses.telling import OutEvent
from backend.api.responses.thinking import Thoughts
from backend.api.streaming import EventStream

_LAST = {
    "completed": "response.completed",
    "incomplete": "response.incomplete",
    "cancelled": "response.incomplete",
}


class ReplayedStream(EventStream):
    """The events of a stored response, those behind a number that was heard already."""

    def __init__(self, body: dict[str, Any], *, after: int | None) -> None:
        super().__init__()
        self._body = body
        self._after = -1 if after is None else after

    async def _lines(self) -> AsyncGenerator[str, None]:
        events = [each for each in replay(self._body) if each["sequence_number"] > self._after]
        yield lines_of(events)


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
