"""A program of its own: reads the text of the files named on its command line, in passages.

It runs inside the sandbox, in the folder of the files, and writes one line of JSON a file into a
file of its own, each as soon as it is known: of a file that takes the program down with it, the
ones before are told. Bounds are in ``gathering``; each library is imported when it is needed.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import sys
import time
import warnings
from collections.abc import Sequence

from . import files
from .gathering import ALL_CHARS, ALL_MATCHING_CHARS, Room

_SECONDS = 20.0
"""That one file may take; what was read of it by then counts."""


def main(into: str, terms: Sequence[str], seconds: float) -> None:
    """Write the passages of all files.

    Args:
        into: the file to write.
        terms: of what is more than fits, passages with one of these are kept.
        seconds: for all files together.
    """
    warnings.simplefilter("ignore")
    csv.field_size_limit(sys.maxsize)
    ends = time.monotonic() + seconds
    room = Room(ALL_CHARS, ALL_MATCHING_CHARS)
    with open(into, "w", encoding="utf-8") as file, contextlib.redirect_stdout(sys.stderr):
        for name in sys.argv[1:]:
            left = min(_SECONDS, ends - time.monotonic())
            told = files.read(name, terms, room, left)
            file.write(json.dumps(told, ensure_ascii=False) + os.linesep)
            file.flush()
