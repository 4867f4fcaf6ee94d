"""Lists in pages: what follows a row that is named, by the time the rows arrived."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


async def read_page(
    session: AsyncSession,
    query: Select[*Columns],
    table: type[ContainerRow | FileRow | RunRow | SessionRow],
    *mine: ColumnElement[bool],
    after: str | None,
    limit: int,
    order: Order,
    unknown: Callable[[str, str], NotFound],
) -> tuple[Sequence[Row[*Columns]], bool]:
    """Some of the rows a query finds, and whether there are more of them.

    Args:
        session: the transaction.
        query: what is wanted of the rows of the table.
        table: what is listed.
        mine: where the row ``after`` is looked for; the owner is among it.
        after: the id of the row in front of the page, whether or not the query finds it.
        limit: how many rows at the most.
        order: oldest or newest first.
        unknown: the error for the id and the name of a field.

    Raises:
        NotFound: as ``unknown`` has it, where there is no row ``after``.
    """
    place: int | None = None
    if after is not None:
        place = await session.scalar(select(table.position).where(*mine, table.id == after))
        if place is None:
            raise unknown(after, "after")
    rows = (await session.execute(page(query, table, after=place, order=order, limit=limit))).all()
    return rows[:limit], len(rows) > limit
