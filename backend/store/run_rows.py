"""What the modules about runs share: whose row it is, how many were meant, which there is none of."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CursorResult

from backend.errors import NotFound
from backend.store.database import owned_by
from backend.store.tables import RunRow


def is_run(run_id: str, owner: str) -> tuple[Any, ...]:
    """The conditions for a run of an owner's."""
    return owned_by(RunRow, owner), RunRow.id == run_id


def count_of(done: object) -> int:
    """How many rows a statement changed."""
    assert isinstance(done, CursorResult)
    return int(done.rowcount)


def unknown_run(reference: str, param: str = "run_id") -> NotFound:
    """The error for a run that the owner does not have."""
    return NotFound(
        f"There is no run {reference[:80]!r}.",
        "`python-coder runs list` shows those there are.",
        param=param,
    )
