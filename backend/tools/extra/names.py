"""How tools from elsewhere are presented: a name each that models can write, words, a schema."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from backend.prompts.texts import shorten

_MOST_CHARS = 64
_DESCRIPTION_CHARS = 500
"""Of a tool's own words: pages of them would fill the prompt of a small model."""


def safe_name(name: str) -> str:
    """A name as models write it, ``''`` for one without a letter or digit."""
    return "_".join(re.findall(r"[A-Za-z0-9]+", name))[:_MOST_CHARS].rstrip("_")


def unique_names(offered: Sequence[tuple[str, str]], taken: Iterable[str]) -> list[str]:
    """A name for each tool: its own; where that is not its alone, its source's before it.

    Args:
        offered: source (a server, a distribution) and name of each tool.
        taken: names of others, which may not be given.

    Returns:
        Names in the same order; capitals make no difference between two of them.
    """
    used = {each.lower() for each in taken}
    plain = [safe_name(name) or "tool" for _, name in offered]
    wanted = Counter(name.lower() for name in plain)
    result = []
    for (source, _), name in zip(offered, plain, strict=True):
        if wanted[name.lower()] > 1 or name.lower() in used:
            name = safe_name(f"{source}_{name}")
        result.append(_numbered(name, used))
        used.add(result[-1].lower())
    return result


def _numbered(name: str, used: set[str]) -> str:
    number, given = 1, name
    while given.lower() in used:
        number += 1
        given = f"{name[: _MOST_CHARS - 4]}_{number}"
    return given


def shown_description(text: str) -> str:
    """A tool's own words in one line, cut where they are too many."""
    return shorten(" ".join(text.split()), _DESCRIPTION_CHARS)


def plain_schema(schema: Any) -> dict[str, Any]:
    """A schema of which its readers can rely on this: an object, whose properties are objects."""
    whole = dict(schema) if isinstance(schema, Mapping) else {}
    listed = whole.get("properties")
    listed = listed if isinstance(listed, Mapping) else {}
    # A property may also be described by true: anything.
    properties = {
        name: dict(each) if isinstance(each, Mapping) else {} for name, each in listed.items()
    }
    required = whole.get("required")
    names = (
        [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
    )
    return {**whole, "type": "object", "properties": properties, "required": names}
