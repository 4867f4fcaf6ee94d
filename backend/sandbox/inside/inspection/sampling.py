"""The part of a large delimited file that is looked at: its beginning, and pieces of the rest."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from .facts import TABLE_BYTES

_HEAD_BYTES = 2_000_000
_PIECES = 15
_PIECE_BYTES = 48_000
_WIDE = ("utf-16", "utf-32")
"""Encodings in which a line break is more than one byte."""


class Sample(NamedTuple):
    """Whole lines of a file."""

    head: bytes
    """From the beginning; all of it, if it is not large."""
    rest: bytes
    """From all over what follows, b'' where lines cannot be told apart there."""
    whole: bool
    """Whether ``head`` is all."""
    line_breaks: int
    """Of the file as a whole."""
    decodes: bool
    """Whether all of the file is text in its encoding."""


def take(name: str, encoding: str) -> Sample:
    """Look at a file; costs the same for any size, but for the counting of lines."""
    size = os.path.getsize(name)
    with open(name, "rb") as file:
        head = file.read(TABLE_BYTES if size <= TABLE_BYTES else _HEAD_BYTES)
        rest = b""
        if size > TABLE_BYTES:
            is_wide = encoding.startswith(_WIDE)
            head = head if is_wide else _whole_lines(head)
            if not is_wide and not _has_long_fields(head):
                rest = b"".join(_pieces(file, size))
        file.seek(0)
        breaks, decodes = _go_through(file, encoding)
    whole = size <= TABLE_BYTES
    return Sample(head=head, rest=rest, whole=whole, line_breaks=breaks, decodes=decodes)


def _pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    span = size - _HEAD_BYTES - _PIECE_BYTES
    for number in range(_PIECES):
        place = _HEAD_BYTES + span * number // (_PIECES - 1)
        piece = os.pread(file.fileno(), _PIECE_BYTES, place)
        is_last = number == _PIECES - 1
        start = piece.find(b"\n") + 1
        end = len(piece) if is_last else piece.rfind(b"\n") + 1
        yield piece[start:end] if start else b""


def _go_through(file: BinaryIO, encoding: str) -> tuple[int, bool]:
    """The line breaks, and whether everything can be decoded."""
    decoder = codecs.getincrementaldecoder(encoding)()
    breaks, returns, decodes = 0, 0, True
    for block in iter(lambda: file.read(1 << 20), b""):
        breaks += block.count(b"\n")
        returns += 0 if breaks else block.count(b"\r")
        try:
            decoder.decode(block if decodes else b"")
        except UnicodeDecodeError:
            decodes = False
            decoder.reset()
    return breaks or returns, decodes


def _whole_lines(raw: bytes) -> bytes:
    """Up to the last line break; all of it where a line is longer than that."""
    end = raw.rfind(b"\n") + 1
    return raw[:end] if raw.count(b"\n", 0, end) > 1 else raw


def _has_long_fields(head: bytes) -> bool:
    """Whether there may be line breaks within quotes: half of a line is then taken for one."""
    return b'"' in head and any(line.count(b'"') % 2 for line in head.splitlines()[:-1])
