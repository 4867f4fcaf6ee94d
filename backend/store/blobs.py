"""Bytes kept once, by content: what everything else refers to by its SHA-256."""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO

from backend.config.settings import Settings
from backend.errors import NotFound, StoreUnavailable, TooLarge
from backend.store.endings import to_its_end
from backend.types import Artifact, ArtifactRef

_DIGEST = re.compile(r"[0-9a-f]{64}")
_BUFFER = 1024 * 1024
"""Bytes gathered before they go to disk: one hop to a thread for each MiB, not for each chunk."""


class Incoming:
    """Bytes on their way in: hashed while they are written, kept only when told so."""

    def __init__(self, unfinished: IO[bytes], *, max_bytes: int | None) -> None:
        self._unfinished = unfinished
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()
        self._buffer = bytearray()
        self.size = 0
        """Bytes received so far."""

    @property
    def path(self) -> Path:
        """Where the unfinished file lies."""
        return Path(self._unfinished.name)

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            TooLarge: more came than is allowed; at the first byte too many, not at the end.
            StoreUnavailable: there is no room for them.
        """
        self.size += len(chunk)
        if self._max_bytes is not None and self.size > self._max_bytes:
            raise TooLarge(
                f"The file has more than the {self._max_bytes / 1048576:g} MiB that are allowed.",
                "Send a smaller one, or raise PYTHON_CODE_MAX_FILE_SIZE.",
                param="file",
            )
        self._buffer += chunk
        if len(self._buffer) >= _BUFFER:
            with writing(self.path.parent):
                await asyncio.to_thread(self._flush)

    async def finish(self) -> str:
        """Write what is left, close the file and return the digest of all of it; again, only that."""
        if self._unfinished.closed:
            return self._hash.hexdigest()
        with writing(self.path.parent):
            await asyncio.to_thread(self._flush)
            await asyncio.to_thread(self._unfinished.close)
        return self._hash.hexdigest()

    def _flush(self) -> None:
        self._hash.update(self._buffer)
        self._unfinished.write(self._buffer)
        self._buffer.clear()


class BlobStore:
    """A folder of files named by the SHA-256 of what they hold."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of(cls, settings: Settings) -> BlobStore:
        """Those of the data folder."""
        return cls(settings.data_dir / "blobs")

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return self._folder

    def path(self, sha256: str) -> Path:
        """Where the bytes of a digest lie.

        Raises:
            NotFound: nothing is kept under it, or it is not a digest.
        """
        place = self._place(sha256) if _DIGEST.fullmatch(sha256) else None
        if place is None or not place.is_file():
            raise NotFound(f"No content is kept under {sha256!r}.", "Upload it again.")
        return place

    async def put(self, content: bytes) -> str:
        """Keep bytes; the same bytes are kept once. Returns their digest.

        Raises:
            StoreUnavailable: there is no room for them.
        """
        with writing(self._folder):
            return await asyncio.to_thread(self._put, content)

    @asynccontextmanager
    async def receive(self, *, max_bytes: int | None = None) -> AsyncIterator[Incoming]:
        """A place for bytes that arrive in pieces; gone on leaving unless ``keep`` took it."""
        with writing(self._folder):
            unfinished = await asyncio.to_thread(self._open_unfinished)
        try:
            yield Incoming(unfinished, max_bytes=max_bytes)
        finally:
            _discard(unfinished)  # not awaited: it must happen when we are being cancelled, too

    async def keep(self, incoming: Incoming) -> str:
        """Keep what was received; the same bytes are kept once. Returns their digest."""
        sha256 = await incoming.finish()
        with writing(self._folder):
            await asyncio.to_thread(self._move_in, incoming.path, sha256)
        return sha256

    async def put_artifact(self, artifact: Artifact) -> ArtifactRef:
        """Keep an artifact's bytes and return the reference that may enter a graph's state."""
        return {
            "name": artifact.name,
            "media_type": artifact.media_type,
            "size": artifact.size,
            "sha256": await self.put(artifact.content),
        }

    async def get(self, sha256: str) -> bytes:
        """The bytes of a digest.

        Raises:
            NotFound: nothing is kept under it.
        """
        return await asyncio.to_thread(lambda: self.path(sha256).read_bytes())

    async def older_than(self, before: float) -> list[str]:
        """The digests of what was written before a time, in Unix seconds."""
        return await asyncio.to_thread(self._older_than, before)

    async def discard_unfinished(self, before: float) -> int:
        """Remove what began to arrive before a time and never did; returns how much it was."""
        return await asyncio.to_thread(self._discard_unfinished, before)

    async def discard(self, digests: Sequence[str], *, keeps: Callable[[float], bool]) -> int:
        """Remove bytes, those that are there; returns of how many.

        For a moment they are not in their place: nobody may add files or take a backup meanwhile.

        Args:
            digests: what is to go.
            keeps: given the Unix time at which bytes were written, or wanted again, whether they
                stay all the same.
        """
        # Whoever is cancelled has the others locked out until it is over.
        return await to_its_end(partial(asyncio.to_thread, self._discard, digests, keeps))

    def _older_than(self, before: float) -> list[str]:
        places = self._folder.glob("??/" + "?" * 64)
        return [place.name for place in places if _time_of(place) < before]

    def _discard_unfinished(self, before: float) -> int:
        left = [each for each in self._folder.glob("incoming/*") if _time_of(each) < before]
        for each in left:
            each.unlink(missing_ok=True)
        return len(left)

    def _discard(self, digests: Sequence[str], keeps: Callable[[float], bool]) -> int:
        return sum(self._discard_one(each, keeps) for each in digests if _DIGEST.fullmatch(each))

    def _discard_one(self, sha256: str, keeps: Callable[[float], bool]) -> bool:
        place, aside = self._place(sha256), self._folder / "incoming" / f"{sha256}.unused"
        aside.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Looked at once nobody finds it any more: until then it may be wanted again.
            os.rename(place, aside)
        except FileNotFoundError:
            return False
        if keeps(_time_of(aside)):
            os.rename(aside, place)
            return False
        aside.unlink(missing_ok=True)
        return True

    def _place(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256

    def _open_unfinished(self) -> IO[bytes]:
        folder = self._folder / "incoming"
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.NamedTemporaryFile(dir=folder, delete=False)

    def _move_in(self, unfinished: Path, sha256: str) -> None:
        # Written beside and moved over, so that a crash never leaves half a file under a digest.
        place = self._place(sha256)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(unfinished, place)

    def _put(self, content: bytes) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        place = self._place(sha256)
        with suppress(FileNotFoundError):
            # Wanted again: not to be swept away before a record says so.
            os.utime(place)
            # A file that lost its end, as to a full disk, is written anew.
            if place.stat().st_size == len(content):
                return sha256
        unfinished = self._open_unfinished()
        try:
            with unfinished:
                unfinished.write(content)
            self._move_in(Path(unfinished.name), sha256)
        except BaseException:
            Path(unfinished.name).unlink(missing_ok=True)
            raise
        return sha256


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Say of what cannot be written to a folder what to do about it.

    Raises:
        StoreUnavailable: it cannot be.
    """
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(
            f"Nothing can be written to {str(folder)!r}: {error.strerror}.",
            "Make room on its disk, or correct PYTHON_CODER_DATA_DIR.",
        ) from error


def _time_of(place: Path) -> float:
    """When it was written; what is gone is young."""
    try:
        return place.stat().st_mtime
    except FileNotFoundError:
        return math.inf


def _discard(unfinished: IO[bytes]) -> None:
    with suppress(OSError):  # for what it still holds there is no room either
        unfinished.close()
    Path(unfinished.name).unlink(missing_ok=True)
