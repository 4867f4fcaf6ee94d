from __future__ import annotations

import hashlib
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.errors import NotFound, StoreUnavailable, TooLarge
from backend.store.blobs import BlobStore
from backend.types import Artifact


def kept(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_same_bytes_are_kept_once(blobs: BlobStore, tmp_path: Path) -> None:
    first = await blobs.put(b"abc")
    assert await blobs.put(b"abc") == first == hashlib.sha256(b"abc").hexdigest()
    assert len(kept(tmp_path)) == 1
    assert await blobs.get(first) == b"abc"


async def test_pieces_become_one_blob(blobs: BlobStore, tmp_path: Path) -> None:
    content = bytes(range(256)) * 20_000
    async with blobs.receive() as incoming:
        for start in range(0, len(content), 70_001):
            await incoming.write(content[start : start + 70_001])
        sha256 = await blobs.keep(incoming)
    assert sha256 == hashlib.sha256(content).hexdigest()
    assert await blobs.get(sha256) == content
    assert kept(tmp_path) == [blobs.path(sha256)]


async def test_the_first_byte_too_many_ends_it_and_nothing_stays(
    blobs: BlobStore, tmp_path: Path
) -> None:
    async with blobs.receive(max_bytes=10) as incoming:
        await incoming.write(b"0123456789")
        with pytest.raises(TooLarge, match="PYTHON_CODE_MAX_FILE_SIZE"):
            await incoming.write(b"x")
    assert kept(tmp_path) == []


@pytest.fixture
def no_room() -> Iterator[None]:
    """Files cannot grow, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [2000, 3_000_000], ids=["at its end", "while it comes"])
async def test_an_upload_for_which_there_is_no_room_says_so(
    blobs: BlobStore, tmp_path: Path, no_room: None, size: int
) -> None:
    with pytest.raises(StoreUnavailable, match="PYTHON_CODER_DATA_DIR"):
        async with blobs.receive() as incoming:
            await incoming.write(bytes(size))
            await blobs.keep(incoming)
    assert kept(tmp_path) == []


async def test_an_artifact_becomes_a_reference(blobs: BlobStore) -> None:
    ref = await blobs.put_artifact(
        Artifact(name="a/b.png", media_type="image/png", size=3, content=b"png")
    )
    assert ref["name"] == "a/b.png"
    assert await blobs.get(ref["sha256"]) == b"png"


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "0" * 63, "A" * 64, "0" * 64], ids=repr)
async def test_what_is_not_kept_is_not_found(blobs: BlobStore, digest: str) -> None:
    with pytest.raises(NotFound):
        await blobs.get(digest)
    assert await blobs.discard([digest], keeps=lambda _: False) == 0
