"""Excel files: the rows of each sheet, read as a stream, as they were last calculated."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from . import packed
from .gathering import Unit
from .rows import line_of, title_of, value_of

_MAIN = "xl/workbook.xml"
_DATES = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))
"""Numbers of the formats of dates and times that every Excel has."""
_NO_LETTERS = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.|_.')
_COLUMN = re.compile("[A-Z]{1,3}")
_COLUMNS = 200
"""Of a row."""


def rows(name: str) -> Iterator[Unit]:
    """The rows of each sheet.

    Raises:
        ValueError: it is no Excel file.
    """
    with packed.opened(name) as archive:
        if _MAIN not in archive.namelist():
            raise ValueError("no Excel file: its sheets are missing")
        book = _Book(archive)
        for title, part in book.sheets:
            head = ""
            for number, cells in book.rows_of(part):
                line = line_of(cells)
                yield Unit(title_of(title), "row", number, line, head)
                head = head or line


class _Book:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        related = packed.related(archive, _MAIN)
        self.sheets: list[tuple[str, str]] = []
        self._first_day = datetime.fromisoformat("1899-12-30")
        for event, tag, element in packed.elements(archive, _MAIN):
            if event != "start":
                continue
            if tag == "sheet" and (part := related.get(packed.relation(element))):
                self.sheets.append((element.get("name", ""), part))
            elif tag == "workbookPr" and element.get("date1904") in ("1", "true"):
                self._first_day = datetime.fromisoformat("1904-01-01")
        parts = sorted(related.values())
        texts = next((part for part in parts if part.endswith("/sharedStrings.xml")), "")
        styles = next((part for part in parts if part.endswith("/styles.xml")), "")
        self._texts = list(self._read_texts(texts)) if texts else []
        self._is_date = self._read_styles(styles) if styles else []

    def rows_of(self, part: str) -> Iterator[tuple[int, list[str]]]:
        """The rows of a sheet with their numbers; of a sheet that is a chart there are none."""
        number = 0
        for row in packed.wholes(self._archive, part, "row"):
            given = row.get("r", "")
            number = int(given) if given.isdecimal() else number + 1
            yield number, self._cells(row)

    def _cells(self, row: Any) -> list[str]:
        cells: list[str] = []
        for cell in row:
            place = _place(cell.get("r", "")) or len(cells)
            if place >= _COLUMNS:
                break
            cells += [""] * (place - len(cells))
            cells.append(self._value(cell))
        return cells

    def _value(self, cell: Any) -> str:
        kind = cell.get("t", "n")
        if kind == "inlineStr":
            return _text_of(cell)
        text = next((part.text or "" for part in cell if part.tag.endswith("}v")), "")
        if kind == "s":
            return (
                self._texts[int(text)] if text.isdecimal() and int(text) < len(self._texts) else ""
            )
        if kind == "b":
            return "TRUE" if text == "1" else "FALSE"
        return self._number(text, cell.get("s", "")) if kind == "n" and text else text

    def _number(self, text: str, style: str) -> str:
        try:
            number = float(text)
            if style.isdecimal() and int(style) < len(self._is_date) and self._is_date[int(style)]:
                return value_of(self._first_day + timedelta(seconds=round(number * 86_400)))
        except (ValueError, OverflowError):
            return text
        return value_of(number) if "E" in text or number.is_integer() else text

    def _read_texts(self, part: str) -> Iterator[str]:
        for entry in packed.wholes(self._archive, part, "si"):
            yield _text_of(entry)

    def _read_styles(self, part: str) -> list[bool]:
        """Whether a cell of each style is a date."""
        formats: dict[str, str] = {}
        dates: list[bool] = []
        within = False
        for event, tag, element in packed.elements(self._archive, part):
            if tag == "cellXfs":
                within = event == "start"
            elif event == "end":
                continue
            elif tag == "numFmt":
                formats[element.get("numFmtId", "")] = element.get("formatCode", "")
            elif tag == "xf" and within:
                given = element.get("numFmtId", "")
                code = _NO_LETTERS.sub("", formats.get(given, ""))
                known = given.isdecimal() and int(given) in _DATES
                dates.append(known or bool(re.search("[ymdhs]", code, re.IGNORECASE)))
        return dates


def _text_of(entry: Any) -> str:
    """The text of a cell in its pieces; how it is pronounced is not part of it."""
    pieces = []
    for part in entry:
        if part.tag.endswith("}t"):
            pieces.append(part.text or "")
        elif not part.tag.endswith("}rPh"):
            pieces.append(_text_of(part))
    return "".join(pieces)


def _place(reference: str) -> int:
    """The column of ``C7``, from 0; 0 where none is given."""
    found = _COLUMN.match(reference)
    place = 0
    for letter in found[0] if found else "":
        place = place * 26 + ord(letter) - ord("A") + 1
    return max(0, place - 1)
