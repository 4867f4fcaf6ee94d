"""Conversations, and what programs left behind in them."""

from __future__ import annotations

from typing import Any, Literal

from backend.api.shapes.base import Deleted, Page, Shape


class SessionObject(Shape):
    """A conversation."""

    id: str
    """What requests name it by."""
    object: Literal["session"]
    """Always `session`."""
    title: str
    """How its first question begins; empty while there is none."""
    created_at: int
    """Unix time in seconds."""
    updated_at: int
    """Unix time in seconds of its last message."""
    message_count: int
    """Questions and answers together."""


class SessionList(Page[SessionObject]):
    """The owner's conversations."""


class SessionDeleted(Deleted):
    """A conversation is gone, with its messages and the variables of its programs."""

    object: Literal["session"]
    """Always `session`."""


class SessionUndone(Shape):
    """Whether a session's last program was taken back."""

    id: str
    """The session's."""
    object: Literal["session"]
    """Always `session`."""
    undone: bool
    """False where there was nothing to take back."""


class MessageObject(Shape):
    """A question or an answer."""

    id: str
    """What `after` takes; the first message of a session is `msg-1`."""
    object: Literal["session.message"]
    """Always `session.message`."""
    role: Literal["user", "assistant"]
    """Who said it."""
    content: str
    """Its words."""
    created_at: int
    """Unix time in seconds."""
    metadata: dict[str, Any]
    """Of a question its `file_ids`, and `user` and `metadata` where they came with it; of an answer what `x_agent_metadata` was, with fresh links."""


class MessageList(Page[MessageObject]):
    """A conversation's messages."""
