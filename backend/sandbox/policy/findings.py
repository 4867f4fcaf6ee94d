"""What the static check goes by and what it finds: an issue, and the mending that is certain."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from backend.types import Issue, Severity

MAX_NAMED = 12
"""Names of files or columns that one message lists."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What is known of the place where a program will run. None: not known, so not judged."""

    allow_network: bool = False
    known_modules: Collection[str] = ()
    files: Collection[str] | None = None
    columns: Mapping[str, Collection[str]] | None = None
    installed: Collection[str] | None = None
    names: Collection[str] | None = None
    foresee: bool = False
    """Block what is certain to fail, too."""


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One piece of a program's text and what takes its place; columns count UTF-8 bytes."""

    says: str
    """What was changed, as a sentence without its full stop."""
    line: int
    column: int
    end_line: int
    end_column: int
    text: str


@dataclass(frozen=True, kw_only=True)
class NewImport:
    """An import statement that a program lacks."""

    statement: str

    @property
    def says(self) -> str:
        """What was changed, as a sentence without its full stop."""
        return f"added `{self.statement}`"


Mending = Edit | NewImport


@dataclass(frozen=True, kw_only=True)
class Finding:
    """An issue, with what mends it where there is exactly one way."""

    issue: Issue
    mending: Mending | None = None


def replace(node: ast.expr | ast.stmt, text: str, says: str) -> Edit:
    """Put `text` in the place of `node`."""
    return Edit(
        says=says,
        line=node.lineno,
        column=node.col_offset,
        end_line=node.end_lineno or node.lineno,
        end_column=node.end_col_offset or node.col_offset,
        text=text,
    )


def finding(
    kind: str,
    message: str,
    line: int,
    *,
    severity: Severity = "advice",
    mending: Mending | None = None,
) -> Finding:
    """A finding; its issue is advice unless said otherwise."""
    issue = Issue(kind=kind, message=message, line=line, severity=severity)
    return Finding(issue=issue, mending=mending)


def listed(names: Collection[str]) -> str:
    """Names for a message, quoted, the first of them where there are many."""
    shown = ", ".join(repr(name) for name in sorted(names)[:MAX_NAMED])
    more = len(names) - MAX_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
