"""Answers of the Responses API, kept to be read again and to be gone on from."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CursorResult, and_, delete, literal, select, update

from backend.errors import NotFound
from backend.store.database import Database, owned_by
from backend.store.tables import ResponseRow

MOST_TURNS = 100
"""Responses of a chain that are gone back to."""


@dataclass(frozen=True, kw_only=True)
class StoredResponse:
    """A response as its owner sees it."""

    id: str
    session_id: str | None
    """The conversation that it is a part of; None where it ran no program and keeps no words."""
    previous: str | None
    """The id of the response that it follows."""
    input: list[Any]
    """The items that came with the request, each with an id."""
    body: dict[str, Any]
    """As it went out."""
    created_at: float
    """Unix time in seconds."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """What a later response has to know of one that it follows."""

    input: list[Any]
    output: list[Any]
    artifacts: list[dict[str, Any]]
    printed: str
    """What its last program printed."""


def new_response_id() -> str:
    """An id that cannot be guessed; clients know responses by its beginning."""
    return f"resp_{secrets.token_hex(16)}"


class ResponseStore:
    """Responses of all owners; each method sees one owner's only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self,
        body: Mapping[str, Any],
        *,
        owner: str,
        session_id: str | None,
        previous: str | None,
        input: Sequence[Any],
    ) -> None:
        """Keep a response; ``body`` has its id and time."""
        row = ResponseRow(
            id=body["id"],
            owner=owner,
            created_at=float(body["created_at"]),
            session_id=session_id,
            previous=previous,
            input=list(input),
            body=dict(body),
        )
        async with self._database.transaction() as session:
            session.add(row)

    async def replace(self, body: Mapping[str, Any], *, owner: str) -> bool:
        """Put another state of a response into the place of the last one; False: it was deleted."""
        change = (
            update(ResponseRow)
            .where(owned_by(ResponseRow, owner), ResponseRow.id == body["id"])
            .values(body=dict(body))
        )
        async with self._database.transaction() as session:
            changed = await session.execute(change)
        assert isinstance(changed, CursorResult)
        return changed.rowcount > 0

    async def get(
        self, response_id: str, *, owner: str, param: str = "response_id"
    ) -> StoredResponse:
        """One response; ``param`` is where the caller named it.

        Raises:
            NotFound: the owner has no such response.
        """
        async with self._database.transaction() as session:
            row = await session.scalar(
                select(ResponseRow).where(
                    owned_by(ResponseRow, owner), ResponseRow.id == response_id
                )
            )
        if row is None:
            raise unknown_response(response_id, param)
        return StoredResponse(
            id=row.id,
            session_id=row.session_id,
            previous=row.previous,
            input=row.input,
            body=row.body,
            created_at=row.created_at,
        )

    async def chain(self, response_id: str, *, owner: str) -> list[Link]:
        """A response and those it follows, oldest first; it ends where one was deleted."""
        first = select(ResponseRow.id, ResponseRow.previous, literal(1).label("depth")).where(
            owned_by(ResponseRow, owner), ResponseRow.id == response_id
        )
        links = first.cte("links", recursive=True)
        links = links.union_all(
            select(ResponseRow.id, ResponseRow.previous, links.c.depth + 1).where(
                owned_by(ResponseRow, owner),
                and_(ResponseRow.id == links.c.previous, links.c.depth < MOST_TURNS),
            )
        )
        body = ResponseRow.body
        query = (
            select(
                ResponseRow.input,
                body["output"],
                body["x_agent_metadata"]["artifacts"],
                body["x_agent_metadata"]["output"],
            )
            .join(links, links.c.id == ResponseRow.id)
            .where(owned_by(ResponseRow, owner))
            .order_by(links.c.depth.desc())
        )
        async with self._database.transaction() as session:
            rows = (await session.execute(query)).all()
        return [
            Link(
                input=given,
                output=output or [],
                artifacts=artifacts or [],
                printed=str(printed or ""),
            )
            for given, output, artifacts, printed in rows
        ]

    async def delete(self, response_id: str, *, owner: str) -> None:
        """Forget a response; those that follow it stay.

        Raises:
            NotFound: the owner has no such response.
        """
        async with self._database.transaction() as session:
            gone = await session.scalar(
                delete(ResponseRow)
                .where(owned_by(ResponseRow, owner), ResponseRow.id == response_id)
                .returning(ResponseRow.id)
            )
        if gone is None:
            raise unknown_response(response_id)


def unknown_response(response_id: str, param: str = "response_id") -> NotFound:
    """There is none, or it is another owner's, or it was not stored."""
    return NotFound(
        f"There is no response {response_id[:80]!r}.",
        "Only those made with store=true (the default) are kept, until they are deleted.",
        param=param,
    )
