"""Which queued run a server takes next: none of a session that is worked in, none without a place."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection

from backend.api.turns import Lane, Turns
from backend.store.queued_runs import QueuedRuns
from backend.store.run_records import Run

_AGAIN_S = 2.0
"""Seconds to take nothing after there was no turn to be had."""
_REMEMBERED = 1000
"""Owners of whom it is known when they were served; the others count as served longest ago."""


class Taking:
    """What one server's worker has taken, and takes next."""

    def __init__(self, queued: QueuedRuns, turns: Turns) -> None:
        self._queued = queued
        self._turns = turns
        self._most = max(2, turns.places() // 2)  # the other half is for who waits
        self._owners: dict[str, str] = {}
        """Run -> owner, of those that were taken."""
        self._served: dict[str, float] = {}
        self._not_before = 0.0

    async def take(self, without: Collection[str]) -> Run | None:
        """Take a run, or None where there is none to be taken now; ``without`` these."""
        is_full = len(self._owners) >= self._most
        if is_full or self._turns.is_closed or time.monotonic() < self._not_before:
            return None
        run = await self._queued.take(
            busy=Counter(self._owners.values()),
            last=self._served,
            without=without,
            # It would only wait, in a place that another session's run could have.
            without_sessions=self._turns.sessions(),
        )
        if run is not None:
            self._served.pop(run.owner, None)  # so that the oldest one stands first
            self._served[run.owner] = time.monotonic()
            if len(self._served) > _REMEMBERED:
                del self._served[next(iter(self._served))]
            self._owners[run.id] = run.owner
        return run

    def end(self, run_id: str) -> None:
        """Say that nobody works on it here any more."""
        self._owners.pop(run_id, None)

    def note_no_turn(self, lane: Lane) -> None:
        """Say that a run was given back, for there was no turn to be had in this lane."""
        if not self._turns.has_room(lane):
            self._not_before = time.monotonic() + _AGAIN_S
