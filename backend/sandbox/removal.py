"""Removes folders that programs have filled."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def remove_tree(folder: Path) -> None:
    """Remove a folder that a program may have filled: as deep as it likes, closed to everyone.

    Every folder below it is moved up before it is entered, so that no path grows long and no link
    is followed. What cannot be removed stays.
    """
    with suppress(OSError):
        folder.chmod(0o700)
        top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _empty(top)
        finally:
            os.close(top)
        folder.rmdir()


def _empty(top: int) -> None:
    numbers = itertools.count()
    waiting = _take_out(top, top, numbers)
    while waiting:
        name = waiting.pop()
        with suppress(OSError):
            fd = os.open(
                name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top
            )
            try:
                waiting += _take_out(fd, top, numbers)
            finally:
                os.close(fd)
            os.rmdir(name, dir_fd=top)


def _take_out(folder: int, top: int, numbers: Iterator[int]) -> list[str]:
    """Remove the files of a folder, and move its folders up. Returns their new names."""
    moved = []
    for name in os.listdir(folder):
        with suppress(OSError):
            if not stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
                os.unlink(name, dir_fd=folder)
                continue
            os.chmod(name, 0o700, dir_fd=folder)  # before it can be moved or entered
            while _is_there(new := f".removed-{next(numbers)}", top):
                continue
            os.rename(name, new, src_dir_fd=folder, dst_dir_fd=top)
            moved.append(new)
    return moved


def _is_there(name: str, folder: int) -> bool:
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True
