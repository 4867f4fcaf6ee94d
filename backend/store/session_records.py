"""What is kept of conversations, as the rest of the program sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class ChatTurn:
    """A message on its way into a conversation."""

    role: Literal["user", "assistant"]
    content: str
    details: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON values: agent, code, artifacts, ... of an answer, files of a question."""


@dataclass(frozen=True, kw_only=True)
class StoredMessage(ChatTurn):
    """A message of a conversation."""

    id: str
    """Its number in the conversation; one over all would tell how much others say."""
    created_at: float
    """Unix time in seconds."""


@dataclass(frozen=True, kw_only=True)
class StoredSession:
    """A conversation as its owner sees it in a list."""

    id: str
    title: str
    """The beginning of its first question, until it is given another."""
    created_at: float
    updated_at: float
    """Unix time in seconds."""
    message_count: int


@dataclass(frozen=True, kw_only=True)
class SessionPage:
    """Some conversations of a longer list."""

    sessions: list[StoredSession]
    has_more: bool


@dataclass(frozen=True, kw_only=True)
class MessagePage:
    """Some messages of a longer conversation."""

    messages: list[StoredMessage]
    has_more: bool
