"""Writing a file whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

_NAME_CHARS = 100


def write_new(place: Path, content: bytes) -> None:
    """Write a file that must not exist yet (nor a link); none is left when that fails.

    Raises:
        FileExistsError: something is there.
        OSError: the disk is full or the like.
    """
    with open(place, "xb") as file:
        try:
            file.write(content)
            file.flush()
        except OSError:
            place.unlink(missing_ok=True)
            raise


def write_over(place: Path, content: bytes) -> None:
    """Write a file in the place of what is there, which stays as it is when that fails.

    Raises:
        OSError: the disk is full or the like.
    """
    unfinished = place.with_name(f".{os.getpid()}-{place.name[:_NAME_CHARS]}")
    write_new(unfinished, content)
    os.replace(unfinished, place)
