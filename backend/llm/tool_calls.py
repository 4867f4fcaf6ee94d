"""Native tool calls as the text that every reader behind understands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from backend.llm.letters import whole_letters
from backend.llm.wire import ToolCallPart
from backend.types import ToolSpec


def as_functions(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    """Tools as they go over the wire."""
    return [{"type": "function", "function": dict(tool)} for tool in tools]


class FirstCall:
    """The first tool call of a reply, growing while it arrives. Others are left out.

    A step is one action: what a model wants to do next depends on what came of the first.
    """

    def __init__(self) -> None:
        self.name = ""
        self._arguments: list[str] = []
        self._first: ToolCallPart | None = None
        self._is_over = False

    def __bool__(self) -> bool:
        return self._first is not None

    def take(self, part: ToolCallPart) -> None:
        """Add a part, if it is one of the first call's."""
        if self._first is None:
            self._first = part
        # Some servers number all calls 0; some give every piece an id of its own.
        self._is_over |= bool(part.name and part.id and part.id != self._first.id)
        if self._is_over or part.index != self._first.index:
            return
        if part.name != self.name:  # some servers repeat it in every part
            self.name += part.name
        self._arguments.append(whole_letters(part.arguments))

    def as_text(self, words: str, tools: Sequence[ToolSpec]) -> str:
        """The call as ``{"thought", "action", "action_input"}``, with the words as the thought.

        Args:
            words: what the model said beside the call.
            tools: those that were offered.
        """
        step = {
            "thought": words.strip(),
            "action": self.name,
            "action_input": self._input(tools),
        }
        # Readers take tags of thoughts out of a reply; those of a program stay in it like this.
        return json.dumps(step, ensure_ascii=False).replace("<", "\\u003c")

    def _input(self, tools: Sequence[ToolSpec]) -> Any:
        """The arguments as they were given: an object, or a text that is none."""
        given = "".join(self._arguments)
        try:
            value = json.loads(given or "{}", strict=False)
        except (ValueError, RecursionError):
            return given
        if not isinstance(value, dict):
            return value
        if not value:
            return ""  # an empty object would be read as somebody's words
        declared = next((tool["parameters"] for tool in tools if tool["name"] == self.name), {})
        properties = declared.get("properties", {})
        return {name: _as_declared(each, properties.get(name)) for name, each in value.items()}


def _as_declared(value: Any, schema: Any) -> Any:
    """A text again, where the client library took one that looks like JSON apart."""
    is_text = isinstance(schema, dict) and schema.get("type") == "string"
    return (
        json.dumps(value, ensure_ascii=False)
        if is_text and isinstance(value, dict | list)
        else value
    )
