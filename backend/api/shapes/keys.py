"""API keys as admins see them."""

from __future__ import annotations

from typing import Literal

from backend.api.shapes.base import Shape


class KeyShape(Shape):
    """An API key, without what opens."""

    id: str
    """What other requests name it by."""
    object: Literal["api_key"]
    """Always `api_key`."""
    name: str
    """As its maker called it."""
    role: Literal["user", "admin"]
    """An admin manages keys and reads `/metrics`; nobody sees another owner's data."""
    owner: str
    """Whose everything is that is made with it. Several keys can have one owner."""
    created_at: int
    """Unix time in seconds."""
    expires_at: int | None
    """Unix time in seconds from which on it opens nothing; null: it stays good."""
    revoked_at: int | None
    """Unix time in seconds at which it was revoked; null: it was not."""
    last_used_at: int | None
    """Unix time in seconds of its last use, to within a minute; null: never."""
    requests_per_minute: int | None
    """Its limit; 0: none; null: what the server's settings say."""
    max_parallel: int | None
    """Requests at a time; 0: no limit; null: what the server's settings say."""


class NewKeyShape(KeyShape):
    """A key that was just made."""

    key: str
    """What opens. It is told this once: only its SHA-256 is kept."""


class KeyList(Shape):
    """All keys."""

    object: Literal["list"]
    """Always `list`."""
    data: list[KeyShape]
    """Oldest first; revoked and expired ones, too."""
