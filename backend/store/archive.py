"""The file of a backup: a tar of known parts in a known order, read without trusting it.

``manifest.json``, ``blobs/SHA256`` for each, ``tables/NAME.jsonl`` (a row a line), what else belongs to
a data folder, ``audit/DAY.jsonl``, and ``end.json``, without which a backup was cut off.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import orjson

from backend.errors import RequestError, StoreUnavailable

FORMAT = 2
READABLE = (1, 2)
"""Formats that can be put back; the first had no audit trail."""
FIRST, LAST = "manifest.json", "end.json"
_PARTS = re.compile(
    r"manifest\.json|end\.json|blobs/[0-9a-f]{64}|tables/[a-z_]{1,64}\.jsonl|files/[a-z_.-]{1,64}"
    r"|audit/[0-9]{4}-[0-9]{2}-[0-9]{2}\.jsonl"
)
_COMPRESSION = 5
_SMALL = 1024 * 1024


class Writer:
    """Puts parts into a backup. Open it with ``create``."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar

    def add_document(self, name: str, document: dict[str, Any]) -> None:
        """A small part that is JSON."""
        content = orjson.dumps(document)
        self._tar.addfile(_entry(name, len(content)), io.BytesIO(content))

    def add_file(self, name: str, path: Path) -> None:
        """A part that is a file."""
        with path.open("rb") as file:
            self.add_open(name, file)

    def add_open(self, name: str, file: IO[bytes]) -> None:
        """A part that is an open file, from its beginning."""
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        self._tar.addfile(_entry(name, size), file)


@contextmanager
def create(target: Path) -> Iterator[Writer]:
    """A new backup, gzipped where its name ends so; nothing stays of one that fails.

    Raises:
        RequestError: there is a file of that name already.
        StoreUnavailable: it cannot be written.
    """
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise RequestError(
            f"There is a file {str(target)!r} already.", "Name another one, or remove it."
        ) from None
    except OSError as error:
        raise _unwritten(target, error) from None
    try:
        with os.fdopen(handle, "wb") as file, _packed(file, target) as packed:
            with tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                yield Writer(tar)
            packed.flush()
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _unwritten(target, error) from error
        raise


def parts(source: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The parts of a backup in their order, each with its content.

    Raises:
        RequestError: it is not there, no backup, or cut off.
    """
    last = None
    try:
        with whole(source), tarfile.open(source, mode="r|*") as tar:
            for entry in tar:
                if not entry.isfile() or not _PARTS.fullmatch(entry.name):
                    raise _no_backup(source, f"it has a part {entry.name[:80]!r}")
                if (last is None) != (entry.name == FIRST):
                    raise _no_backup(source, "it does not begin as one")
                content = tar.extractfile(entry)
                assert content is not None
                yield entry.name, content
                last = entry.name
    except FileNotFoundError:
        raise RequestError(f"There is no file {str(source)!r}.", "Name a backup.") from None
    if last != LAST:
        raise _no_backup(source, "it ends in the middle")


@contextmanager
def whole(source: Path) -> Iterator[None]:
    """Say of a backup that ends in the middle that it does, also where a part of it is being read.

    Raises:
        RequestError: it is no backup, or cut off.
    """
    try:
        yield
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _no_backup(source, str(error) or "it ends in the middle") from None


def read_document(content: IO[bytes]) -> dict[str, Any]:
    """A small part that is JSON.

    Raises:
        RequestError: it is not.
    """
    try:
        document = orjson.loads(content.read(_SMALL))
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise RequestError("The backup is damaged: a part of it cannot be read.", "Use another.")
    return document


@contextmanager
def _packed(file: IO[bytes], target: Path) -> Iterator[IO[bytes]]:
    if target.suffix not in {".gz", ".tgz"}:
        yield file
        return
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=_COMPRESSION) as packed:
        yield packed  # type: ignore[misc]


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry


def _no_backup(source: Path, reason: str) -> RequestError:
    return RequestError(
        f"{str(source)!r} is no whole backup of python-coder: {reason}.",
        "Use another; `python-coder backup` writes them.",
    )


def _unwritten(target: Path, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(
        f"The backup {str(target)!r} cannot be written: {error.strerror or error}.",
        "Make room there, or name another place.",
    )
