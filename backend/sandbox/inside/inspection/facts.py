"""What a fact is: plain JSON values within bounds."""

from __future__ import annotations

import json
import math
from typing import Any

Facts = dict[str, Any]
"""``read_with`` among them is one line of Python that works beside the file as it is. Its last
statement is an expression, what is read; ``pd`` and ``np`` are pandas and numpy, and every other
name is imported in the line itself."""

TABLE_ROWS = 100_000
"""Rows of a table that facts are taken from."""
TABLE_BYTES = 4_000_000
"""A delimited file up to this size is read whole, and what is said of it is exact."""
SHEET_ROWS = 5_000
"""The same for a sheet or a table of a database, whose rows take longer to read."""
TEXT_BYTES = 4_000_000
"""Bytes of a text that are looked at."""
COLUMNS = 150
"""Columns of a table that are described; the others are named."""
PREVIEW_ROWS = 5
PREVIEW_LINES = 20
ENTRIES = 60
"""Members, paths, tables and the like that are named."""
NAMES = 500
"""Names alone, of sheets or tables."""
COLUMN_NAMES = 5_000
"""Names alone, of columns."""
NAME_CHARS = 1_000
"""Names have to be exact; beyond this length they are not names any more."""


def plain(value: Any) -> Any:
    """A value as JSON has it, cut short; no NaN, no infinity."""
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else str(value)[:80]
    if isinstance(value, float):
        return round(value, 6 if abs(value) < 1e9 else 2) if math.isfinite(value) else None
    if hasattr(value, "isoformat"):
        return None if str(value) == "NaT" else str(value.isoformat()).removesuffix("T00:00:00")
    return short(value if isinstance(value, str) else repr(value))


def short(text: str, limit: int = 80) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "\u2026"


def head(lines: list[str]) -> list[str]:
    """The first lines of a text as a preview."""
    return [short(line, 200) for line in lines[:PREVIEW_LINES]]


def literal(key: Any) -> str:
    """A key as Python is told it."""
    return json.dumps(key, ensure_ascii=False) if isinstance(key, str) else repr(key)


def opened(name: str, encoding: str) -> str:
    """How a text file is opened."""
    return f"open({name!r}, encoding={encoding!r})"
