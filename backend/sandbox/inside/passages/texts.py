"""Files of lines: texts, tables with delimiters, source code, HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

from ..inspection import texts
from .gathering import Unit

_LINE_CHARS = 100_000
"""That are taken at once of a line without end."""
_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")
_BLOCKS = frozenset(
    "p div br li ul ol tr table h1 h2 h3 h4 h5 h6 section article header footer title option pre "
    "blockquote dt dd figcaption caption nav main aside form".split()
)
_SILENT = frozenset(("script", "style", "template"))


def lines(name: str) -> Iterator[Unit]:
    """The lines of a text."""
    for number, line in _lines_of(name):
        yield Unit("", "line", number, line)


def escaped_lines(name: str) -> Iterator[Unit]:
    r"""Lines of JSON, in which letters may be written as \u and a number."""
    for number, line in _lines_of(name):
        yield Unit("", "line", number, _ESCAPES.sub(_letters, line) if "\\u" in line else line)


def rows(name: str) -> Iterator[Unit]:
    """The lines of a table; the first one names the columns."""
    head = ""
    for number, line in _lines_of(name):
        yield Unit("", "line", number, line, "" if number == 1 else head)
        if number == 1 and not head:
            head = line


def _lines_of(name: str) -> Iterator[tuple[int, str]]:
    encoding = texts.read(name).encoding
    number, begins = 0, True
    with open(name, encoding=encoding, errors="replace") as file:
        while line := file.readline(_LINE_CHARS):
            number += begins
            begins = line.endswith("\n")
            yield number, line.rstrip("\n")


def _letters(found: re.Match[str]) -> str:
    units = bytes.fromhex(found[0].replace("\\u", ""))
    return units.decode("utf-16-be", "replace")


def blocks(name: str) -> Iterator[Unit]:
    """The text of an HTML page, without its markup, by the line where each block begins."""
    reader = _Page()
    for _, line in _lines_of(name):
        reader.feed(line + "\n")
        yield from reader.take()
    reader.close()
    reader.end_block()
    yield from reader.take()


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self._done: list[Unit] = []
        self._texts: list[str] = []
        self._line = 1
        self._silent = ""

    def take(self) -> list[Unit]:
        done, self._done = self._done, []
        return done

    def end_block(self) -> None:
        text = " ".join("".join(self._texts).split())
        if text:
            self._done.append(Unit("", "line", self._line, text))
        self._texts = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self._silent = tag
        elif tag in _BLOCKS:
            self.end_block()
        elif tag in ("td", "th") and self._texts:
            self._texts.append(" | ")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._silent:
            self._silent = ""
        elif tag in _BLOCKS:
            self.end_block()

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        if not self._texts and data.strip():
            self._line = self.getpos()[0]
        if self._texts or data.strip():
            self._texts.append(data)
