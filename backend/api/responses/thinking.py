"""The steps of a request as ``reasoning`` items, for clients that ask for a summary of them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from backend.api.responses.programs import Draft


@dataclass(kw_only=True)
class Thoughts:
    """Steps between two programs."""

    index: int
    """Its place in the response's output."""
    id: str = field(default_factory=lambda: f"rs_{secrets.token_hex(16)}")
    text: str = ""

    @property
    def _place(self) -> dict[str, Any]:
        return {"item_id": self.id, "output_index": self.index, "summary_index": 0}

    @property
    def _part(self) -> dict[str, Any]:
        return {"type": "summary_text", "text": self.text}

    def item(self) -> dict[str, Any]:
        """The item as it stands."""
        return {"id": self.id, "type": "reasoning", "summary": [self._part]}

    def begin(self) -> Iterator[Draft]:
        """That steps are told."""
        item = {"id": self.id, "type": "reasoning", "summary": []}
        yield "response.output_item.added", {"output_index": self.index, "item": item}
        part = {"type": "summary_text", "text": ""}
        yield "response.reasoning_summary_part.added", {**self._place, "part": part}

    def say(self, text: str) -> Iterator[Draft]:
        """One more step."""
        self.text += text
        yield "response.reasoning_summary_text.delta", {**self._place, "delta": text}

    def end(self) -> Iterator[Draft]:
        """The whole of them."""
        yield "response.reasoning_summary_text.done", {**self._place, "text": self.text}
        yield "response.reasoning_summary_part.done", {**self._place, "part": self._part}
        yield "response.output_item.done", {"output_index": self.index, "item": self.item()}
