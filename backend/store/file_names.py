"""Names of files: safe to keep, and where files lie beside a program."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from backend.errors import RequestError
from backend.store.file_records import StoredFile

_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"|?*\u200e\u200f\u202a-\u202e\u2066-\u2069]')
"""Control characters, what some systems cannot write, and marks that turn text around."""
_MAX_NAME_BYTES = 200
"""Of 255 that a file system takes: room for what is put before or behind it."""


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


def output_name(name: str) -> str:
    """The same for what a program wrote, whatever it called it: a backslash divides nothing there."""
    try:
        return safe_name(name.replace("\\", "_"))
    except RequestError:  # a program may call a file "-"; that is nobody's mistake
        return "output"


def working_names(files: Sequence[StoredFile]) -> dict[str, StoredFile]:
    """Names in a program's working directory; one file twice counts once.

    Of two different files with one name the second lies in a folder of its own, ``file_2/name``.
    """
    placed: dict[str, StoredFile] = {}
    folders: set[str] = set()
    later: dict[str, int] = {}  # a number that was no use to one of a name is none to the next
    for file in {file.id: file for file in files}.values():
        name = file.filename
        number = later.get(name, 1)
        while name in placed or name in folders or name.rpartition("/")[0] in placed:
            number += 1
            name = f"file_{number}/{file.filename}"
        later[file.filename] = number
        folders.add(name.rpartition("/")[0])
        placed[name] = file
    return placed
