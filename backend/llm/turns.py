"""Messages of the house as langchain's."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from backend.types import Message

_CLASSES: dict[str, type[BaseMessage]] = {
    "system": SystemMessage,
    "user": HumanMessage,
    "assistant": AIMessage,
}


def as_turns(messages: Sequence[Message]) -> list[BaseMessage]:
    """Translate each by its role."""
    return [_CLASSES[message.role](content=message.content) for message in messages]
