"""The answer of a response as a ``message`` item, with the files that it cites."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.api.artifacts import as_markdown
from backend.api.responses.programs import Draft
from backend.api.words import pieces_of


@dataclass(kw_only=True)
class AnswerMessage:
    """The words of an answer, while they come."""

    index: int
    """Its place in the response's output."""
    id: str = field(default_factory=lambda: f"msg_{secrets.token_hex(16)}")
    text: str = ""
    refusal: str | None = None
    """Why there is no answer in the form that was asked for."""
    annotations: list[dict[str, Any]] = field(default_factory=list)
    is_cut: bool = False

    @property
    def _place(self) -> dict[str, Any]:
        return {"item_id": self.id, "output_index": self.index, "content_index": 0}

    @property
    def _part(self) -> dict[str, Any]:
        if self.refusal is not None:
            return {"type": "refusal", "refusal": self.refusal}
        return {
            "type": "output_text",
            "text": self.text,
            "annotations": list(self.annotations),
            "logprobs": [],
        }

    def item(self) -> dict[str, Any]:
        """The item when it is whole."""
        status = "incomplete" if self.is_cut else "completed"
        return self._head(status) | {"content": [self._part]}

    def _head(self, status: str) -> dict[str, Any]:
        return {"id": self.id, "type": "message", "role": "assistant", "status": status}

    def begin(self) -> Iterator[Draft]:
        """That an answer comes; nothing of it."""
        item = self._head("in_progress") | {"content": []}
        yield "response.output_item.added", {"output_index": self.index, "item": item}
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        if self.refusal is not None:
            part = {"type": "refusal", "refusal": ""}
        yield "response.content_part.added", {**self._place, "part": part}

    def say(self, text: str) -> Iterator[Draft]:
        """More of its words."""
        for piece in pieces_of(text):
            self.text += piece
            yield "response.output_text.delta", {**self._place, "delta": piece, "logprobs": []}

    def end(self) -> Iterator[Draft]:
        """The whole of it."""
        for number, annotation in enumerate(self.annotations):
            fields = {**self._place, "annotation_index": number, "annotation": annotation}
            yield "response.output_text.annotation.added", fields
        if self.refusal is not None:
            yield "response.refusal.delta", {**self._place, "delta": self.refusal}
            yield "response.refusal.done", {**self._place, "refusal": self.refusal}
        else:
            yield "response.output_text.done", {**self._place, "text": self.text, "logprobs": []}
        yield "response.content_part.done", {**self._place, "part": self._part}
        yield "response.output_item.done", {"output_index": self.index, "item": self.item()}


def citations(
    text: str, artifacts: Sequence[Mapping[str, Any]], container_id: str
) -> list[dict[str, Any]]:
    """For each file with a link in the text: where that stands."""
    found: list[dict[str, Any]] = []
    for artifact in artifacts:
        link = as_markdown([artifact]).strip()
        start = text.rfind(link)
        if start >= 0:
            found.append(
                {
                    "type": "container_file_citation",
                    "container_id": container_id,
                    "file_id": artifact["id"],
                    "filename": artifact["name"],
                    "start_index": start,
                    "end_index": start + len(link),
                }
            )
    return found
