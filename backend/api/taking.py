"""Which queued run a server takes next: owners in turn, one of a session, none without a turn."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection

from backend.api.turns import Lane, Turns
from backend.store.queued_runs import QueuedRuns
from backend.store.run_records import Run

_AGAIN_S = 2.0
"""Seconds to leave alone what had no turn."""


class Taking:
    """What one server's worker has taken, and takes next."""

    def __init__(self, queued: QueuedRuns, turns: Turns) -> None:
        self._queued = queued
        self._turns = turns
        self._most = max(2, turns.places() // 2)  # the other half is for who waits
        self._taken: dict[str, Run] = {}
        self._served: dict[str, float] = {}
        self._not_before = 0.0
        self._not_of: dict[tuple[str, str], float] = {}
        """Sessions in which somebody else works -> when to look whether that is over."""

    async def take(self, but: Collection[str]) -> Run | None:
        """Take a run, or None where there is none to be taken now; ``but`` none of these."""
        is_full = len(self._taken) >= self._most
        if is_full or self._turns.is_closed or time.monotonic() < self._not_before:
            return None
        run = await self._queued.take(
            busy=Counter(run.owner for run in self._taken.values()),
            last=self._served,
            most=self._most,
            but=but,
            but_of=self._sessions_at_work(),
        )
        if run is not None:
            self._served[run.owner] = time.monotonic()
            self._taken[run.id] = run
        return run

    def end(self, run_id: str) -> None:
        """Say that nobody works on it here any more."""
        self._taken.pop(run_id, None)

    def note_no_turn(self, run: Run, lane: Lane) -> None:
        """Say that a run was given back, for there was no turn to be had."""
        again_at = time.monotonic() + _AGAIN_S
        session = _session_of(run)
        if session is not None and self._turns.has_room(lane):
            self._not_of[session] = again_at
        else:
            self._not_before = again_at

    def _sessions_at_work(self) -> set[tuple[str, str]]:
        """Those whose next run would only wait, in a place that another session's could have."""
        now = time.monotonic()
        self._not_of = {session: until for session, until in self._not_of.items() if until > now}
        taken = (_session_of(run) for run in self._taken.values())
        return {session for session in taken if session} | self._not_of.keys()


def _session_of(run: Run) -> tuple[str, str] | None:
    """Owner and session in which a run is worked on; None for one without."""
    return None if run.session_id is None else (run.owner, run.session_id)
