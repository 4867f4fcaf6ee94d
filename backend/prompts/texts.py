"""Texts cut to a length, and findings and facts put into words for a prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

OBSERVATION_CHARS = 6000
"""An output goes to the model whole up to this many characters, then as head and tail."""
JUDGED_CONTEXT_CHARS = 2000
"""Of the context where a program is judged: enough to know what the request is a part of."""
ATTEMPTS_CHARS = 8000
"""Characters of all former attempts in one prompt together."""
FACTS_CHARS = 9000
"""Characters of all file facts in one prompt together: some 3,000 tokens."""


def shorten(text: str, limit: int) -> str:
    """Keep head and tail of a text that is longer than ``limit`` characters, and say so."""
    if len(text) <= limit:
        return text
    marker = f"\n... [{len(text) - limit} of {len(text)} characters left out] ...\n"
    head = limit * 2 // 3
    return text[:head] + marker + text[len(text) - (limit - head) :]


def list_findings(findings: Sequence[Mapping[str, Any]]) -> str:
    """One line a finding."""
    lines = []
    for finding in findings:
        where = f"line {finding['line']}: " if finding.get("line") else ""
        lines.append(f"- {where}{finding['message']}")
    return "\n".join(lines)


def list_former(former: Sequence[Mapping[str, Any]]) -> str:
    """Every program given up with its fault, the newest whole where they do not all fit."""
    blocks: list[str] = []
    room = ATTEMPTS_CHARS
    for number in range(len(former), 0, -1):
        attempt = former[number - 1]
        share = max(room // max(number, 1), 600)
        block = (
            f"Attempt {number}\n```python\n{shorten(attempt['code'], share // 2)}\n```\n"
            f"Result: {shorten(attempt['diagnosis'], share // 2)}"
        )
        room -= len(block)
        blocks.append(block)
    return "\n\n".join(reversed(blocks))


def list_facts(facts: Sequence[Mapping[str, Any]]) -> str:
    """What a program needs to know of each file: exact names, columns, dtypes, sample rows."""
    if not facts:
        return ""
    share = FACTS_CHARS // len(facts)
    return "\n".join(shorten(_describe(entry), share) for entry in facts)


_IN_HEAD = ("name", "type", "size")
_TABLE = ("columns", "preview")
_PARTS = {"sheets": "sheet", "tables": "table"}


def _describe(entry: Mapping[str, Any]) -> str:
    lines = [
        f"- {entry.get('name')!r} ({entry.get('type', 'file')}, {entry.get('size', '?')} bytes)"
    ]
    lines += _table_lines(entry, "  ")
    for key, value in entry.items():
        if key in (*_IN_HEAD, *_TABLE):
            continue
        if key in _PARTS and isinstance(value, list):
            for part in value:
                lines.append(f"  {_PARTS[key]} {part.get('name')!r}: {_scalars(part)}")
                lines += _table_lines(part, "    ")
        else:
            lines.append(f"  {key}: {_plain(value)}")
    return "\n".join(lines)


def _table_lines(table: Mapping[str, Any], indent: str) -> list[str]:
    lines = []
    for column in table.get("columns") or []:
        if isinstance(column, Mapping):
            facts = {k: v for k, v in column.items() if k not in ("name", "dtype") and v != 0}
            more = "; ".join(f"{key} {_plain(value)}" for key, value in facts.items())
            head = f"{indent}column {column.get('name')!r} {column.get('dtype', '')}"
            lines.append(f"{head}: {more}" if more else head)
        else:
            lines.append(f"{indent}column {column!r}")
    if preview := table.get("preview"):
        lines.append(f"{indent}first rows:")
        rows = preview if isinstance(preview, list) else str(preview).splitlines()
        lines += [f"{indent}  {_plain(row)}" for row in rows]
    return lines


def _scalars(table: Mapping[str, Any]) -> str:
    facts = {k: v for k, v in table.items() if k not in ("name", *_TABLE)}
    return ", ".join(f"{key} {_plain(value)}" for key, value in facts.items())


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
