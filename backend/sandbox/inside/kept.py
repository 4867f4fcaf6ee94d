"""Copies of a session's files, so that they can be put back as they were.

Only what has changed since the last copy is copied. Nothing of the session runs meanwhile, but what
it left may still be a trap: no link is followed, and whoever has made more than can be copied is
told that there is no way back.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

_MOST_ENTRIES = 20_000
_MOST_FOLDERS_DEEP = 64
_SPECIAL = "special"


class TooMuch(Exception):
    """More files, deeper folders or more bytes than can be copied."""


@dataclass(frozen=True)
class Entry:
    """A file, folder or link as it was."""

    mode: int
    signature: tuple[int, int, int, int]
    """Inode, size, and the times of the last change of content and of anything."""
    content: str
    """The name of the copy, or what a link names; empty for folders."""


Files = Mapping[str, Entry]
"""Path below the folder -> what is there."""


def signature(found: os.stat_result) -> tuple[int, int, int, int]:
    """What changes whenever a file does."""
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class Shelf:
    """A folder of copies, and the folder that they are of."""

    def __init__(self, folder: str, shelf: int, most_bytes: int) -> None:
        self._folder = folder
        self._shelf = f"/proc/self/fd/{shelf}"
        self._most_bytes = most_bytes
        self._next = 0

    def copy(self, known: Files) -> Files:
        """Copy what is there and not among ``known``.

        Raises:
            TooMuch: there is more than can be copied.
        """
        files: dict[str, Entry] = {}
        size = 0
        for path, found in self._walk("", 0):
            size += found.st_size if stat.S_ISREG(found.st_mode) else 0
            if len(files) >= _MOST_ENTRIES or size > self._most_bytes:
                raise TooMuch
            files[path] = self._entry(path, found, known.get(path))
        return files

    def forget(self, files: Files, *still_needed: Files) -> None:
        """Remove the copies of ``files`` that no other set of files has."""
        needed = {entry.content for kept in still_needed for entry in kept.values()}
        for entry in files.values():
            if stat.S_ISREG(entry.mode) and entry.content not in needed:
                with suppress(FileNotFoundError):
                    os.unlink(f"{self._shelf}/{entry.content}")

    def put_back(self, files: Files) -> Files:
        """Make the folder what it was. Returns the files as they are now."""
        now = dict(self._walk("", 0))
        for path in sorted(now, reverse=True):
            known = files.get(path)
            if known is None or not _is_same(known, now[path]):
                self._remove(path, now[path])
        for path, entry in sorted(files.items()):
            if not os.path.lexists(f"{self._folder}/{path}"):
                self._restore(path, entry)
        return {
            path: Entry(files[path].mode, signature(found), files[path].content)
            for path, found in self._walk("", 0)
            if path in files
        }

    def _walk(self, prefix: str, depth: int) -> Iterator[tuple[str, os.stat_result]]:
        """Everything below a folder that is not from another file system, folders first."""
        if depth > _MOST_FOLDERS_DEEP:
            raise TooMuch
        folder = f"{self._folder}/{prefix}"
        device = os.lstat(self._folder).st_dev
        with suppress(PermissionError):
            os.chmod(folder, stat.S_IMODE(os.lstat(folder).st_mode) | 0o700)
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
        for name in names:
            found = os.lstat(f"{folder}{name}")
            if found.st_dev != device:
                continue  # an input
            yield f"{prefix}{name}", found
            if stat.S_ISDIR(found.st_mode):
                yield from self._walk(f"{prefix}{name}/", depth + 1)

    def _entry(self, path: str, found: os.stat_result, known: Entry | None) -> Entry:
        if known is not None and _is_same(known, found):
            return known
        if stat.S_ISLNK(found.st_mode):
            return Entry(found.st_mode, signature(found), os.readlink(f"{self._folder}/{path}"))
        if not stat.S_ISREG(found.st_mode):
            return Entry(found.st_mode, signature(found), "")
        content = str(self._next)
        self._next += 1
        _copy(f"{self._folder}/{path}", f"{self._shelf}/{content}")
        return Entry(found.st_mode, signature(found), content)

    def _remove(self, path: str, found: os.stat_result) -> None:
        whole = f"{self._folder}/{path}"
        with suppress(OSError):
            if stat.S_ISDIR(found.st_mode):
                shutil.rmtree(whole, ignore_errors=True)
            else:
                os.unlink(whole)

    def _restore(self, path: str, entry: Entry) -> None:
        whole = f"{self._folder}/{path}"
        with suppress(OSError):
            if stat.S_ISDIR(entry.mode):
                os.mkdir(whole)
            elif stat.S_ISLNK(entry.mode):
                os.symlink(entry.content, whole)
                return
            elif stat.S_ISREG(entry.mode):
                _copy(f"{self._shelf}/{entry.content}", whole)
            else:
                return  # pipes and sockets have no state worth keeping
            os.chmod(whole, stat.S_IMODE(entry.mode))


def _is_same(entry: Entry, found: os.stat_result) -> bool:
    if stat.S_ISDIR(entry.mode):
        return stat.S_ISDIR(found.st_mode)
    return entry.signature == signature(found)


def _copy(source: str, target: str) -> None:
    try:
        fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except PermissionError:
        os.chmod(source, 0o600)  # modes are the program's to set, and so are the files
        fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(fd, "rb") as reading, open(target, "xb") as writing:
        shutil.copyfileobj(reading, writing, 1 << 20)
