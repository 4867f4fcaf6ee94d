"""Removing what a program has left, however deep its folders and however long its names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from . import spaces


def remove(path: str, top: str) -> None:
    """Remove a file, a link, or a folder with all that it holds; inputs bound in it are unbound.

    Nothing else may use it meanwhile.

    Args:
        path: what to remove.
        top: a folder of the same file system, of which a few names are used in passing.

    Raises:
        OSError: it cannot be removed.
    """
    device = os.lstat(top).st_dev
    free = _free_names(top)
    folders = [path] if stat.S_ISDIR(os.lstat(path).st_mode) else []
    if not folders:
        os.unlink(path)
    while folders:
        folder = folders.pop()
        for name in os.listdir(folder):
            inner = f"{folder}/{name}"
            while os.lstat(inner).st_dev != device:
                spaces.unbind(inner)
            if stat.S_ISDIR(os.lstat(inner).st_mode):
                # One level at a time: a path through all of them may be too long to be said.
                folders.append(next(free))
                os.rename(inner, folders[-1])
            else:
                os.unlink(inner)
        os.rmdir(folder)


def _free_names(folder: str) -> Iterator[str]:
    number = 0
    while True:
        name = f"{folder}/removed-{number}"
        number += 1
        if not os.path.lexists(name):
            yield name
