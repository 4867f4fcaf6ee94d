"""The facts of all files as one JSON text that is never longer than it may be."""

from __future__ import annotations

import json
from typing import Any

from .facts import Facts

MAX_BYTES = 150_000
"""A prompt takes a tenth of it; a list of files on a page can show all of it."""

_SPARED = (
    ("preview",),
    ("samples", "categories", "structure"),
    ("min", "max", "mean", "unique", "looks_like"),
    ("column_names",),
    ("columns",),
)
"""What goes first, and what next, where there is too much."""


def as_json(entries: list[Facts], max_bytes: int) -> str:
    """The JSON text, in ASCII, so that its length in characters is that in bytes.

    Room is shared: what small entries leave is for the large ones, and an entry that has more
    than its share is shortened.
    """
    texts = [json.dumps(entry) for entry in entries]
    room = max_bytes - len("[]\n") - len(", ") * len(texts)
    by_length = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    for done, place in enumerate(by_length):
        share = room // (len(texts) - done)
        if len(texts[place]) > share:
            texts[place] = _shortened(entries[place], share)
        room -= len(texts[place])
    return f"[{', '.join(texts)}]"


def _shortened(entry: Facts, share: int) -> str:
    note = "; ".join(
        filter(None, [entry.get("note"), "shortened: there is more in it than fits here"])
    )
    keys: set[str] = set()
    for spared in _SPARED:
        keys.update(spared)
        text = json.dumps({**_without(entry, keys), "note": note})
        if len(text) <= share:
            return text
    bare: Facts = {key: entry[key] for key in ("type", "size") if key in entry}
    if "error" in entry:
        bare["error"] = entry["error"].partition(":")[0]
    return json.dumps({**bare, "note": "there is no room here for what is in it"})


def _without(facts: Facts, keys: set[str]) -> Facts:
    """The facts less some keys, also in the parts they are made of: sheets, tables, columns."""

    def part(value: Any) -> Any:
        return _without(value, keys) if isinstance(value, dict) else value

    return {
        key: [part(item) for item in value] if isinstance(value, list) else value
        for key, value in facts.items()
        if key not in keys
    }
