"""The files of a container: what was put into it, and what its programs wrote."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress

from sqlalchemy import func, select, update
from sqlalchemy.orm import aliased

from backend.errors import NotFound
from backend.store.database import Database, Order, owned_by
from backend.store.file_records import FilePage, StoredFile
from backend.store.files import FileStore
from backend.store.paging import Part, read_page
from backend.store.tables import FileRow
from backend.types import ArtifactRef

INPUT_PURPOSE = "user_data"
"""The purpose of what was put into a container."""


class ContainerFiles:
    """Files of all owners' containers, which are known by their sessions."""

    def __init__(self, database: Database, files: FileStore) -> None:
        self._database = database
        self._files = files

    async def list(
        self,
        session_id: str,
        *,
        owner: str,
        after: str | None = None,
        limit: int = 100,
        order: Order = "desc",
    ) -> FilePage:
        """The files in a container, those that follow ``after``; of a name the newest.

        Raises:
            NotFound: there is no file ``after`` in it.
        """
        other = aliased(FileRow)
        newest = (
            select(func.max(other.position))
            .where(
                other.owner == FileRow.owner,
                other.session_id == FileRow.session_id,
                other.filename == FileRow.filename,
            )
            .scalar_subquery()
        )
        inside = (owned_by(FileRow, owner), FileRow.session_id == session_id)
        query = select(FileRow.id).where(*inside, FileRow.position == newest)
        part = Part(after=after, limit=limit, order=order, unknown=unknown_container_file)
        async with self._database.transaction() as session:
            rows, has_more = await read_page(session, query, FileRow, part, *inside)
        found = await self._get_many([file_id for (file_id,) in rows], owner)
        return FilePage(files=[*found], has_more=has_more)

    async def get(self, file_id: str, session_id: str, *, owner: str) -> StoredFile:
        """One file of a container.

        Raises:
            NotFound: there is none of that id in it.
        """
        query = select(FileRow.id).where(
            owned_by(FileRow, owner), FileRow.id == file_id, FileRow.session_id == session_id
        )
        async with self._database.transaction() as session:
            known = await session.scalar(query)
        if known is None:
            raise unknown_container_file(file_id)
        return await self._files.get(file_id, owner=owner)

    async def inputs(self, session_id: str, *, owner: str) -> Sequence[str]:
        """The ids of what was put into it, oldest first."""
        query = (
            select(FileRow.id)
            .where(
                owned_by(FileRow, owner),
                FileRow.session_id == session_id,
                FileRow.purpose == INPUT_PURPOSE,
            )
            .order_by(FileRow.position)
        )
        async with self._database.transaction() as session:
            return list((await session.scalars(query)).all())

    async def copy(
        self, files: Iterable[StoredFile], session_id: str, *, owner: str
    ) -> Sequence[StoredFile]:
        """Put files into a container; one that is in it under that name already is not put twice."""
        wanted = list(files)
        if not wanted:
            return []
        inside = select(FileRow.filename, FileRow.sha256, FileRow.id).where(
            owned_by(FileRow, owner),
            FileRow.session_id == session_id,
            FileRow.filename.in_([file.filename for file in wanted]),
            FileRow.purpose == INPUT_PURPOSE,
        )
        async with self._database.transaction() as session:
            known = {(name, sha): id for name, sha, id in (await session.execute(inside)).all()}
        copies: list[StoredFile] = []
        for file in wanted:
            there = known.get((file.filename, file.sha256))
            if there is None:
                same = ArtifactRef(
                    name=file.filename,
                    media_type=file.media_type,
                    size=file.size,
                    sha256=file.sha256,
                )
                there = (await self._files.add_artifact(same, owner=owner)).id
                await self.adopt([there], session_id, owner=owner, purpose=INPUT_PURPOSE)
            copies.append(await self._files.get(there, owner=owner))
        return copies

    async def delete_all(self, session_id: str, *, owner: str) -> None:
        """Forget all files of a container, and their bytes."""
        query = select(FileRow.id).where(owned_by(FileRow, owner), FileRow.session_id == session_id)
        async with self._database.transaction() as session:
            ids = list((await session.scalars(query)).all())
        for each in ids:
            with suppress(NotFound):  # somebody else was faster
                await self._files.delete(each, owner=owner)

    async def adopt(
        self,
        file_ids: Collection[str],
        session_id: str,
        *,
        owner: str,
        purpose: str | None = None,
    ) -> None:
        """Make files that lie outside of every container files of this one."""
        if not file_ids:
            return
        values = {"session_id": session_id} | ({"purpose": purpose} if purpose else {})
        async with self._database.transaction() as session:
            await session.execute(
                update(FileRow)
                .where(
                    owned_by(FileRow, owner),
                    FileRow.id.in_(file_ids),
                    FileRow.session_id.is_(None),
                )
                .values(**values)
            )

    async def _get_many(self, ids: Sequence[str], owner: str) -> Sequence[StoredFile]:
        return [await self._files.get(each, owner=owner) for each in ids]


def unknown_container_file(file_id: str, param: str = "file_id") -> NotFound:
    """There is none in this container."""
    return NotFound(
        f"There is no file {file_id[:80]!r} in this container.",
        "GET /v1/containers/{id}/files lists those there are.",
        param=param,
    )
