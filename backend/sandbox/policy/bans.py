"""What the static check's tables are made of.

A ban says why and what to write instead, because its reader is a language model that will rewrite
the program.
"""

from __future__ import annotations

from dataclasses import dataclass

from backend.types import Severity


@dataclass(frozen=True, kw_only=True)
class Ban:
    """Why something is refused and what takes its place."""

    why: str
    """A clause that follows the name: "may not start other programs"."""
    instead: str
    """A sentence that says what to write."""
    severity: Severity = "security"
    network: bool = False
    """Only refused where programs have no network."""


def table(*rows: tuple[str, Ban]) -> dict[str, Ban]:
    """Rows of (names separated by spaces, ban) as one mapping from name to ban."""
    return {name: ban for names, ban in rows for name in names.split()}


def words(text: str) -> frozenset[str]:
    """The words of a text, so that long sets stay readable."""
    return frozenset(text.split())
