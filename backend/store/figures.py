"""How much there is of everything, of all owners together: numbers for whoever runs the house."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select

from backend.store.database import Database
from backend.store.ownership import of_any_owner
from backend.store.tables import FileRow, RunRow

_WHY = "an operator's figures; nobody's rows are shown"


@dataclass(frozen=True, kw_only=True)
class StoreFigures:
    """What the store holds."""

    runs: Mapping[str, int]
    """Status -> how many."""
    files: int
    file_bytes: int
    """As their owners see them: what two of them share counts twice."""


async def store_figures(database: Database) -> StoreFigures:
    """Count.

    Raises:
        StoreUnavailable: the database does not take it.
    """
    by_status = of_any_owner(select(RunRow.status, func.count()).group_by(RunRow.status), _WHY)
    sizes = of_any_owner(select(func.count(), func.coalesce(func.sum(FileRow.size), 0)), _WHY)
    async with database.transaction() as session:
        runs = {row[0]: row[1] for row in await session.execute(by_status)}
        count, size = (await session.execute(sizes)).one()
    return StoreFigures(runs=runs, files=count, file_bytes=int(size))
