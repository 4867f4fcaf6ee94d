"""What requests that are not over may have written: bytes that nothing refers to yet.

A program's files are kept as soon as it has run. What refers to them is written when the answer is
there: minutes later, or days, where the user is asked about another program first.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from sqlalchemy import Connection, or_, select

from backend.store.ownership import SHARED, of_any_owner
from backend.store.tables import TO_DO, UNFINISHED, RunRow

_CLOCKS_S = 5.0
"""How far the clocks of file systems and of several machines may be apart."""


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """The times at which somebody has worked on requests that are not answered yet."""

    spans: tuple[tuple[float, float], ...]
    """From and until when, in Unix seconds."""

    def covers(self, written_at: float) -> bool:
        """Whether what was written, or wanted again, at this time may belong to one of them."""
        return any(begin <= written_at <= end for begin, end in self.spans)


def read_unfinished(connection: Connection) -> Unfinished:
    """The requests of all owners; what is written from now on counts, whosesoever it is.

    One that waits or was interrupted has written nothing since: bytes are not kept for it that
    others wrote while it stands still.
    """
    spans = [(time.time(), math.inf)]
    columns = (RunRow.status, RunRow.created_at, RunRow.updated_at)
    query = select(*columns).where(or_(UNFINISHED, TO_DO))
    for status, begun_at, seen_at in connection.execute(of_any_owner(query, SHARED)):
        end = math.inf if status == "running" else seen_at + _CLOCKS_S
        spans.append((begun_at - _CLOCKS_S, end))
    return Unfinished(spans=tuple(spans))
