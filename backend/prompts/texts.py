"""Texts cut to a length, and findings put into words for a prompt; file facts: ``facts``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backend.prompts.facts import list_facts
from backend.prompts.fences import fenced
from backend.types import ExecutionResult

__all__ = [
    "ATTEMPTS_CHARS",
    "JUDGED_CONTEXT_CHARS",
    "OBSERVATION_CHARS",
    "cut_line",
    "describe_output",
    "list_facts",
    "list_findings",
    "list_former",
    "logs_of",
    "shorten",
]

OBSERVATION_CHARS = 6000
"""An output goes to the model whole up to this many characters, then as head and tail."""
JUDGED_CONTEXT_CHARS = 2000
"""Of the context where a program is judged: enough to know what the request is a part of."""
ATTEMPTS_CHARS = 8000
"""Characters of all former attempts in one prompt together."""


def shorten(text: str, limit: int) -> str:
    """Keep head and tail of a text that is longer than ``limit`` characters, and say so."""
    if len(text) <= limit:
        return text
    marker = f"\n... [{len(text) - limit} of {len(text)} characters left out] ...\n"
    head = limit * 2 // 3
    return text[:head] + marker + text[len(text) - (limit - head) :]


def cut_line(line: str, limit: int) -> str:
    """A line's beginning, where it is too long."""
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def describe_output(printed: str, value: str | None, files: Sequence[str]) -> str:
    """What a program that ended well came to: what it printed whole up to 6 KB."""
    parts = [shorten(printed.rstrip(), OBSERVATION_CHARS) or "(nothing was printed)"]
    if value is not None:
        parts.append(f"Value of the last expression: {shorten(value, 2000)}")
    if files:
        parts.append(f"Files: {shorten(', '.join(files), 2000)}")
    return "\n".join(parts)


def logs_of(result: ExecutionResult) -> str:
    """What a program printed, the value of its last expression behind it, cut to 6 KB."""
    printed = "".join(part for part in (result.stdout, result.stderr) if part)
    if result.value is not None:
        printed += ("" if not printed or printed.endswith("\n") else "\n") + result.value
    return shorten(printed, OBSERVATION_CHARS)


def list_findings(findings: Sequence[Mapping[str, Any]]) -> str:
    """One line a finding."""
    lines = []
    for finding in findings:
        where = f"line {finding['line']}: " if finding.get("line") else ""
        lines.append(f"- {where}{finding['message']}")
    return "\n".join(lines)


def list_former(former: Sequence[Mapping[str, Any]], language: str = "python") -> str:
    """Every program given up with its fault, the newest whole where they do not all fit."""
    blocks: list[str] = []
    room = ATTEMPTS_CHARS
    for number in range(len(former), 0, -1):
        attempt = former[number - 1]
        share = max(room // max(number, 1), 600)
        block = (
            f"Attempt {number}\n{fenced(shorten(attempt['code'], share // 2), language)}\n"
            f"Result: {shorten(attempt['diagnosis'], share // 2)}"
        )
        room -= len(block)
        blocks.append(block)
    return "\n\n".join(reversed(blocks))
