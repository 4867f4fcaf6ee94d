"""Rows of tables as lines of text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def title_of(sheet: str) -> str:
    """A sheet as a part of its file."""
    return f"sheet {sheet!r}"


def line_of(cells: Iterable[str]) -> str:
    """A row as one line, '' if it is empty."""
    return " | ".join(cells).strip(" |")


def value_of(value: Any) -> str:
    """A cell as people write it."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if hasattr(value, "isoformat"):
        return str(value.isoformat()).removesuffix("T00:00:00")
    return str(value)
