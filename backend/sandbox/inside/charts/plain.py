"""Numbers and texts of plotting libraries as JSON has them."""

from __future__ import annotations

import math
from typing import Any

TEXT_CHARS = 500
_EXACT = 2**53
_DIGITS = 12
"""Significant ones; further ones come from positions that were computed for drawing."""


def number(value: Any) -> int | float | None:
    """A number as JSON has it: null for NaN, infinities and what is none."""
    try:
        as_float = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if not math.isfinite(as_float):
        return None
    if as_float.is_integer() and abs(as_float) < _EXACT:
        return int(as_float)
    return float(f"{as_float:.{_DIGITS}g}")


def text(value: Any) -> str:
    """A text within its length, and such that every encoder takes it."""
    words = str(value).strip()
    if len(words) > TEXT_CHARS:
        words = words[: TEXT_CHARS - 1] + "…"
    return words.encode("utf-8", "replace").decode()


def sequence(values: Any) -> list[Any]:
    """A list of what an array holds; None where it is masked."""
    flat = values.ravel() if hasattr(values, "ravel") else values
    return flat.tolist() if hasattr(flat, "tolist") else list(flat)


def pick(count: int, most: int) -> list[int]:
    """At most ``most`` of ``count`` positions, evenly spread, with the first and the last."""
    if count <= most:
        return list(range(count))
    if most < 2:
        return [0][:most]
    return [round(place * (count - 1) / (most - 1)) for place in range(most)]
