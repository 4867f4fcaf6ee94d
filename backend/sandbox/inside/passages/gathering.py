"""Passages: what is read of a file, put together to pieces of a size that one can quote."""

from __future__ import annotations

import heapq
import math
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

ALL_CHARS = 4_000_000
"""Of all files together that are kept, whatever is looked for."""
ALL_MATCHING_CHARS = 1_500_000
"""Beyond that, of passages with what is looked for."""
_FILE_CHARS = 1_000_000
_FILE_MATCHING_CHARS = 300_000
_PASSAGE_CHARS = 800
_MOST_CHARS = 1_200
"""Of one passage; a longer line or paragraph is more than one."""
_HEAD_CHARS = 200


class Unit(NamedTuple):
    """A line, a paragraph, a row, or a page."""

    part: str
    """Of the file: a page, a sheet; '' where there are no parts. No passage reaches across."""
    kind: str
    """What it is one of: ``line``; '' where the part says it all."""
    number: int
    """From 1."""
    text: str
    head: str = ""
    """The names of the columns, where it is a row."""


class Room:
    """What there is left for the text of all files."""

    def __init__(self, chars: int, matching_chars: int) -> None:
        self.chars = chars
        self.matching_chars = matching_chars


class Gathering:
    """The passages of one file.

    Those that come when there is no more room have to speak of what is looked for, and only the
    best of them stay.
    """

    def __init__(self, terms: Sequence[str], room: Room) -> None:
        self.beyond = 0
        """Passages that came when there was no more room: which of them stay depends on the terms."""
        self._passages: list[list[str]] = []
        self._best = _Best(terms, min(_FILE_MATCHING_CHARS, room.matching_chars))
        self._room = room
        self._chars = _FILE_CHARS
        self._texts: list[str] = []
        self._size = 0
        self._first: Unit | None = None
        self._last = 0

    def add(self, unit: Unit) -> None:
        """Take the next unit; they come in the order of the file."""
        text = _clean(unit.text)
        if not text.strip():
            return
        for piece in _pieces(text):
            first = self._first
            fits = self._size + len(piece) <= _PASSAGE_CHARS
            if first is not None and not (fits and unit[:2] == first[:2]):
                self._end_passage()
            if self._first is None:
                self._first = unit
            self._texts.append(piece)
            self._size += len(piece) + 1
            self._last = unit.number

    def finish(self) -> list[list[str]]:
        """All passages, each as place, text and head, in the order of the file."""
        self._end_passage()
        best = self._best.passages()
        self._room.matching_chars -= sum(len(text) for _, text, _ in best)
        return self._passages + best

    def _end_passage(self) -> None:
        if self._first is not None:
            text = "\n".join(self._texts)
            head = _clean(self._first.head)[:_HEAD_CHARS]
            self._keep([self._place(self._first), text, head])
        self._first, self._texts, self._size = None, [], 0

    def _place(self, first: Unit) -> str:
        if not first.kind:
            return first.part
        many = self._last != first.number
        numbers = f"{first.number}-{self._last}" if many else f"{first.number}"
        place = f"{first.kind}{'s' if many else ''} {numbers}"
        return f"{first.part}, {place}" if first.part else place

    def _keep(self, passage: list[str]) -> None:
        size = len(passage[1])
        if size <= min(self._chars, self._room.chars):
            self._chars -= size
            self._room.chars -= size
            self._passages.append(passage)
            return
        self._chars = 0  # whatever comes later is not smaller for having come later
        self.beyond += 1
        self._best.offer(passage)


class _Best:
    """Of many passages those that speak most of some terms; rare ones count for more."""

    def __init__(self, terms: Sequence[str], chars: int) -> None:
        self._terms = terms
        self._chars = chars
        self._offered = 0
        self._times = dict.fromkeys(terms, 0)
        self._heap: list[tuple[float, int, list[str]]] = []

    def offer(self, passage: list[str]) -> None:
        self._offered += 1
        text = normalised(passage[1])
        said = [term for term in self._terms if term in text]
        if not said:
            return
        for term in said:
            self._times[term] += 1
        worth = sum(math.log(1 + self._offered / self._times[term]) for term in said)
        heapq.heappush(self._heap, (worth, -self._offered, passage))
        self._chars -= len(passage[1])
        while self._chars < 0:
            self._chars += len(heapq.heappop(self._heap)[2][1])

    def passages(self) -> list[list[str]]:
        """Those that stayed, in the order in which they came."""
        return [passage for _, _, passage in sorted(self._heap, key=lambda entry: -entry[1])]


def normalised(text: str) -> str:
    """The text as texts are compared."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def _clean(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _pieces(text: str) -> list[str]:
    """The text in pieces that are no longer than a passage may be, cut between words."""
    pieces = []
    while len(text) > _MOST_CHARS:
        cut = text.rfind(" ", _PASSAGE_CHARS // 2, _PASSAGE_CHARS)
        cut = _PASSAGE_CHARS if cut < 0 else cut
        pieces.append(text[:cut])
        text = text[cut:].lstrip(" ")
    return [*pieces, text] if text.strip() else pieces
