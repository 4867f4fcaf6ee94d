"""What happens in a request, told as the events of a response.

Programs are told when they run: what was drafted and rewritten before is not an item of the API. A
step of a plan has at most one program under way, so that the step says whose output comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Final

from backend.api.answering import (
    Completion,
    FinishReason,
    Progress,
    answer_of_cut_chat,
    complete,
)
from backend.api.artifacts import keep_artifact
from backend.api.responses.body import response_body
from backend.api.responses.message import AnswerMessage, citations
from backend.api.responses.outcome import failed_with, finished_body
from backend.api.responses.preparing import ResponseJob
from backend.api.responses.programs import Draft, ProgramCall
from backend.api.responses.thinking import Thoughts
from backend.api.state import Server
from backend.api.steps import step_of
from backend.api.words import Words
from backend.core.requests import Answer
from backend.errors import NotFound, StoreUnavailable
from backend.types import ArtifactRef, Event

OutEvent = dict[str, Any]

_TOLD_AS_ITEMS: Final = frozenset({"code", "run", "output", "artifact", "answer", "text"})


class Telling:
    """One response, from its first event to its last."""

    def __init__(self, job: ResponseJob, server: Server, base_url: str) -> None:
        self._job = job
        self._server = server
        self._base_url = base_url
        self._with_outputs = job.request.includes_outputs
        self._number = 0
        self._items: list[ProgramCall | AnswerMessage | Thoughts] = []
        self._under_way: dict[str, ProgramCall] = {}
        self._message: AnswerMessage | None = None
        self._thoughts: Thoughts | None = None
        self._words = Words(())
        self._kept: dict[tuple[str, str], dict[str, Any]] = {}
        self.progress = Progress()
        self.body = response_body(job, server.settings, "in_progress")
        """The response as it stands."""

    def begin(self) -> list[OutEvent]:
        """That it is begun."""
        return self._numbered(
            [
                ("response.created", {"response": dict(self.body)}),
                ("response.in_progress", {"response": dict(self.body)}),
            ]
        )

    async def tell(self, event: Event) -> list[OutEvent]:
        """What an event comes to."""
        self.progress(event)
        return self._numbered(await self._drafts(event))

    async def end(self, answer: Answer, finish: FinishReason = "stop") -> list[OutEvent]:
        """The answer; what it brought is kept."""
        drafts = [*self._close_programs(), *self._end_thoughts()]
        done = await complete(
            self._job.chat,
            answer,
            self._server,
            base_url=self._base_url,
            finish=finish,
            kept=self._kept,
        )
        await self._adopt(done)
        drafts += self._say(done)
        self.body = finished_body(
            self.body,
            output=self._output(with_outputs=True),
            usage=done.usage,
            metadata=done.metadata,
            is_cut=finish == "length",
        )
        kind = "response.incomplete" if finish == "length" else "response.completed"
        return self._numbered([*drafts, (kind, {"response": self.shown()})])

    async def end_cut(self, error: Exception) -> list[OutEvent]:
        """The part of an answer that there is; raises what is no answer at all."""
        return await self.end(answer_of_cut_chat(self._job.chat, error, self.progress), "length")

    def fail(self, error: Exception) -> list[OutEvent]:
        """That it failed, with what was done before."""
        drafts = [*self._close_programs(), *self._end_thoughts()]
        if self._message is not None:
            self._message.is_cut = True
            drafts += self._message.end()
        self.body = failed_with(self.body, error, self._output(with_outputs=True))
        return self._numbered([*drafts, ("response.failed", {"response": self.shown()})])

    def shown(self) -> OutEvent:
        """The response as it goes out."""
        return shown(self.body, with_outputs=self._with_outputs)

    async def _drafts(self, event: Event) -> list[Draft]:
        step = str(event.data.get("step", ""))
        call = self._under_way.get(step)
        if call is not None and event.kind == "artifact":
            await self._draw(call, event)
            return []
        drafts = list(self._close_programs(only_ended=True))
        if event.kind == "run" and "code" in event.data:
            drafts += self._run(step, str(event.data["code"]))
        elif call is not None and event.kind in {"output", "check"}:
            drafts += call.end(event)
        elif event.kind == "text":
            drafts += self._hear(event.text)
        elif event.kind not in _TOLD_AS_ITEMS and self._job.request.tells_steps:
            drafts += self._think(step_of(event) or "")
        return drafts

    def _hear(self, text: str) -> Iterator[Draft]:
        if piece := self._words.take(text):
            message = self._message
            if message is None:
                yield from self._end_thoughts()
                message = self._new_message(None)
                yield from message.begin()
            yield from message.say(piece)

    def _run(self, step: str, code: str) -> Iterator[Draft]:
        yield from self._end_thoughts()
        if before := self._under_way.pop(step, None):
            yield from before.end(None)
            yield before.done(with_outputs=self._with_outputs)
        container = self._job.container
        call = ProgramCall(
            index=len(self._items),
            code=code,
            container_id=container.id if container else "",
        )
        self._items.append(call)
        self._under_way[step] = call
        yield from call.begin()

    def _close_programs(self, *, only_ended: bool = False) -> Iterator[Draft]:
        for step, call in list(self._under_way.items()):
            if not call.is_over:
                if only_ended:
                    continue
                yield from call.end(None)
            del self._under_way[step]
            yield call.done(with_outputs=self._with_outputs)

    async def _draw(self, call: ProgramCall, event: Event) -> None:
        """Make a link to a picture, where outputs are wanted with the items."""
        media_type = str(event.data.get("media_type", ""))
        if not (self._with_outputs and media_type.startswith("image/")):
            return
        reference = ArtifactRef(
            name=event.data["name"],
            media_type=media_type,
            size=event.data["size"],
            sha256=event.data["sha256"],
        )
        with suppress(NotFound, StoreUnavailable):  # the answer's notes tell of it
            described = await keep_artifact(
                reference,
                self._server,
                self._job.chat.owner,
                self._base_url,
                session_id=self._job.chat.ask.session_id,
            )
            self._kept[reference["name"], reference["sha256"]] = described
            call.images.append(described["url"])

    def _think(self, text: str) -> Iterator[Draft]:
        if not text:
            return
        if self._thoughts is None:
            self._thoughts = Thoughts(index=len(self._items))
            self._items.append(self._thoughts)
            yield from self._thoughts.begin()
        yield from self._thoughts.say(text)

    def _end_thoughts(self) -> Iterator[Draft]:
        if self._thoughts is not None:
            yield from self._thoughts.end()
            self._thoughts = None

    def _new_message(self, refusal: str | None) -> AnswerMessage:
        self._message = AnswerMessage(index=len(self._items), refusal=refusal)
        self._items.append(self._message)
        return self._message

    def _say(self, done: Completion) -> Iterator[Draft]:
        message = self._message
        if message is None:
            message = self._new_message(done.refusal)
            yield from message.begin()
        message.is_cut = done.finish_reason == "length"
        if message.refusal is None:
            for piece in self._words.end(done.text):
                yield from message.say(piece)
            yield from message.say(done.links)
            if self._job.container is not None:
                message.annotations = citations(
                    message.text, done.metadata["artifacts"], self._job.container.id
                )
        yield from message.end()

    async def _adopt(self, done: Completion) -> None:
        """Put what was written into the container."""
        if self._job.container is None:
            return
        ids = {each["id"] for each in (*done.metadata["artifacts"], *self._kept.values())}
        with suppress(NotFound, StoreUnavailable):  # they are files of the owner's all the same
            await self._server.container_files.adopt(
                ids, self._job.container.session_id, owner=self._job.chat.owner
            )

    def _output(self, *, with_outputs: bool) -> list[OutEvent]:
        return [
            each.item(with_outputs=with_outputs) if isinstance(each, ProgramCall) else each.item()
            for each in self._items
        ]

    def _numbered(self, drafts: Iterable[Draft]) -> list[OutEvent]:
        numbered = []
        for kind, fields in drafts:
            numbered.append({"type": kind, "sequence_number": self._number, **fields})
            self._number += 1
        return numbered


def shown(body: OutEvent, *, with_outputs: bool) -> OutEvent:
    """A response as it goes out: what programs printed only where that was asked for."""
    if with_outputs:
        return dict(body)
    output = [
        {**item, "outputs": None} if item["type"] == "code_interpreter_call" else item
        for item in body["output"]
    ]
    return {**body, "output": output}
