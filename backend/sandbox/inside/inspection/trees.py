"""Trees: JSON, JSON lines, YAML, TOML and INI, as the paths that lead through them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from . import tables, texts
from .facts import ENTRIES, TABLE_ROWS, TEXT_BYTES, Facts, short

_MAX_WAITING = 20_000


def inspect_json(name: str) -> Facts:
    """The structure, and a table where the values are one."""
    text = texts.read(name)
    if not text.whole:
        return {**texts.describe(text), "note": f"larger than {TEXT_BYTES} bytes: not parsed"}
    value = json.loads(text.content)
    facts: Facts = {"encoding": text.encoding, "structure": _paths(value)}
    if not _is_table(value):
        return {**facts, "preview": short(json.dumps(value, ensure_ascii=False), 600)}
    import pandas as pd

    frame = pd.DataFrame(value)
    opened = f"open({name!r}, encoding={text.encoding!r})"
    facts["read_with"] = f"pd.DataFrame(json.load({opened}))"
    return {**facts, **tables.describe(frame.head(TABLE_ROWS), rows=len(frame))}


def inspect_json_lines(name: str) -> Facts:
    """The structure of all lines together, and a table where they are objects."""
    text = texts.read(name)
    lines = [line for line in text.lines() if line.strip()]
    values = [json.loads(line) for line in (lines if text.whole else lines[:-1])[:TABLE_ROWS]]
    total = len(lines) if text.whole else len(lines) * os.path.getsize(name) // TEXT_BYTES
    facts: Facts = {"encoding": text.encoding, "structure": _paths(values)}
    if not all(isinstance(value, dict) for value in values):
        return {**facts, "rows": total, "rows_exact": text.whole}
    import pandas as pd

    facts["read_with"] = f"pd.read_json({name!r}, lines=True)"
    return {**facts, **tables.describe(pd.DataFrame(values), rows=total, exact=text.whole)}


def inspect_yaml(name: str) -> Facts:
    """Text facts and the structure; several documents are told as a list."""

    def load(text: str) -> Any:
        import yaml

        documents = list(yaml.safe_load_all(text))
        return documents[0] if len(documents) == 1 else documents

    return _inspect_text(name, load)


def inspect_toml(name: str) -> Facts:
    """Text facts and the structure."""
    import tomllib

    return _inspect_text(name, tomllib.loads)


def inspect_ini(name: str) -> Facts:
    """Text facts and the structure."""

    def load(text: str) -> Any:
        import configparser

        parser = configparser.ConfigParser(interpolation=None, strict=False)
        parser.read_string(text)
        return {section: dict(parser.items(section)) for section in parser.sections()}

    return _inspect_text(name, load)


def _inspect_text(name: str, load: Callable[[str], Any]) -> Facts:
    text = texts.read(name)
    facts = texts.describe(text)
    if text.whole:
        facts["structure"] = _paths(load(text.content))
    return facts


def _is_table(value: Any) -> bool:
    """A list of objects, or an object of equally long lists."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, dict) for item in value)
    if not isinstance(value, dict) or not all(isinstance(item, list) for item in value.values()):
        return False
    return len({len(item) for item in value.values()}) == 1


def _paths(value: Any) -> list[str]:
    """``a.b[]: str`` for every path of a tree, breadth first, as far as there is room."""
    found: dict[str, str] = {}
    queue: list[tuple[str, Any]] = [("$", value)]
    for place, inner in queue:
        if len(found) >= ENTRIES or len(queue) > _MAX_WAITING:
            break
        kind = type(inner).__name__
        if isinstance(inner, dict):
            kind = f"object with {len(inner)} keys"
            queue.extend((f"{place}.{key}", inner[key]) for key in list(inner)[:ENTRIES])
        elif isinstance(inner, list):
            kind = f"list of {len(inner)}"
            queue.extend((f"{place}[]", item) for item in inner[:20])
        found.setdefault(short(place, 200), kind)
    return [f"{place}: {kind}" for place, kind in found.items()]
