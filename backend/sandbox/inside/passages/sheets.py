"""Spreadsheets of other kinds than today's Excel: the rows of each sheet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import packed
from .gathering import Unit
from .rows import line_of, title_of, value_of


def of_old_excel(name: str) -> Iterator[Unit]:
    """The rows of each sheet of an Excel file as it was before 2007."""
    import xlrd

    with xlrd.open_workbook(name, on_demand=True) as book:
        for sheet in book.sheets():
            head = ""
            for number in range(sheet.nrows):
                cells = (_old_value(cell, book.datemode) for cell in sheet.row(number))
                line = line_of(cells)
                yield Unit(title_of(sheet.name), "row", number + 1, line, head)
                head = head or line


def _old_value(cell: Any, datemode: int) -> str:
    import xlrd

    if cell.ctype == xlrd.XL_CELL_DATE:
        return value_of(xlrd.xldate_as_datetime(cell.value, datemode))
    return value_of(cell.value)


def of_open_document(name: str) -> Iterator[Unit]:
    """The rows of each sheet of an OpenDocument file."""
    with packed.opened(name) as archive:
        yield from _rows_of(archive)


def _rows_of(archive: Any) -> Iterator[Unit]:
    sheet, number, head = "", 0, ""
    texts: list[str] = []
    cells: list[str] = []
    for event, tag, element in packed.elements(archive, "content.xml", whole=("p",)):
        if event == "start":
            if tag == "table":
                sheet, number, head = packed.attribute(element, "name"), 0, ""
            continue
        if tag == "p":
            texts.append("".join(element.itertext()))
        elif tag in ("table-cell", "covered-table-cell"):
            cells.append("\n".join(texts))
            texts = []
        elif tag == "table-row":
            line = line_of(cells)
            yield Unit(title_of(sheet), "row", number + 1, line, head)
            number += _times(packed.attribute(element, "number-rows-repeated"))
            cells, head = [], head or line


def _times(repeated: str) -> int:
    return int(repeated) if repeated.isdecimal() else 1
