"""Messages of the house as langchain's, and langchain's tool calls as the house's."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
)

from backend.llm.wire import ToolCallPart
from backend.types import Message

_CLASSES: dict[str, type[BaseMessage]] = {
    "system": SystemMessage,
    "user": HumanMessage,
    "assistant": AIMessage,
}


def as_turns(messages: Sequence[Message]) -> list[BaseMessage]:
    """Translate each by its role."""
    return [_CLASSES[message.role](content=message.content) for message in messages]


def tool_call_parts(chunk: AIMessageChunk) -> tuple[ToolCallPart, ...]:
    """What a chunk holds of tool calls: whole ones from Ollama, pieces from compatible servers."""
    return tuple(
        ToolCallPart(
            name=part["name"] or "",
            arguments=part["args"] or "",
            index=part["index"],
            id=part["id"] or "",
        )
        for part in chunk.tool_call_chunks
    )
