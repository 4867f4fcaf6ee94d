"""Hands out what a program left in its working directory: regular files, within caps.

By now nothing of the program runs any more, so nothing changes under our hands; what it left may
still be a trap. No link is followed, nothing but a regular file is opened, and every name goes
through a directory descriptor, one component at a time.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from . import wire
from .kept import signature


def may_be_there(folder: str) -> bool:
    """Whether there is anything in the folder but single files that were bound in."""
    try:
        device = os.stat(folder).st_dev
        with os.scandir(folder) as entries:
            return any(os.lstat(entry.path).st_dev == device for entry in entries)
    except OSError:
        return True


class Collector:
    """One walk over the working directory."""

    def __init__(
        self,
        control: int,
        limits: Mapping[str, Any],
        seconds: float,
        seen: Mapping[str, object] | None = None,
    ) -> None:
        self._seen = seen or {}
        """Path -> signature of files that were handed out, as they were then."""
        self._control = control
        self._limits = limits
        self._until = time.monotonic() + seconds
        self._device = 0
        self._files = 0
        self._bytes = 0
        self._entries = 0
        self._left_out: dict[str, int] = {}

    def send_all(self, folder: str) -> None:
        """Send every file below ``folder``, then a sentence for each reason something was not."""
        root = _open_root(folder)
        if root is None:
            self._skip("the working directory, which cannot be read")
        else:
            self._device = os.fstat(root).st_dev
            self._walk(root, "", 0)
        for reason, count in self._left_out.items():
            text = reason if count == 0 else f"{reason} ({count})"
            wire.send(self._control, wire.NOTE, text.encode())

    def _walk(self, folder: int, prefix: str, depth: int) -> None:
        """Go through one folder; closes the descriptor it was given."""
        try:
            for name in self._names(folder):
                if time.monotonic() > self._until:
                    self._left_out["what there was no time left to read"] = 0
                    return
                self._visit(folder, name, prefix, depth)
        finally:
            os.close(folder)

    def _names(self, folder: int) -> list[str]:
        names: list[str] = []
        with os.scandir(folder) as entries:
            for entry in entries:
                self._entries += 1
                if self._entries > self._limits["artifact_entries"]:
                    most = self._limits["artifact_entries"]
                    self._left_out[f"all but the first {most} names that were found"] = 0
                    break
                names.append(entry.name)
        return sorted(names)

    def _skip(self, reason: str) -> None:
        self._left_out[reason] = self._left_out.get(reason, 0) + 1

    def _visit(self, folder: int, name: str, prefix: str, depth: int) -> None:
        try:
            found = os.lstat(name, dir_fd=folder)
        except OSError:
            return self._skip("unreadable entries")
        if found.st_dev != self._device:
            return None  # an input: bound in from another file system
        if stat.S_ISDIR(found.st_mode):
            return self._enter(folder, name, prefix, depth)
        if not stat.S_ISREG(found.st_mode):
            return self._skip("links, pipes and sockets, which are no regular files")
        return self._send(folder, name, prefix)

    def _enter(self, folder: int, name: str, prefix: str, depth: int) -> None:
        if depth >= self._limits["artifact_depth"]:
            return self._skip(f"folders deeper than {self._limits['artifact_depth']}")
        below = _open(name, folder, os.O_RDONLY | os.O_DIRECTORY)
        if below is None:
            return self._skip("folders that cannot be read")
        return self._walk(below, f"{prefix}{name}/", depth + 1)

    def _send(self, folder: int, name: str, prefix: str) -> None:
        fd = _open(name, folder, os.O_RDONLY | os.O_NONBLOCK)
        if fd is None:
            return self._skip("files that cannot be read")
        try:
            found = os.fstat(fd)
            size = found.st_size
            if self._seen.get(f"{prefix}{name}") == signature(found) or not self._fits(size):
                return None
            self._files += 1
            self._bytes += size
            head = f"{size} {prefix}{name}".encode("utf-8", "surrogateescape")
            wire.send(self._control, wire.ARTIFACT, head)
            return _copy(fd, self._control, size)
        finally:
            os.close(fd)

    def _fits(self, size: int) -> bool:
        limits = self._limits
        mib = 1 << 20
        if size > limits["artifact_file_bytes"]:
            self._skip(f"files larger than {limits['artifact_file_bytes'] // mib} MB")
        elif self._files >= limits["artifact_files"]:
            self._skip(f"files after the first {limits['artifact_files']}")
        elif self._bytes + size > limits["artifact_total_bytes"]:
            self._skip(f"files beyond {limits['artifact_total_bytes'] // mib} MB in all")
        else:
            return True
        return False


def _open_root(folder: str) -> int | None:
    """The working directory, which a program that owns it may have closed to everyone."""
    with suppress(OSError):
        os.chmod(folder, 0o700)
    try:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None


def _open(name: str, folder: int, flags: int) -> int | None:
    try:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except PermissionError:
        # Modes are the program's to set, and so are the files: set them right.
        return _after(lambda: os.chmod(name, 0o700, dir_fd=folder), name, folder, flags)
    except OSError:
        return None


def _after(repair: Callable[[], None], name: str, folder: int, flags: int) -> int | None:
    try:
        repair()
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return None


def _copy(fd: int, control: int, size: int) -> None:
    """Send exactly ``size`` bytes; zeros stand in for bytes that cannot be read."""
    while size:
        chunk = os.read(fd, min(size, wire.CHUNK)) or bytes(min(size, wire.CHUNK))
        wire.send_bytes(control, chunk)
        size -= len(chunk)
