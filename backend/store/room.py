"""How much an owner keeps, and whether more of it may come."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, or_, select

from backend.errors import TooLarge
from backend.store.database import Database, owned_by
from backend.store.tables import FileRow


def is_there() -> ColumnElement[bool]:
    """The condition for a file whose time is not over."""
    return or_(FileRow.expires_at.is_(None), FileRow.expires_at > time.time())


@dataclass(frozen=True, kw_only=True)
class Room:
    """A bound on the bytes of each owner.

    The same bytes count once, however many files have them: clients send a conversation's files
    again with every turn. What programs write counts and is never refused. Requests that come at
    the same moment can go beyond the bound by what they bring.
    """

    database: Database
    most_bytes: int
    """0: no bound."""

    async def used_bytes(self, *, owner: str) -> int:
        """What all of an owner's files have together."""
        contents = (
            select(func.max(FileRow.size).label("size"))
            .where(owned_by(FileRow, owner), is_there())
            .group_by(FileRow.sha256)
            .subquery()
        )
        async with self.database.transaction() as session:
            return int(await session.scalar(select(func.sum(contents.c.size))) or 0)

    async def has(self, size: int, *, owner: str) -> bool:
        """Whether there is room for so many bytes, all of them new."""
        if not self.most_bytes:
            return True
        return await self.used_bytes(owner=owner) + size <= self.most_bytes

    async def require(self, sizes: Mapping[str, int], *, owner: str, param: str) -> None:
        """Refuse what would be more than an owner may keep.

        Args:
            sizes: SHA-256 of what is to be kept -> bytes.
            owner: whose it would be.
            param: the field of the request that brings it.

        Raises:
            TooLarge: it would be.
        """
        if await self.has(sum(sizes.values()), owner=owner):
            return
        there = select(FileRow.sha256).where(
            owned_by(FileRow, owner), is_there(), FileRow.sha256.in_([*sizes])
        )
        async with self.database.transaction() as session:
            known = {*(await session.scalars(there)).all()}
        added = sum(size for sha256, size in sizes.items() if sha256 not in known)
        if added and not await self.has(added, owner=owner):
            raise self.refusal(param)

    def refusal(self, param: str) -> TooLarge:
        """What is said where there is no room."""
        return TooLarge(
            f"Your files would have more than the {self.most_bytes // 2**20} MiB that you may "
            "keep.",
            "Delete some: GET /v1/files lists them; or ask for more, PYTHON_CODER_MAX_STORAGE.",
            param=param,
        )
