"""Lists in pages: what follows a row that is named, by the time the rows arrived."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVarTuple

from sqlalchemy import ColumnElement, Row, Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.errors import NotFound
from backend.store.database import Order
from backend.store.tables import ContainerRow, FileRow, RunRow, SessionRow, Table

Columns = TypeVarTuple("Columns")


def page(
    query: Select[*Columns], table: type[Table], *, after: int | None, order: Order, limit: int
) -> Select[*Columns]:
    """The rows that follow a position, and one more than ``limit`` when there are more."""
    position = table.position
    if after is not None:
        query = query.where(position > after if order == "asc" else position < after)
    by = position.asc() if order == "asc" else position.desc()
    return query.order_by(by).limit(limit + 1)


@dataclass(frozen=True, kw_only=True)
class Part:
    """Which part of a list is wanted."""

    after: str | None
    """The id of the row in front of it; None for the beginning."""
    limit: int
    """Rows at the most."""
    order: Order
    unknown: Callable[[str, str], NotFound]
    """The error for an id that there is not, and the name of the field it came in."""


async def read_page(
    session: AsyncSession,
    query: Select[*Columns],
    table: type[ContainerRow | FileRow | RunRow | SessionRow],
    part: Part,
    *mine: ColumnElement[bool],
) -> tuple[Sequence[Row[*Columns]], bool]:
    """Some of the rows that a query finds, and whether there are more of them.

    Args:
        session: the transaction.
        query: what is wanted of the rows of the table.
        table: what is listed.
        part: which of them.
        mine: where the row ``after`` is looked for, its owner among it; the query need not find it.

    Raises:
        NotFound: there is no row ``after``.
    """
    place: int | None = None
    if part.after is not None:
        place = await session.scalar(select(table.position).where(*mine, table.id == part.after))
        if place is None:
            raise part.unknown(part.after, "after")
    wanted = page(query, table, after=place, order=part.order, limit=part.limit)
    rows = (await session.execute(wanted)).all()
    return rows[: part.limit], len(rows) > part.limit
