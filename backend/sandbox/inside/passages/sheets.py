"""Spreadsheets: the rows of each sheet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from . import packed
from .gathering import Unit

_CELLS = 200
"""Of one row."""


def of_excel(name: str) -> Iterator[Unit]:
    """The rows of each sheet of an Excel file, as it was last calculated."""
    import openpyxl

    with packed.opened(name) as archive:
        packed.require_modest(archive, *(n for n in archive.namelist() if n.endswith(".xml")))
    book = openpyxl.load_workbook(name, read_only=True, data_only=True)
    for sheet in book.worksheets:
        rows = sheet.iter_rows(values_only=True)
        yield from _rows(sheet.title, enumerate(rows, 1))


def of_old_excel(name: str) -> Iterator[Unit]:
    """The same of an Excel file as it was before 2007."""
    import xlrd

    with xlrd.open_workbook(name, on_demand=True) as book:
        for sheet in book.sheets():
            rows = (
                (number + 1, [_old_value(cell, book.datemode) for cell in sheet.row(number)])
                for number in range(sheet.nrows)
            )
            yield from _rows(sheet.name, rows)


def _old_value(cell: Any, datemode: int) -> Any:
    import xlrd

    if cell.ctype == xlrd.XL_CELL_DATE:
        return xlrd.xldate_as_datetime(cell.value, datemode)
    return None if cell.ctype in (xlrd.XL_CELL_EMPTY, xlrd.XL_CELL_BLANK) else cell.value


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
            line = _line(cells)
            yield Unit(_title(sheet), "row", number + 1, line, head)
            number += _times(packed.attribute(element, "number-rows-repeated"))
            cells, head = [], head or line


def _times(repeated: str) -> int:
    return int(repeated) if repeated.isdecimal() else 1


def _rows(sheet: str, rows: Iterable[tuple[int, Iterable[Any]]]) -> Iterator[Unit]:
    head = ""
    for number, values in rows:
        line = _line(map(_text, values))
        yield Unit(_title(sheet), "row", number, line, head)
        head = head or line


def _title(sheet: str) -> str:
    return f"sheet {sheet!r}"


def _line(cells: Iterable[str]) -> str:
    """A row as one line, '' if it is empty."""
    return " | ".join(list(cells)[:_CELLS]).strip(" |")


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if hasattr(value, "isoformat"):
        return str(value.isoformat()).removesuffix("T00:00:00")
    return str(value)
