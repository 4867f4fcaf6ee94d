"""What a key is, as an admin sees it and as the audit trail does, and what it may be called."""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass
from typing import Any, Literal

from backend.errors import RequestError
from backend.store.ownership import S, of_any_owner
from backend.store.tables import KeyRow

Role = Literal["user", "admin"]

MAX_NAME = 80
_OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key as an admin sees it: never what opens."""

    id: str
    name: str
    owner: str
    """Whose everything is that is made with it."""
    role: Role
    created_at: float
    """Unix time in seconds, as all of these."""
    expires_at: float | None
    revoked_at: float | None
    last_used_at: float | None
    requests_per_minute: int | None
    """None: what the settings say; 0: no limit."""
    max_parallel: int | None
    """Requests at a time; None: what the settings say; 0: no limit."""

    @property
    def is_good(self) -> bool:
        """Whether it opens anything."""
        return self.revoked_at is None and not self.has_expired

    @property
    def has_expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= time.time()


def check_name(name: str) -> None:
    """See that a key can be called so.

    Raises:
        RequestError: it cannot.
    """
    if not (0 < len(name) <= MAX_NAME and name.isprintable() and name == name.strip()):
        raise RequestError(
            f"{name[:MAX_NAME]!r}, of {len(name)} characters, cannot be a key's name.",
            f"Use up to {MAX_NAME} characters that can be printed, no space at the ends.",
            param="name",
        )
    if re.fullmatch(r"key-[0-9a-f]{16}", name):
        raise RequestError(f"{name!r} looks like a key's id.", "Choose another.", param="name")


def check_owner(owner: str) -> None:
    """See that somebody can be called so.

    Raises:
        RequestError: nobody can.
    """
    if not _OWNER.fullmatch(owner):
        raise RequestError(
            f"{owner[:80]!r}, of {len(owner)} characters, cannot be an owner.",
            "Use up to 64 letters, digits and _.@-, a letter or digit first.",
            param="owner",
        )


def digest_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", errors="replace")).hexdigest()


def key_of(row: KeyRow) -> Key:
    """A row as an admin sees it."""
    return Key(
        id=row.id,
        name=row.name,
        owner=row.owner,
        role="admin" if row.role == "admin" else "user",
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        requests_per_minute=row.requests_per_minute,
        max_parallel=row.max_parallel,
    )


def on_record(row: KeyRow) -> dict[str, Any]:
    """What the audit trail tells of a key: never anything of its secret."""
    names = ("id", "name", "role", "owner", "expires_at", "requests_per_minute", "max_parallel")
    return {name: getattr(row, name) for name in names}


def of_all(statement: S) -> S:
    """Mark a statement that is meant to reach the keys of all owners."""
    return of_any_owner(statement, "who asks is known only once the keys have been read")
