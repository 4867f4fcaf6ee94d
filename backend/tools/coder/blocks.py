"""What a report is made of, before it is written in some format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Title:
    """The heading of what follows."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Prose:
    """A model's own words, in Markdown."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """A point in a list, in plain words."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Verbatim:
    """A program, or what one printed."""

    text: str
    language: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of one length; the first one names the columns."""

    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class FileLink:
    """A file that was made."""

    name: str
    target: str
    """Where it can be got: a URL or a path; its name where neither is known."""
    is_picture: bool


Block = Title | Prose | Line | Verbatim | Table | FileLink
