"""Files by id: what was uploaded and what programs wrote."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, delete, select

from backend.store.blobs import BlobStore, Incoming
from backend.store.change_lock import BREATH_S, ChangeLock
from backend.store.database import Database, Order, new_id, owned_by
from backend.store.file_names import output_name, safe_name
from backend.store.file_records import (
    OUTPUT_PURPOSE,
    FilePage,
    StoredFile,
    stored_file,
    unknown_file,
)
from backend.store.ownership import of_any_owner
from backend.store.paging import Part, read_page
from backend.store.room import Room, is_there
from backend.store.run_contents import used_contents
from backend.store.tables import FileRow
from backend.store.unfinished import Unfinished, read_unfinished
from backend.types import ArtifactRef

_AT_A_TIME = 500
"""Rows that are forgotten in one transaction, and contents while nobody can add any."""


class FileStore:
    """Files of all owners; each method sees one owner's only."""

    def __init__(self, database: Database, blobs: BlobStore, *, most_bytes: int = 0) -> None:
        """Say where they are; an owner's may have ``most_bytes`` together, 0 means any number."""
        self._database = database
        self._blobs = blobs
        self._room = Room(database=database, most_bytes=most_bytes)
        self._changing = ChangeLock(blobs.folder / "lock")

    @asynccontextmanager
    async def receive(self, *, max_bytes: int) -> AsyncIterator[Incoming]:
        """A place for an upload's bytes; nothing of it stays unless ``keep`` is called."""
        async with self._blobs.receive(max_bytes=max_bytes) as incoming:
            yield incoming

    async def keep(
        self,
        incoming: Incoming,
        *,
        owner: str,
        filename: str,
        purpose: str,
        media_type: str,
        session_id: str | None = None,
        expires_at: float | None = None,
    ) -> StoredFile:
        """Make a file of what was received; from ``expires_at`` (Unix time) on nobody finds it.

        Raises:
            TooLarge: the owner may not keep so much; nothing of it stays.
        """
        sizes = {await incoming.finish(): incoming.size}
        await self._room.require(sizes, owner=owner, param="file")
        async with self._changing.adding():
            sha256 = await self._blobs.keep(incoming)
            return await self._insert(
                owner=owner,
                filename=filename,
                purpose=purpose,
                media_type=media_type,
                size=incoming.size,
                sha256=sha256,
                session_id=session_id,
                expires_at=expires_at,
            )

    async def add(
        self,
        content: bytes,
        *,
        owner: str,
        filename: str,
        purpose: str,
        media_type: str,
        session_id: str | None = None,
    ) -> StoredFile:
        """Make a file of bytes; the same ones under the same name in a conversation are one file.

        Chat clients send a conversation's files again with every turn; they must not pile up.

        Raises:
            TooLarge: the owner may not keep so much (see ``require_room``, for several).
        """
        await self.require_room([content], owner=owner)
        async with self._changing.adding():
            sha256 = await self._blobs.put(content)
            known = await self._find(
                FileRow.filename == safe_name(filename),
                FileRow.sha256 == sha256,
                FileRow.purpose == purpose,
                FileRow.session_id == session_id,
                owner=owner,
            )
            if known is not None:
                return known
            return await self._insert(
                owner=owner,
                filename=filename,
                purpose=purpose,
                media_type=media_type,
                size=len(content),
                sha256=sha256,
                session_id=session_id,
            )

    async def add_artifact(
        self, artifact: ArtifactRef, *, owner: str, session_id: str | None = None
    ) -> StoredFile:
        """Make a file of what a program wrote; its bytes lie in the blob store already.

        Raises:
            NotFound: they do not.
        """
        async with self._changing.adding():
            await asyncio.to_thread(self._blobs.path, artifact["sha256"])
            return await self._insert(
                owner=owner,
                filename=output_name(artifact["name"]),
                purpose=OUTPUT_PURPOSE,
                media_type=artifact["media_type"],
                size=artifact["size"],
                sha256=artifact["sha256"],
                session_id=session_id,
            )

    async def get(self, file_id: str, *, owner: str, param: str = "file_id") -> StoredFile:
        """One file; ``param`` is where the caller named it.

        Raises:
            NotFound: the owner has no such file.
        """
        async with self._database.transaction() as session:
            row = await session.scalar(
                select(FileRow).where(owned_by(FileRow, owner), FileRow.id == file_id, is_there())
            )
        if row is None:
            raise unknown_file(file_id, param)
        return stored_file(row)

    async def require_room(
        self, contents: Sequence[bytes], *, owner: str, param: str = "file"
    ) -> None:
        """Refuse files, before any of them is kept, that would be more than an owner may keep.

        Args:
            contents: their bytes; none: where there is no room for anything, that is said.
            owner: whose they would be.
            param: the field of the request that brings them.

        Raises:
            TooLarge: they would be.
        """
        size = sum(map(len, contents)) if contents else 1
        if await self._room.has(size, owner=owner):
            return
        if not contents:
            raise self._room.refusal(param)
        sizes = await asyncio.to_thread(_sizes, contents)
        await self._room.require(sizes, owner=owner, param=param)

    async def list(
        self,
        *,
        owner: str,
        after: str | None = None,
        limit: int = 10_000,
        order: Order = "desc",
        purpose: str | None = None,
    ) -> FilePage:
        """The owner's files by time of arrival, the ones that follow ``after``.

        Raises:
            NotFound: the owner has no file ``after``.
        """
        query = select(FileRow).where(owned_by(FileRow, owner), is_there())
        if purpose is not None:
            query = query.where(FileRow.purpose == purpose)
        mine = owned_by(FileRow, owner)
        part = Part(after=after, limit=limit, order=order, unknown=unknown_file)
        async with self._database.transaction() as session:
            rows, has_more = await read_page(session, query, FileRow, part, mine)
        return FilePage(files=[stored_file(row) for (row,) in rows], has_more=has_more)

    async def delete(self, file_id: str, *, owner: str) -> None:
        """Forget a file, and its bytes unless another file has the same ones.

        Raises:
            NotFound: the owner has no such file.
        """
        async with self._database.transaction() as session:
            sha256 = await session.scalar(
                delete(FileRow)
                .where(owned_by(FileRow, owner), FileRow.id == file_id, is_there())
                .returning(FileRow.sha256)
            )
        if sha256 is None:
            raise unknown_file(file_id)
        await self.forget_bytes([sha256], of_files=True)

    async def forget_expired(self) -> int:
        """Forget the files of all owners that nobody finds any more; how many there were."""
        over = select(FileRow.position).where(FileRow.expires_at <= time.time()).limit(_AT_A_TIME)
        forget = delete(FileRow).where(FileRow.position.in_(over)).returning(FileRow.sha256)
        count = 0
        while True:
            async with self._database.transaction() as session:
                reason = "what has expired is over for everybody"
                digests = (await session.scalars(of_any_owner(forget, reason))).all()
            await self.forget_bytes({*digests}, of_files=True)
            count += len(digests)
            if len(digests) < _AT_A_TIME:
                return count

    async def forget_bytes(self, digests: Iterable[str], *, of_files: bool = False) -> None:
        """Remove bytes that nothing refers to, but for those that a file or a run has by now.

        Those that a request under way may have written as well are left to ``sweep``.

        Args:
            digests: of which bytes.
            of_files: the files themselves were to go, also where a run tells of them.
        """
        left = [*digests]
        for begin in range(0, len(left), _AT_A_TIME):
            some = left[begin : begin + _AT_A_TIME]
            async with self._removing(begin):
                unfinished, shared = await self._database.work(
                    partial(_look, some, by_runs=not of_files)
                )
                unused = [each for each in some if each not in shared]
                await self._blobs.discard(unused, keeps=unfinished.covers)

    async def sweep(self, *, before: float, used: Callable[[set[str]], Awaitable[set[str]]]) -> int:
        """Remove bytes that nothing refers to, and what was left unfinished; how much it was.

        What a request under way may have written stays.

        Args:
            before: Unix time; nothing younger is touched: its record may not be written yet.
            used: given digests, which of them are referred to.
        """
        # Looked at before the records: what ends meanwhile is then in one of the two.
        unfinished = await self._database.work(read_unfinished)
        count = await self._blobs.discard_unfinished(before)
        old = {*await self._blobs.older_than(before)}
        unused = sorted(old - await used(old))
        for begin in range(0, len(unused), _AT_A_TIME):
            async with self._removing(begin):
                count += await self._blobs.discard(
                    unused[begin : begin + _AT_A_TIME],
                    keeps=lambda written_at: written_at >= before or unfinished.covers(written_at),
                )
        return count

    @asynccontextmanager
    async def _removing(self, done: int) -> AsyncIterator[None]:
        """Some are removed, and nobody adds meanwhile; ``done``: how many were before them.

        A backup that is being begun counts on every file to stay in its place.
        """
        if done:
            await asyncio.sleep(BREATH_S)
        async with self._changing.removing():
            yield

    def path(self, file: StoredFile) -> Path:
        """Where a file's bytes lie. Reads the disk.

        Raises:
            NotFound: they are gone.
        """
        return self._blobs.path(file.sha256)

    async def _find(self, *which: ColumnElement[bool], owner: str) -> StoredFile | None:
        query = select(FileRow).where(owned_by(FileRow, owner), is_there(), *which).limit(1)
        async with self._database.transaction() as session:
            row = await session.scalar(query)
        return None if row is None else stored_file(row)

    async def _insert(
        self,
        *,
        owner: str,
        filename: str,
        purpose: str,
        media_type: str,
        size: int,
        sha256: str,
        session_id: str | None = None,
        expires_at: float | None = None,
    ) -> StoredFile:
        row = FileRow(
            id=new_id("file"),
            owner=owner,
            created_at=time.time(),
            filename=safe_name(filename),
            purpose=purpose,
            media_type=media_type,
            size=size,
            sha256=sha256,
            session_id=session_id,
            expires_at=expires_at,
        )
        async with self._database.transaction() as session:
            session.add(row)
        return stored_file(row)


def _look(
    digests: Sequence[str], connection: Connection, *, by_runs: bool
) -> tuple[Unfinished, set[str]]:
    """What is under way, and which of these somebody has."""
    unfinished = read_unfinished(connection)
    return unfinished, used_contents(connection, digests, by_runs=by_runs)


def _sizes(contents: Iterable[bytes]) -> dict[str, int]:
    return {hashlib.sha256(content).hexdigest(): len(content) for content in contents}
