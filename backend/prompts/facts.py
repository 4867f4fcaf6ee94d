"""What a program needs to know of its input files, within a number of tokens.

Where there is no room for all, this goes first and the rest stays: sample rows, then ranges and
categories, then dtypes; the names of the files and of all their columns last.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

from backend.prompts.tokens import estimate_tokens

FACTS_TOKENS = 4000
"""Tokens of all file facts in one prompt together, as ``estimate_tokens`` counts them."""

Facts = Mapping[str, Any]

_HEAD = ("name", "type", "size", "given_as")
_TABLE = ("columns", "column_names", "columns_in_all", "preview")
_PARTS = {
    "sheets": "sheet",
    "tables": "table",
    "tables_on_pages": "table on",
    "tables_of_text": "table",
}
_EXPECTED = (
    ("rows_exact", True),
    ("rows_exact", False),  # the number itself says so
    ("facts_exact", True),
    ("facts_exact", False),  # the rows they are from are named
    ("encoding", "utf-8"),
    ("delimiter", ","),
    ("header", True),
    ("duplicate_rows", 0),
    ("frames", 1),
)
"""What is not worth a token."""
_SAMPLES = ("samples", "preview")
_LIST_ITEMS = (1000, 30, 12, 5, 2)
"""Of a list of facts, so many are told, from the richest form to the barest."""
_NAMES_ONLY = 3
"""From this form on columns are named by dtype, and then only named."""
_ROWS = (5, 2, 0, 0, 0)
"""Sample rows, the same way."""
_CHARS_OF_A_TOKEN = 12
"""A longer text has more tokens, whatever it is made of."""
_LINE = 160
"""Characters of a sample row or line of text."""
_NUMBERED = re.compile(r"(.*?)(0|[1-9]\d*)\Z", re.DOTALL)


def list_facts(facts: Sequence[Facts], tokens: int = FACTS_TOKENS) -> str:
    """What a program needs to know of each file: exact names, columns, dtypes, sample rows.

    Args:
        facts: as ``describe_files`` tells them.
        tokens: the text is never more than these. What small files leave is for the large ones.
    """
    texts = _share(facts, tokens - len(facts), _describe)
    return "\n".join(text for text in texts if text)


def _share(facts: Sequence[Facts], tokens: int, describe: Callable[[Facts, int], str]) -> list[str]:
    """Each described within a share; those that need less than theirs leave it to the others."""
    wanted = [estimate_tokens(describe(entry, tokens)) for entry in facts]
    texts = [""] * len(facts)
    room = tokens
    for done, place in enumerate(sorted(range(len(facts)), key=wanted.__getitem__)):
        texts[place] = describe(facts[place], max(0, room // (len(facts) - done)))
        room -= estimate_tokens(texts[place])
    return texts


def _describe(entry: Facts, tokens: int) -> str:
    name, kind = entry.get("name"), entry.get("type", "file")
    head = f"- {name!r} ({kind}, {entry.get('size', '?')} bytes)"
    if given := entry.get("given_as"):
        head += f", in the request: {given!r}"
    return _fitting(head, entry, tokens, "  ")


def _part(word: str, indent: str) -> Callable[[Facts, int], str]:
    def describe(part: Facts, tokens: int) -> str:
        return _fitting(f"{indent}{word} {part.get('name')!r}", part, tokens, indent + "  ")

    return describe


def _fitting(head: str, entry: Facts, tokens: int, indent: str) -> str:
    """The richest form for which there is room; of the barest, as many lines as fit."""
    lines: list[str] = [head]
    # A column takes more than these many tokens; far too many of them need not be tried.
    is_wide = 8 * len(entry.get("columns") or []) > tokens
    for level in range(_NAMES_ONLY if is_wide else 0, len(_LIST_ITEMS)):
        lines = [head, *_lines(entry, level, indent)]
        text = "\n".join(lines)
        if len(text) > _CHARS_OF_A_TOKEN * tokens:
            continue
        rest = tokens - estimate_tokens(text)
        parts = _parts(entry, rest, indent)
        if parts and rest < tokens // 2 and level < len(_LIST_ITEMS) - 1:
            continue  # what is in the parts matters more than samples of the rest
        lines += parts
        if estimate_tokens("\n".join(lines)) <= tokens:
            return "\n".join(_filled(lines, entry, level, tokens, indent))
    return _cut(lines, tokens)


def _cut(lines: list[str], tokens: int) -> str:
    """The first lines, as many as there is room for; a list of names ends with a whole one."""
    kept: list[str] = []
    room = tokens
    more = ", ... (there are more; no room for them here)"
    for line in lines:
        needed = estimate_tokens(line[: _CHARS_OF_A_TOKEN * room + 1]) + 1
        if needed <= room and len(line) <= _CHARS_OF_A_TOKEN * room:
            kept.append(line)
            room -= needed
            continue
        line = line[: _CHARS_OF_A_TOKEN * room]
        while line and estimate_tokens(line + more) + 1 > room:
            line = line[: len(line) * 9 // 10].rpartition(", ")[0]
        kept += [line + more] if line else []
        break
    return "\n".join(kept)


def _lines(entry: Facts, level: int, indent: str) -> Iterator[str]:
    """Everything but the parts; the way to read it and what is wrong with it come first."""
    for key in ("error", "note", "read_with"):
        if key in entry:
            yield f"{indent}{key.replace('_', ' ')}: {_plain(entry[key])}"
    skipped = {*_HEAD, *_TABLE, *_PARTS, "error", "note", "read_with"}
    rest = {key: value for key, value in entry.items() if key not in skipped}
    if short := "; ".join(
        _said(key, value, entry) for key, value in rest.items() if _tells(key, value)
    ):
        yield indent + short
    yield from _columns(entry, level, indent)
    for key, value in rest.items():
        if isinstance(value, list) and value:
            yield from _listed(key.replace("_", " "), value, level, indent)
    yield from _preview(entry, level, indent)


def _tells(key: str, value: Any) -> bool:
    """Whether it is more than what is to be expected, and fits into a line."""
    return not isinstance(value, list) and (key, value) not in _EXPECTED


def _said(key: str, value: Any, entry: Facts) -> str:
    about = "about " if key == "rows" and entry.get("rows_exact") is False else ""
    return f"{key.replace('_', ' ')} {about}{_plain(value)}"


def _listed(key: str, items: list[Any], level: int, indent: str) -> Iterator[str]:
    count = _LIST_ITEMS[level]
    more = f" (and {len(items) - count} more)" if len(items) > count else ""
    if key.endswith("names"):
        yield f"{indent}{key}: {', '.join(map(repr, items[:count]))}{more}"
        return
    shown = [_plain(item) for item in items[:count]]
    if sum(map(len, shown)) <= 100:
        yield f"{indent}{key}: {'; '.join(shown)}{more}"
        return
    yield f"{indent}{key}:{more}"
    yield from (f"{indent}  {item}" for item in shown)


def _columns(table: Facts, level: int, indent: str) -> Iterator[str]:
    columns = table.get("columns") or []
    if level < _NAMES_ONLY:
        yield from (_column(column, level, indent) for column in columns)
    names = table.get("column_names")
    if names:
        in_all = table.get("columns_in_all", len(names))
        more = f" (and {in_all - len(names)} more)" if in_all > len(names) else ""
        yield f"{indent}all {in_all} columns: {_named(names, level)}{more}"
    elif columns and level >= _NAMES_ONLY:
        by_dtype = level == _NAMES_ONLY
        names = [column.get("name") for column in columns]
        yield f"{indent}columns: {_by_dtype(columns) if by_dtype else _named(names, level)}"


def _named(names: Sequence[Any], level: int) -> str:
    """All names, for the barest form without a quote around each."""
    if level > _NAMES_ONLY and all(isinstance(one, str) and one.split() == [one] for one in names):
        apart, together = _compact(names), f"{' '.join(names)!r}.split()"
        return min(apart, together, key=estimate_tokens)
    return _compact(names)


def _column(column: Facts, level: int, indent: str) -> str:
    left_out = {"name", "dtype", *(_SAMPLES if level == 2 else ())}
    facts = {
        key: value
        for key, value in column.items()
        if key not in left_out and (value not in (0, False, [], "") or key in ("min", "max"))
    }
    more = "; ".join(f"{key.replace('_', ' ')} {_plain(value)}" for key, value in facts.items())
    head = f"{indent}column {column.get('name')!r} {column.get('dtype', '')}"
    return f"{head}: {more}" if more else head


def _by_dtype(columns: Sequence[Facts]) -> str:
    runs = groupby(columns, key=lambda column: str(column.get("dtype", "")))
    return "; ".join(
        f"{dtype}: {_compact([column.get('name') for column in run])}" for dtype, run in runs
    )


def _compact(names: Sequence[Any]) -> str:
    return _compacted(tuple(names))


@lru_cache(maxsize=64)  # a table's names are looked at several times for one prompt
def _compacted(names: tuple[Any, ...]) -> str:
    """All names; a run of numbered ones by its first and its last."""
    shown: list[str] = []
    for _, run in groupby(enumerate(names), key=_numbering):
        members = [name for _, name in run]
        if len(members) > 3:
            shown.append(f"{members[0]!r} to {members[-1]!r} (numbered without a gap)")
        else:
            shown += map(repr, members)
    return ", ".join(shown)


def _numbering(placed: tuple[int, Any]) -> tuple[str, int]:
    """What the names of a run have in common: all but the number, which goes up by one."""
    place, name = placed
    if isinstance(name, int):
        return "", name - place
    found = _NUMBERED.match(str(name))
    return (found[1], int(found[2][-15:]) - place) if found else (str(name), -place - 1)


def _preview(entry: Facts, level: int, indent: str) -> Iterator[str]:
    preview = entry.get("preview")
    if not preview:
        return
    rows = preview if isinstance(preview, list) else str(preview).splitlines()
    count = _ROWS[level] if entry.get("columns") else _LIST_ITEMS[level]
    if not count:
        return
    yield f"{indent}first {'rows' if entry.get('columns') else 'lines'}:"
    yield from (
        f"{indent}  {_short(_plain(row), _LINE * (3 - min(level, 2)))}" for row in rows[:count]
    )


def _parts(entry: Facts, tokens: int, indent: str) -> list[str]:
    """Sheets, tables and the like, each within a share of the room."""
    listed = [
        (word, part)
        for key, word in _PARTS.items()
        if isinstance(entry.get(key), list)
        for part in entry[key]
    ]
    if not listed or tokens <= 0:
        return []
    words = {id(part): word for word, part in listed}
    return _share(
        [part for _, part in listed],
        tokens - len(listed),
        lambda part, room: _part(words[id(part)], indent)(part, room),
    )


def _filled(lines: list[str], entry: Facts, level: int, tokens: int, indent: str) -> list[str]:
    """Where only names had room, what there is room for besides: the first columns' facts."""
    room = tokens - estimate_tokens("\n".join(lines)) - 1
    if level < _NAMES_ONLY:
        return lines
    for column in entry.get("columns") or []:
        line = _column(column, 2, indent)
        room -= estimate_tokens(line) + 1
        if room < 0:
            break
        lines.append(line)
    return lines


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value if value.isprintable() else json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(inner)}" for key, inner in value.items())
    return json.dumps(value, ensure_ascii=False, default=str)


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "\u2026"
