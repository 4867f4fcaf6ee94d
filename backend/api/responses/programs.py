"""The programs of a response as ``code_interpreter_call`` items, one for each that ran."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from backend.api.words import pieces_of
from backend.types import Event

CallStatus = Literal["in_progress", "interpreting", "completed", "incomplete", "failed"]
Draft = tuple[str, dict[str, Any]]
"""An event on its way out: its type and fields, not numbered yet."""


@dataclass(kw_only=True)
class ProgramCall:
    """A program under way, or one that has ended."""

    index: int
    """Its place in the response's output."""
    code: str
    container_id: str
    id: str = field(default_factory=lambda: f"ci_{secrets.token_hex(16)}")
    status: CallStatus = "in_progress"
    logs: str = ""
    images: list[str] = field(default_factory=list)
    """Links to what it drew."""

    @property
    def is_over(self) -> bool:
        """It has ended."""
        return self.status in {"completed", "incomplete", "failed"}

    def item(self, *, with_outputs: bool) -> dict[str, Any]:
        """The item as it stands."""
        return {
            "id": self.id,
            "type": "code_interpreter_call",
            "status": self.status,
            "code": self.code,
            "container_id": self.container_id,
            "outputs": self._outputs() if with_outputs and self.is_over else None,
        }

    def begin(self) -> Iterator[Draft]:
        """The program, and that it runs."""
        place = {"item_id": self.id, "output_index": self.index}
        item = {**self.item(with_outputs=False), "code": ""}
        yield "response.output_item.added", {"output_index": self.index, "item": item}
        yield "response.code_interpreter_call.in_progress", place
        for piece in pieces_of(self.code):
            yield "response.code_interpreter_call_code.delta", {**place, "delta": piece}
        yield "response.code_interpreter_call_code.done", {**place, "code": self.code}
        yield "response.code_interpreter_call.interpreting", place
        self.status = "interpreting"

    def end(self, event: Event | None) -> Iterator[Draft]:
        """That it has ended; None: nobody knows how."""
        if event is None or event.kind != "output":
            # Refused before it began, or never heard of again.
            self.status = "incomplete"
            self.logs = event.text if event else ""
        else:
            self.status = "failed" if _failed(event.data) else "completed"
            self.logs = str(event.data.get("logs", event.text))
        place = {"item_id": self.id, "output_index": self.index}
        yield "response.code_interpreter_call.completed", place

    def done(self, *, with_outputs: bool) -> Draft:
        """The whole of it."""
        item = self.item(with_outputs=with_outputs)
        return "response.output_item.done", {"output_index": self.index, "item": item}

    def _outputs(self) -> list[dict[str, Any]]:
        logs = [{"type": "logs", "logs": self.logs}] if self.logs else []
        return [*logs, *({"type": "image", "url": url} for url in self.images)]


def _failed(data: Mapping[str, Any]) -> bool:
    return bool(data.get("stopped_by")) or data.get("returncode") != 0
