"""Files as OpenAI's clients know them."""

from __future__ import annotations

from typing import Literal

from backend.api.shapes.base import Deleted, Page, Shape


class FileObject(Shape):
    """A file, without its bytes."""

    id: str
    """What other requests name it by."""
    object: Literal["file"]
    """Always `file`."""
    bytes: int
    """Its size."""
    created_at: int
    """Unix time in seconds."""
    expires_at: int | None
    """Unix time in seconds from which on it is gone; null: it stays until it is deleted."""
    filename: str
    """Its name, without any folder; what a name must not have is replaced by `_`."""
    purpose: str
    """As it was uploaded with; `assistants_output` of what programs wrote."""
    status: Literal["processed"]
    """Always `processed`."""
    media_type: str
    """What it is: its `Content-Type` when it is downloaded."""


class FileList(Page[FileObject]):
    """The owner's files."""


class FileDeleted(Deleted):
    """A file and its bytes are gone; its links are, too."""

    object: Literal["file"]
    """Always `file`."""


class FileLink(Shape):
    """A link to a file's bytes."""

    id: str
    """The file's."""
    object: Literal["file.link"]
    """Always `file.link`."""
    url: str
    """What a browser opens, without a key."""
    expires_at: int
    """Unix time in seconds from which on it opens nothing."""
