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
from dataclasses import dataclass, replace

from . import spaces, trees

_MOST_ENTRIES = 20_000
_MOST_FOLDERS_DEEP = 64


@dataclass(frozen=True)
class Entry:
    """A file, folder or link as it was."""

    mode: int
    signature: tuple[int, int, int, int]
    """Inode, size, and the times of the last change of content and of anything."""
    content: str
    """The name of the copy, or what a link names; else empty."""
    is_input: bool = False
    """It is not the session's own."""


Files = Mapping[str, Entry]
"""Path below the folder -> what is there."""


class TooMuch(Exception):
    """More files, deeper folders or more bytes than can be copied."""

    def __init__(self, files: Files) -> None:
        super().__init__()
        self.files = files
        """What was seen of them, without copies."""


def signature(found: os.stat_result) -> tuple[int, int, int, int]:
    """What changes whenever a file does."""
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class _NoEnd(Exception):
    """There is more than can be gone through."""


class Shelf:
    """A folder of copies, and the folder that they are of."""

    def __init__(self, folder: str, shelf: int, most_bytes: int) -> None:
        self._folder = folder
        found = os.lstat(folder)
        self._device, self._mode = found.st_dev, stat.S_IMODE(found.st_mode)
        self._shelf = f"/proc/self/fd/{shelf}"
        self._most_bytes = most_bytes
        self._next = 0

    def copy(self, known: Files) -> Files:
        """Copy what is there and not among ``known``.

        Raises:
            TooMuch: there is more than can be copied; nothing was.
        """
        files: dict[str, Entry] = {}
        size = 0
        try:
            for path, found in self._walk("", 0):
                size += found.st_size if stat.S_ISREG(found.st_mode) else 0
                if len(files) >= _MOST_ENTRIES or size > self._most_bytes:
                    raise _NoEnd
                files[path] = self._entry(path, found, known.get(path))
        except (OSError, _NoEnd):
            self.forget(files, known)
            raise TooMuch(
                {path: replace(entry, content="") for path, entry in files.items()}
            ) from None
        return files

    def forget(self, files: Files, *still_needed: Files) -> None:
        """Remove the copies of ``files`` that no other set of files has."""
        needed = {entry.content for kept in still_needed for entry in kept.values()}
        for entry in files.values():
            if _has_copy(entry) and entry.content not in needed:
                with suppress(FileNotFoundError):
                    os.unlink(f"{self._shelf}/{entry.content}")

    def put_back(self, files: Files) -> Files:
        """Make the folder what it was, as far as ``files`` were copied whole.

        Returns:
            The files as they are now.

        Raises:
            OSError: something stands against it.
        """
        os.chmod(self._folder, self._mode)
        self._clear("", files)
        for path, entry in sorted(files.items()):
            if not os.path.lexists(f"{self._folder}/{path}"):
                self._restore(path, entry)
        for path, entry in sorted(files.items(), reverse=True):
            if stat.S_ISDIR(entry.mode):
                os.chmod(f"{self._folder}/{path}", stat.S_IMODE(entry.mode))
        return {
            path: replace(files[path], signature=signature(found))
            for path, found in self._walk("", 0)
            if path in files
        }

    def _clear(self, prefix: str, files: Files) -> None:
        """Remove what was not there, or not as it is: no deeper than what was."""
        for name, found in self._found(prefix):
            path = f"{prefix}{name}"
            whole = f"{self._folder}/{path}"
            known = files.get(path)
            if self._is_input(found) and not (known and known.is_input):
                spaces.unbind(whole)
                found = os.lstat(whole)
            if known is None or not (known.is_input or _is_same(known, found)):
                trees.remove(whole, self._folder)
            elif stat.S_ISDIR(found.st_mode):
                self._clear(f"{path}/", files)

    def _walk(self, prefix: str, depth: int) -> Iterator[tuple[str, os.stat_result]]:
        """Everything below a folder, folders first; of inputs that are there themselves."""
        if depth > _MOST_FOLDERS_DEEP:
            raise _NoEnd
        for name, found in self._found(prefix):
            yield f"{prefix}{name}", found
            if stat.S_ISDIR(found.st_mode):
                yield from self._walk(f"{prefix}{name}/", depth + 1)

    def _found(self, prefix: str) -> list[tuple[str, os.stat_result]]:
        folder = f"{self._folder}/{prefix}"
        return [(name, os.lstat(f"{folder}{name}")) for name in sorted(os.listdir(folder))]

    def _is_input(self, found: os.stat_result) -> bool:
        return found.st_dev != self._device

    def _entry(self, path: str, found: os.stat_result, known: Entry | None) -> Entry:
        mode = found.st_mode
        if self._is_input(found):
            return Entry(mode, signature(found), "", is_input=True)
        if stat.S_ISLNK(mode):
            return Entry(mode, signature(found), os.readlink(f"{self._folder}/{path}"))
        if not stat.S_ISREG(mode):
            return Entry(mode, signature(found), "")
        if known is not None and known.content and _is_same(known, found):
            return known
        content = str(self._next)
        self._next += 1
        try:
            _copy(f"{self._folder}/{path}", f"{self._shelf}/{content}")
        except OSError:
            with suppress(FileNotFoundError):
                os.unlink(f"{self._shelf}/{content}")
            raise
        return Entry(mode, signature(found), content)

    def _restore(self, path: str, entry: Entry) -> None:
        whole = f"{self._folder}/{path}"
        if stat.S_ISDIR(entry.mode):
            os.mkdir(whole)
        elif stat.S_ISLNK(entry.mode):
            os.symlink(entry.content, whole)
        elif _has_copy(entry):
            _copy(f"{self._shelf}/{entry.content}", whole)
            os.chmod(whole, stat.S_IMODE(entry.mode))
            _, _, modified, _ = entry.signature
            os.utime(whole, ns=(modified, modified))
        # Pipes and sockets have no state worth keeping.


def _has_copy(entry: Entry) -> bool:
    return stat.S_ISREG(entry.mode) and bool(entry.content)


def _is_same(entry: Entry, found: os.stat_result) -> bool:
    """It has not changed; of a folder, that it is still one."""
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
