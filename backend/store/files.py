"""Files by id: what was uploaded and what programs wrote."""

from __future__ import annotations

import asyncio
import re
import time
import unicodedata
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import ColumnElement, delete, func, or_, select

from backend.errors import NotFound, RequestError
from backend.store.blobs import BlobStore, Incoming
from backend.store.change_lock import ChangeLock
from backend.store.database import Database, Order, new_id, owned_by, page
from backend.store.ownership import SHARED, of_any_owner
from backend.store.tables import FileRow
from backend.types import ArtifactRef

OUTPUT_PURPOSE = "assistants_output"
"""The purpose of what programs wrote, as in OpenAI's file object."""

_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"|?*\u200e\u200f\u202a-\u202e\u2066-\u2069]')
"""Control characters, what some systems cannot write, and marks that turn text around."""
_AT_A_TIME = 500
"""Rows that are forgotten in one transaction."""
_MAX_NAME_BYTES = 200
"""Of 255 that a file system takes: room for what is put before or behind it."""


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file as its owner sees it."""

    id: str
    filename: str
    purpose: str
    media_type: str
    size: int
    """Bytes."""
    sha256: str
    created_at: float
    """Unix time in seconds."""
    expires_at: float | None = None
    """The same; from then on nobody finds it. None: it stays until it is deleted."""
    session_id: str | None = None
    """The conversation that it came about in; None for one that was uploaded by itself."""


@dataclass(frozen=True, kw_only=True)
class FilePage:
    """Some files of a longer list."""

    files: list[StoredFile]
    has_more: bool


class FileStore:
    """Files of all owners; each method sees one owner's only."""

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self._database = database
        self._blobs = blobs
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
        """Make a file of what was received; from ``expires_at`` (Unix time) on nobody finds it."""
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
        """
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
                filename=_output_name(artifact["name"]),
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
                select(FileRow).where(owned_by(FileRow, owner), FileRow.id == file_id, _is_there())
            )
        if row is None:
            raise _unknown(file_id, param)
        return _stored(row)

    async def used_bytes(self, *, owner: str) -> int:
        """What all of an owner's files have together, each counted though bytes are kept once."""
        query = select(func.sum(FileRow.size)).where(owned_by(FileRow, owner), _is_there())
        async with self._database.transaction() as session:
            return int(await session.scalar(query) or 0)

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
        query = select(FileRow).where(owned_by(FileRow, owner), _is_there())
        if purpose is not None:
            query = query.where(FileRow.purpose == purpose)
        place: int | None = None
        async with self._database.transaction() as session:
            if after is not None:
                place = await session.scalar(
                    select(FileRow.position).where(owned_by(FileRow, owner), FileRow.id == after)
                )
                if place is None:
                    raise _unknown(after, param="after")
            query = page(query, FileRow, after=place, order=order, limit=limit)
            rows = (await session.scalars(query)).all()
        return FilePage(files=[_stored(row) for row in rows[:limit]], has_more=len(rows) > limit)

    async def delete(self, file_id: str, *, owner: str) -> None:
        """Forget a file, and its bytes unless another file has the same ones.

        Raises:
            NotFound: the owner has no such file.
        """
        async with self._database.transaction() as session:
            sha256 = await session.scalar(
                delete(FileRow)
                .where(owned_by(FileRow, owner), FileRow.id == file_id, _is_there())
                .returning(FileRow.sha256)
            )
        if sha256 is None:
            raise _unknown(file_id)
        await self.forget_bytes([sha256])

    async def forget_expired(self) -> int:
        """Forget the files of all owners that nobody finds any more; how many there were."""
        over = select(FileRow.position).where(FileRow.expires_at <= time.time()).limit(_AT_A_TIME)
        forget = delete(FileRow).where(FileRow.position.in_(over)).returning(FileRow.sha256)
        count = 0
        while True:
            async with self._database.transaction() as session:
                reason = "what has expired is over for everybody"
                digests = (await session.scalars(of_any_owner(forget, reason))).all()
            await self.forget_bytes({*digests})
            count += len(digests)
            if len(digests) < _AT_A_TIME:
                return count

    async def forget_bytes(self, digests: Iterable[str]) -> None:
        """Remove bytes that nothing refers to, but for those that a file has by now."""
        async with self._changing.removing():
            for sha256 in digests:
                same = select(FileRow.id).where(FileRow.sha256 == sha256).limit(1)
                async with self._database.transaction() as session:
                    shared = await session.scalar(of_any_owner(same, SHARED))
                if shared is None:
                    await self._blobs.delete(sha256)

    def path(self, file: StoredFile) -> Path:
        """Where a file's bytes lie. Reads the disk.

        Raises:
            NotFound: they are gone.
        """
        return self._blobs.path(file.sha256)

    async def _find(self, *which: ColumnElement[bool], owner: str) -> StoredFile | None:
        query = select(FileRow).where(owned_by(FileRow, owner), _is_there(), *which).limit(1)
        async with self._database.transaction() as session:
            row = await session.scalar(query)
        return None if row is None else _stored(row)

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
        return _stored(row)


def _is_there() -> ColumnElement[bool]:
    return or_(FileRow.expires_at.is_(None), FileRow.expires_at > time.time())


def safe_name(filename: str) -> str:
    """A name that is no path and no trap, otherwise as it came: letters of any script stay.

    Raises:
        RequestError: nothing is left of it.
    """
    last = unicodedata.normalize("NFC", filename).replace("\\", "/").rstrip("/").rpartition("/")
    name = _UNSAFE.sub("_", last[2]).strip().lstrip(".-")
    stem, dot, extension = name.rpartition(".")
    if not dot:
        stem, extension = name, ""
    room = _MAX_NAME_BYTES - len(f"{dot}{extension}".encode())
    if not stem.strip() or room < 1:
        raise RequestError(
            f"{filename[:80]!r} is not a file name.", "Give the file a name.", param="file"
        )
    return stem.encode()[:room].decode(errors="ignore") + dot + extension


def _output_name(name: str) -> str:
    try:
        return safe_name(name)
    except RequestError:  # a program may call a file "-"; that is nobody's mistake
        return "output"


def working_names(files: Sequence[StoredFile]) -> dict[str, StoredFile]:
    """Names in a program's working directory; one file twice counts once.

    Of two different files with one name the second lies in a folder of its own, ``file_2/name``.
    """
    placed: dict[str, StoredFile] = {}
    for file in {file.id: file for file in files}.values():
        names = (f"file_{number}/{file.filename}" for number in range(2, len(files) + 3))
        placed[next(name for name in (file.filename, *names) if _is_free(name, placed))] = file
    return placed


def _is_free(name: str, placed: Mapping[str, StoredFile]) -> bool:
    folder = name.rpartition("/")[0]
    below = any(other.startswith(f"{name}/") for other in placed)
    return name not in placed and folder not in placed and not below


def _unknown(file_id: str, param: str = "file_id") -> NotFound:
    return NotFound(
        f"There is no file {file_id[:80]!r}.", "GET /v1/files lists those there are.", param=param
    )


def _stored(row: FileRow) -> StoredFile:
    return StoredFile(
        id=row.id,
        filename=row.filename,
        purpose=row.purpose,
        media_type=row.media_type,
        size=row.size,
        sha256=row.sha256,
        created_at=row.created_at,
        expires_at=row.expires_at,
        session_id=row.session_id,
    )
