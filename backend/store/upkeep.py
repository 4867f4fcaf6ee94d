"""What a store needs now and then: what is over goes, with the bytes that nothing refers to."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Text, cast, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.store.blobs import BlobStore
from backend.store.container_expiry import forget_containers
from backend.store.database import Database
from backend.store.files import FileStore
from backend.store.ownership import of_any_owner
from backend.store.run_records import OVER, Forgotten, digests_of
from backend.store.run_rows import used_elsewhere
from backend.store.stray_files import forget_strays
from backend.store.tables import FileRow, RunEventRow, RunRow

ORPHAN_S = 3600.0
"""How old bytes are to which no file and no run refers, before they go: theirs may be under way."""
_AT_A_TIME = 200
"""Runs that are forgotten, or looked through, in one transaction."""
_EVERYBODY = "what is over goes, whosesoever it is"
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Upkeep:
    """Done for all owners. Any number of processes may, at any time."""

    database: Database
    files: FileStore
    blobs: BlobStore

    async def forget_runs(self, *, older_than: float) -> Forgotten:
        """Forget runs that ended before a time, in Unix seconds, and their events.

        Those that were saved stay, and those that are not over yet. The bytes of files that only
        they refer to are removed.
        """
        ids: list[str] = []
        digests: set[str] = set()
        while True:
            async with self.database.transaction() as session:
                gone = await _forget_some(session, older_than)
            ids += gone
            digests |= set().union(*(digests_of(result) for result in gone.values()))
            if len(gone) < _AT_A_TIME:
                break
        async with self.database.transaction() as session:
            unused = digests - await used_elsewhere(session, digests)
        await self.files.forget_bytes(unused)
        return Forgotten(count=len(ids), unused=frozenset(unused), interrupted=tuple(ids))

    async def forget_files(self) -> int:
        """Forget files that have expired, and those of questions that came to nothing a day ago."""
        expired = await self.files.forget_expired()
        return expired + await forget_strays(self.database, self.files)

    async def forget_containers(self) -> int:
        """Forget containers that expired a day ago, with their files; returns how many it were."""
        count, unused = await forget_containers(self.database)
        await self.files.forget_bytes(unused)
        return count

    async def sweep(self) -> int:
        """Remove bytes to which neither a file nor a run refers; returns how many files it were.

        They are left by requests that were cancelled and by processes that were killed. What a
        run that can still go on may have written stays.
        """
        return await self.files.sweep(before=time.time() - ORPHAN_S, used=self._used)

    async def runs_that_are_over(self, run_ids: Sequence[str]) -> set[str]:
        """Which of these runs are over, or not there any more."""
        going_on: set[str] = set()
        for begin in range(0, len(run_ids), _AT_A_TIME):
            some = RunRow.id.in_(run_ids[begin : begin + _AT_A_TIME])
            query = select(RunRow.id).where(some, RunRow.status.not_in(OVER))
            async with self.database.transaction() as session:
                going_on |= {*(await session.scalars(of_any_owner(query, _EVERYBODY))).all()}
        return {*run_ids} - going_on

    async def _used(self, digests: set[str]) -> set[str]:
        """Which of these a file or a run of anybody's refers to."""
        if not digests:
            return set()
        query = of_any_owner(select(FileRow.sha256).distinct(), _EVERYBODY)
        used = await self.database.work(lambda connection: {*connection.scalars(query)}) & digests
        position = 0
        while used != digests:
            # Some at a time: nobody waits for long, and nothing large is held.
            position, found = await self.database.work(_reader(position))
            used |= found & digests
            if not position:
                break
        return used


async def _forget_some(
    session: AsyncSession, older_than: float
) -> dict[str, Mapping[str, Any] | None]:
    """The ids and results of some runs that were forgotten."""
    ended = func.coalesce(RunRow.finished_at, RunRow.updated_at)
    over = select(RunRow.position).where(
        RunRow.status.in_((*OVER, "interrupted")), RunRow.name.is_(None), ended < older_than
    )
    forget = delete(RunRow).where(RunRow.position.in_(over.limit(_AT_A_TIME)))
    told = of_any_owner(forget.returning(RunRow.id, RunRow.result), _EVERYBODY)
    gone = {row[0]: row[1] for row in await session.execute(told)}
    events = delete(RunEventRow).where(RunEventRow.run_id.in_([*gone]))
    await session.execute(of_any_owner(events, _EVERYBODY))
    return gone


def _reader(position: int) -> Callable[[Connection], tuple[int, set[str]]]:
    def read(connection: Connection) -> tuple[int, set[str]]:
        columns = (cast(RunRow.result, Text), cast(RunRow.spec, Text))
        query = select(RunRow.position, *columns).where(RunRow.position > position)
        some = of_any_owner(query.order_by(RunRow.position).limit(_AT_A_TIME), _EVERYBODY)
        rows = connection.execute(some).all()
        found = {each for row in rows for words in row[1:] for each in _DIGEST.findall(words or "")}
        return (rows[-1][0] if rows else 0), found

    return read
