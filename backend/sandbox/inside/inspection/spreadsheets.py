"""Spreadsheets: each sheet as a table."""

from __future__ import annotations

from typing import Any

from . import tables
from .facts import NAMES, SHEET_ROWS, Facts

_SHEETS = 20


def inspect(name: str) -> Facts:
    """The names of all sheets, the tables of the first ones."""
    import pandas as pd

    with pd.ExcelFile(name) as book:
        names = list(book.sheet_names)
        sheets = [{"name": sheet, **_sheet(book, sheet)} for sheet in names[:_SHEETS]]
    return {"sheets": sheets, "sheet_names": names[:NAMES]}


def _sheet(book: Any, sheet: str) -> Facts:
    told = _rows_in_all(book.book, sheet)  # while reading, openpyxl forgets it
    frame = book.parse(sheet, nrows=SHEET_ROWS)
    facts: Facts = {}
    if sum(str(c).startswith("Unnamed: ") for c in frame.columns) * 2 > len(frame.columns):
        facts["note"] = "the column names are probably not in the first row"
    if len(frame) < SHEET_ROWS:
        return {**facts, **tables.describe(frame)}
    rows = max(len(frame), told - 1)
    return {**facts, **tables.describe(frame, rows=rows, exact=False)}


def _rows_in_all(book: Any, sheet: str) -> int:
    """What the file itself says, with the header; 0 where the library does not tell."""
    if not hasattr(book, "__getitem__"):
        return 0
    opened = book[sheet]
    return getattr(opened, "max_row", None) or getattr(opened, "nrows", None) or 0
