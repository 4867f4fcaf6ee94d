"""All keys, held in memory: every request asks for its own.

They are looked at again when they may have changed: at once after a change on this machine, which
leaves a mark in the data folder, and within ``FRESH_S`` after one elsewhere.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from backend.store.database import Database
from backend.store.key_records import Key, key_of, of_all
from backend.store.tables import KeyRow

FRESH_S = 1.0
"""Seconds for which keys count as known without a look into the database."""
_MARK = "keys-changed"


@dataclass(frozen=True, kw_only=True)
class _Known:
    """All keys, as they were at a time."""

    keys: Mapping[str, tuple[Key, str]]
    """Each with the digest of its secret, by its id."""
    version: tuple[Any, ...]
    changes: int
    """Size of the mark that was seen before they were read."""
    read_at: float
    """``time.monotonic``."""


class KnownKeys:
    """What is known of a database's keys."""

    def __init__(self, database: Database, data_dir: Path) -> None:
        self._database = database
        self._mark = data_dir / _MARK
        self._known: _Known | None = None
        self._reading: asyncio.Task[_Known] | None = None

    async def fresh(self) -> Mapping[str, tuple[Key, str]]:
        """All keys as they are now, or were ``FRESH_S`` ago: by id, each with its secret's digest.

        Raises:
            StoreUnavailable: the database has to be asked, and cannot be.
        """
        known = self._known
        if known is not None and self._is_fresh(known):
            return known.keys
        while True:
            # All who wait wait for one reading, and all hear of it when it fails.
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._read(self._known))
                self._reading.add_done_callback(_heard)
            known = await asyncio.shield(self._reading)
            if known.changes == self._changes():  # else it began before the last change
                return known.keys

    def _is_fresh(self, known: _Known) -> bool:
        return known.changes == self._changes() and time.monotonic() - known.read_at < FRESH_S

    async def _read(self, before: _Known | None) -> _Known:
        # Both before the rows are read: what changes meanwhile is noticed the next time.
        changes, read_at = self._changes(), time.monotonic()
        state = select(
            func.count(), func.count(KeyRow.revoked_at), func.max(KeyRow.created_at)
        ).select_from(KeyRow)
        async with self._database.transaction() as session:
            version = tuple((await session.execute(of_all(state))).one())
            if before is not None and (before.version, before.changes) == (version, changes):
                keys = before.keys
            else:
                rows = (await session.scalars(of_all(select(KeyRow)))).all()
                keys = {row.id: (key_of(row), row.digest) for row in rows}
        self._known = _Known(keys=keys, version=version, changes=changes, read_at=read_at)
        return self._known

    def _changes(self) -> int:
        """How often keys were changed on this machine: the mark grows by a byte each time.

        Sizes only grow, where times of two changes can be the same.
        """
        try:
            return os.stat(self._mark).st_size
        except FileNotFoundError:
            return 0

    def tell(self) -> None:
        """Say to all processes of this machine that keys have changed. Writes to the disk."""
        self._mark.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._mark, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, b".")
        finally:
            os.close(handle)

    async def aclose(self) -> None:
        """End what is still being read."""
        if self._reading is not None:
            await asyncio.wait([self._reading])


def _heard(reading: asyncio.Task[_Known]) -> None:
    """A reading that failed has been told to whoever waited, if anybody still did."""
    if not reading.cancelled():
        reading.exception()
