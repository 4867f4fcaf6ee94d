"""Containers of the Responses API: sessions under another name, with the files in them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select, update

from backend.errors import NotFound
from backend.store.database import Database, Order, owned_by
from backend.store.paging import Part, read_page
from backend.store.tables import ContainerRow

DEFAULT_EXPIRY_MIN = 20
"""Minutes without use after which a container is ``expired``, as OpenAI's are."""


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container as its owner sees it."""

    id: str
    name: str
    session_id: str
    memory_limit: str | None
    """As it was asked for, ``1g`` ...; None: what the settings say."""
    expires_after_min: int
    """Minutes after its last use."""
    created_at: float
    last_active_at: float
    """Unix time in seconds."""

    @property
    def is_expired(self) -> bool:
        """It has not been used for longer than it was to live; its files are still there."""
        return time.time() > self.last_active_at + self.expires_after_min * 60


@dataclass(frozen=True, kw_only=True)
class ContainerPage:
    """Some containers of a longer list."""

    containers: list[Container]
    has_more: bool


class ContainerStore:
    """Containers of all owners; each method sees one owner's only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        *,
        owner: str,
        name: str,
        session_id: str,
        memory_limit: str | None = None,
        expires_after_min: int = DEFAULT_EXPIRY_MIN,
    ) -> Container:
        """A container for a session."""
        now = time.time()
        details = {"memory_limit": memory_limit, "expires_after_min": expires_after_min}
        row = ContainerRow(
            id=f"cntr_{secrets.token_hex(16)}",
            owner=owner,
            created_at=now,
            name=name,
            session_id=session_id,
            details=details,
            last_active_at=now,
        )
        async with self._database.transaction() as session:
            session.add(row)
        return _container(row)

    async def get(self, container_id: str, *, owner: str, param: str = "container_id") -> Container:
        """One container; ``param`` is where the caller named it.

        Raises:
            NotFound: the owner has no such container.
        """
        async with self._database.transaction() as session:
            row = await session.scalar(select(ContainerRow).where(*_is(container_id, owner)))
        if row is None:
            raise unknown_container(container_id, param)
        return _container(row)

    async def of_session(self, session_id: str, *, owner: str) -> Container | None:
        """The container that a session goes by; None where it has been none yet."""
        query = (
            select(ContainerRow)
            .where(owned_by(ContainerRow, owner), ContainerRow.session_id == session_id)
            .order_by(ContainerRow.position)
            .limit(1)
        )
        async with self._database.transaction() as session:
            row = await session.scalar(query)
        return None if row is None else _container(row)

    async def touch(self, container_id: str, *, owner: str) -> None:
        """Say that it is used now."""
        async with self._database.transaction() as session:
            await session.execute(
                update(ContainerRow)
                .where(*_is(container_id, owner))
                .values(last_active_at=time.time())
            )

    async def list(
        self,
        *,
        owner: str,
        after: str | None = None,
        limit: int = 20,
        order: Order = "desc",
        name: str | None = None,
    ) -> ContainerPage:
        """The owner's containers by the time they were made, those that follow ``after``.

        Raises:
            NotFound: the owner has no container ``after``.
        """
        mine = owned_by(ContainerRow, owner)
        query = select(ContainerRow).where(mine)
        if name is not None:
            query = query.where(ContainerRow.name == name)
        part = Part(after=after, limit=limit, order=order, unknown=unknown_container)
        async with self._database.transaction() as session:
            rows, has_more = await read_page(session, query, ContainerRow, part, mine)
        return ContainerPage(containers=[_container(row) for (row,) in rows], has_more=has_more)

    async def forget_session(self, session_id: str, *, owner: str) -> None:
        """Forget the containers of a session that is deleted."""
        async with self._database.transaction() as session:
            await session.execute(
                delete(ContainerRow).where(
                    owned_by(ContainerRow, owner), ContainerRow.session_id == session_id
                )
            )


def unknown_container(container_id: str, param: str = "container_id") -> NotFound:
    """There is none, or it is another owner's."""
    return NotFound(
        f"There is no container {container_id[:80]!r}.",
        "GET /v1/containers lists those there are.",
        param=param,
    )


def _is(container_id: str, owner: str) -> tuple[Any, ...]:
    return owned_by(ContainerRow, owner), ContainerRow.id == container_id


def _container(row: ContainerRow) -> Container:
    details: Mapping[str, Any] = row.details
    return Container(
        id=row.id,
        name=row.name,
        session_id=row.session_id,
        memory_limit=details.get("memory_limit"),
        expires_after_min=int(details.get("expires_after_min", DEFAULT_EXPIRY_MIN)),
        created_at=row.created_at,
        last_active_at=row.last_active_at,
    )
