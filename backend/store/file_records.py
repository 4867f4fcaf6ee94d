"""What the modules about files share: a file as its owner sees it, and which there is none of."""

from __future__ import annotations

from dataclasses import dataclass

from backend.errors import NotFound
from backend.store.tables import FileRow

INLINE_PURPOSE = "user_data"
"""The purpose of files that came inside a message, as in OpenAI's file object."""
OUTPUT_PURPOSE = "assistants_output"
"""The purpose of what programs wrote, as in OpenAI's file object."""


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file as its owner sees it."""

    id: str
    filename: str
    purpose: str
    media_type: str
    size: int
    """Bytes."""
    sha256: str
    created_at: float
    """Unix time in seconds."""
    expires_at: float | None = None
    """The same; from then on nobody finds it. None: it stays until it is deleted."""
    session_id: str | None = None
    """The conversation that it came about in; None for one that was uploaded by itself."""


@dataclass(frozen=True, kw_only=True)
class FilePage:
    """Some files of a longer list."""

    files: list[StoredFile]
    has_more: bool


def unknown_file(file_id: str, param: str = "file_id") -> NotFound:
    """There is none, or it is another owner's."""
    return NotFound(
        f"There is no file {file_id[:80]!r}.", "GET /v1/files lists those there are.", param=param
    )


def stored_file(row: FileRow) -> StoredFile:
    """A row as its owner sees it."""
    return StoredFile(
        id=row.id,
        filename=row.filename,
        purpose=row.purpose,
        media_type=row.media_type,
        size=row.size,
        sha256=row.sha256,
        created_at=row.created_at,
        expires_at=row.expires_at,
        session_id=row.session_id,
    )
