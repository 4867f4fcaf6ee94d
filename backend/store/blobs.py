"""Bytes kept once, by content: what everything else refers to by its SHA-256."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import tempfile
from pathlib import Path

from backend.errors import NotFound
from backend.types import Artifact, ArtifactRef

_DIGEST = re.compile(r"[0-9a-f]{64}")


class BlobStore:
    """A folder of files named by the SHA-256 of what they hold."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

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
        """Keep bytes; the same bytes are kept once. Returns their digest."""
        return await asyncio.to_thread(self._put, content)

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

    async def delete(self, sha256: str) -> None:
        """Forget bytes; no error when they are not there."""
        if _DIGEST.fullmatch(sha256):
            await asyncio.to_thread(self._place(sha256).unlink, True)

    def _place(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256

    def _put(self, content: bytes) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        place = self._place(sha256)
        if place.exists():
            return sha256
        place.parent.mkdir(parents=True, exist_ok=True)
        # Written beside and moved over, so that a crash never leaves half a file under a digest.
        with tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as unfinished:
            try:
                unfinished.write(content)
                unfinished.close()
                os.replace(unfinished.name, place)
            except BaseException:
                Path(unfinished.name).unlink(missing_ok=True)
                raise
        return sha256
