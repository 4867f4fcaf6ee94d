"""The paths that lead through a tree of values, as Python writes them: ``data["items"][0]``."""

from __future__ import annotations

import json
from typing import Any

from .facts import ENTRIES, literal, plain, short

_MAX_VALUES = 20_000
_ITEMS = 50
"""Of one list, those from whose union its items' shape is told."""


class _Place:
    """What is found at one path, once or in several items of a list."""

    def __init__(self) -> None:
        self.times = 0
        self.kinds: dict[str, None] = {}
        self.lengths: set[int] = set()
        self.example: Any = None
        self.parent: _Place | None = None
        self.is_key = False

    def note(self, value: Any) -> None:
        self.times += 1
        if isinstance(value, dict | list | tuple):
            self.lengths.add(len(value))
            self.kinds["object" if isinstance(value, dict) else "list"] = None
            return
        self.kinds[type(value).__name__] = None
        if self.example is None:
            self.example = value


def of(value: Any, *, cut: bool = False) -> list[str]:
    """``data["a"][0]: str, such as "x"`` for every path, breadth first, as far as there is room.

    Of a list the first items are looked at together and told as item 0; what only some of them
    have is told as such.

    Args:
        value: the tree; ``data`` in the paths.
        cut: it is the beginning of a longer one, so that lengths are the least they can be.
    """
    found: dict[str, _Place] = {}
    waiting: list[tuple[str, Any, _Place | None, bool]] = [("data", value, None, False)]
    for path, inner, parent, is_key in waiting:
        if path not in found and len(found) >= ENTRIES:
            continue
        place = found.setdefault(path, _Place())
        place.parent, place.is_key = parent, is_key
        place.note(inner)
        if len(waiting) > _MAX_VALUES:
            continue
        if isinstance(inner, dict):
            keys = list(inner)[:ENTRIES]
            waiting += [(f"{path}[{literal(key)}]", inner[key], place, True) for key in keys]
        elif isinstance(inner, list | tuple):
            waiting += [(f"{path}[0]", item, place, False) for item in inner[:_ITEMS]]
    return [f"{short(path, 300)}: {_told(place, cut)}" for path, place in found.items()]


def _told(place: _Place, cut: bool) -> str:
    words = " | ".join(_kind(kind, place, cut) for kind in place.kinds)
    if place.example is not None:
        shown = plain(place.example)
        words += f", such as {short(json.dumps(shown, ensure_ascii=False), 60)}"
    objects = place.parent.times if place.parent else 0
    if place.is_key and place.times < objects:
        words += f", in {place.times} of {objects} looked at"
    return words


def _kind(kind: str, place: _Place, cut: bool) -> str:
    if kind not in ("object", "list"):
        return kind
    what = "object with {} keys" if kind == "object" else "list of {}"
    low, high = min(place.lengths), max(place.lengths)
    if cut and kind == "list":
        return what.format(f"{high} or more")
    return what.format(low if low == high else f"{low} to {high}")
