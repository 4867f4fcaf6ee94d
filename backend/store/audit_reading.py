"""Reading the audit trail, also while others write: what began, what became of it, who asked.

A line that a killed process left unfinished is skipped; one that another process wrote behind it is
read. A program without an end on record is still running, or nobody knows what became of it. Keys that
were made or revoked stand among the programs, when it happened.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from backend.store.audit import FIRST, days_of
from backend.store.processes import presence_of

Ending = Literal[
    "success",
    "failed",
    "stopped",
    "refused",
    "cancelled",
    "error",
    "running",
    "unknown",
    "created",
    "revoked",
    "forgotten",
]
"""What became of a program; the last three: of a key."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One program, or one change of a key."""

    began: Mapping[str, Any]
    """As it is on record: ``at``, ``owner``, ``code``, ..."""
    ended: Mapping[str, Any] | None
    outcome: Ending

    @property
    def is_about_a_key(self) -> bool:
        """Whether it is no program."""
        return self.began.get("record") == "key"

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, the end's among the beginning's."""
        if self.is_about_a_key:
            return {key: value for key, value in self.began.items() if key != "record"}
        end = {} if self.ended is None else dict(self.ended)
        end["ended_at"] = end.pop("at", None)
        document = {**self.began, **end, "outcome": self.outcome}
        return {key: value for key, value in document.items() if key != "record"}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which entries are looked for; None and '' stand for any."""

    since: datetime | None = None
    until: datetime | None = None
    """Up to and without this moment."""
    owner: str = ""
    run: str = ""
    """A run's id, or how it begins."""
    session: str = ""
    outcome: str = ""
    only_keys: bool = False
    """Changes of keys, and no programs."""

    def _fits(self, began: Mapping[str, Any]) -> bool:
        at = datetime.fromisoformat(began["at"])
        owners = {began.get("owner"), began.get("key", {}).get("owner")}
        return not (
            (self.since and at < self.since)
            or (self.until and at >= self.until)
            or (self.owner and self.owner not in owners)
            or (self.run and not str(began.get("run_id", "")).startswith(self.run))
            or (self.only_keys and began.get("record") != "key")
            or (self.session and began.get("session_id") != self.session)
        )

    def takes(self, entry: Entry) -> bool:
        """Whether it is one of them."""
        with suppress(KeyError, TypeError, ValueError):  # of another version's making
            return self._fits(entry.began) and self.outcome in ("", entry.outcome)
        return False


def read_trail(folder: Path, wanted: Wanted, *, limit: int) -> list[Entry]:
    """The newest entries that are looked for, the oldest of them first.

    Args:
        folder: where the trail lies; it need not be there.
        wanted: which.
        limit: how many at the most.
    """
    found: list[Entry] = []
    ends: dict[str, Mapping[str, Any]] = {}
    for day, path in reversed(days_of(folder)):
        if wanted.since and day < wanted.since.astimezone(UTC).date():
            break
        began, own_ends = _read(path)
        entries = [_entry(each, own_ends.get(each["id"]) or ends.get(each["id"])) for each in began]
        found = [*filter(wanted.takes, entries), *found]
        if len(found) >= limit:
            break
        ends = own_ends  # a program that began before midnight ends on the day after
    return found[-limit:]


def _read(path: Path) -> tuple[list[dict[str, Any]], dict[str, Mapping[str, Any]]]:
    began: list[dict[str, Any]] = []
    ends: dict[str, Mapping[str, Any]] = {}
    for record in _records(path):
        if record.get("record") == "ended":
            ends[str(record.get("id"))] = record
        elif record.get("id"):
            began.append(record)
    return began, ends


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with suppress(FileNotFoundError), path.open("rb") as lines:
        for line in lines:
            # What stands before the last beginning was never finished.
            start = line.rfind(FIRST)
            if start < 0:
                continue
            with suppress(ValueError):
                record = json.loads(line[start:])
                if isinstance(record, dict):
                    yield record


def _entry(began: Mapping[str, Any], ended: Mapping[str, Any] | None) -> Entry:
    if began.get("record") == "key":
        return Entry(began=began, ended=None, outcome=began.get("change", "unknown"))
    if began.get("record") == "refused":
        return Entry(began=began, ended=None, outcome="refused")
    if ended is None:
        lives = presence_of(str(began.get("process", ""))) == "alive"
        return Entry(began=began, ended=None, outcome="running" if lives else "unknown")
    return Entry(began=began, ended=ended, outcome=ended.get("outcome", "unknown"))
