"""Writing what programs made into a folder of the user's: never outside it, never over a file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from backend.cli.writing import write_new, write_over
from backend.errors import MachineError, RequestError

_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*\\\u200e\u200f\u202a-\u202e\u2066-\u2069]')
_MAX_PART_BYTES = 120
"""Of one part of a name; file systems take 255."""


class OutputFolder:
    """A folder to write into; made on opening, so that a wrong one is found before any work."""

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        """Open it.

        Raises:
            RequestError: it is no folder, or cannot be written to.
        """
        self._overwrite = overwrite
        self._written: set[Path] = set()
        try:
            path.mkdir(parents=True, exist_ok=True)
            self.path = path.resolve()
            if not os.access(self.path, os.W_OK | os.X_OK):
                raise PermissionError(13, "Permission denied")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise RequestError(
                f"Nothing can be written to the folder {str(path)!r}: {reason}.",
                "Name another one with -o.",
            ) from None

    def write(self, name: str, content: bytes) -> Path:
        """Write a file under a name made safe; where that is taken, under the next free one.

        Args:
            name: as the program gave it, with forward slashes; nothing about it is trusted.
            content: its bytes.

        Raises:
            MachineError: the disk is full or the like.
        """
        try:
            for place in self._places(safe_name(name)):
                if self._put(place, content):
                    self._written.add(place)
                    return place
        except OSError as error:
            raise MachineError(
                f"{name!r} cannot be written to {str(self.path)!r}: {error.strerror or error}.",
                "Make room there, or name another folder with -o.",
            ) from None
        raise AssertionError("unreachable: names do not run out")

    def _places(self, name: str) -> Iterator[Path]:
        place = self._inside(name)
        yield place
        for number in range(2, 1_000_000):
            yield place.with_name(f"{place.stem}_{number}{place.suffix}")

    def _inside(self, name: str) -> Path:
        place = self.path / name
        # A link that lies in the folder may lead out of it: looked at before anything is made.
        if place.parent.resolve().is_relative_to(self.path):
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                return place
            except (FileExistsError, NotADirectoryError):
                pass
        return self.path / name.replace("/", "_")

    def _put(self, place: Path, content: bytes) -> bool:
        """Put the bytes at a place; False when it is taken by something else."""
        if self._overwrite and place not in self._written and not place.is_dir():
            write_over(place, content)
            return True
        try:
            write_new(place, content)
            return True
        except FileExistsError:
            ours = place not in self._written and place.is_file() and not place.is_symlink()
            return ours and place.read_bytes() == content


def safe_name(name: str) -> str:
    """A relative name with forward slashes that stays where it is put and hides nothing.

    Leading dots become underscores: no program writes anybody's ``.bashrc``.
    """
    parts = []
    for part in name.replace("\\", "/").split("/"):
        part = _UNSAFE.sub("_", part).strip().rstrip(".")
        part = "".join(c for c in part if not 0xD800 <= ord(c) <= 0xDFFF)
        if not part.strip("."):
            continue
        part = "_" + part.lstrip(".") if part.startswith(".") else part
        part = "_" + part if part.startswith("-") else part
        parts.append(_shorten(part))
    return "/".join(parts[-8:]) or "file"


def _shorten(part: str) -> str:
    stem, dot, suffix = part.rpartition(".")
    if len(part.encode()) <= _MAX_PART_BYTES:
        return part
    ending = f".{suffix}" if dot and len(suffix.encode()) <= 12 else ""
    kept = (stem if ending else part).encode()[: _MAX_PART_BYTES - len(ending.encode())]
    return kept.decode(errors="ignore") + ending
