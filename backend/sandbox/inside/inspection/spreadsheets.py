"""Spreadsheets: each sheet as a table, from the row where its header is."""

from __future__ import annotations

from typing import Any

from . import tables
from .facts import NAMES, SHEET_ROWS, Facts, plain, short

_SHEETS = 20
_ALL_ROWS = 15_000
_ALL_CELLS = 300_000
"""That are read of all sheets together."""
_TITLE_ROWS = 20
"""A header is looked for among so many rows."""


def inspect(name: str) -> Facts:
    """The names of all sheets, the tables of the first ones."""
    import pandas as pd

    with pd.ExcelFile(name) as book:
        names = list(book.sheet_names)
        rows = max(200, min(SHEET_ROWS, _ALL_ROWS // max(1, len(names))))
        sheets = [{"name": sheet, **_sheet(book, name, sheet, rows)} for sheet in names[:_SHEETS]]
    return {"sheets": sheets, "sheet_names": names[:NAMES]}


def _sheet(book: Any, name: str, sheet: str, rows: int) -> Facts:
    try:
        opened = book.book[sheet] if hasattr(book.book, "__getitem__") else None
        # While reading, openpyxl forgets it.
        told = getattr(opened, "max_row", None) or getattr(opened, "nrows", None) or 0
        beginning = book.parse(sheet, header=None, nrows=_TITLE_ROWS)
    except Exception as error:  # a sheet of charts; the others are as good as ever
        return {"note": f"cannot be read as a table: {plain(str(error))}"}
    header = _header_row(beginning)
    rows = max(100, min(rows, _ALL_CELLS // max(1, len(beginning.columns))))
    frame = book.parse(sheet, header=header, nrows=rows)
    option = "" if header == 0 else f", header={header}"
    facts: Facts = {"read_with": f"pd.read_excel({name!r}, sheet_name={sheet!r}{option})"}
    if _is_hidden(opened):
        facts["hidden"] = True
    if header:
        facts["header_row"] = header
        facts["above_the_header"] = _titles(beginning.iloc[:header])
    elif header is None:
        facts["note"] = "no row names the columns; they are numbered"
    facts.update(_trouble(frame))
    if len(frame) < rows:
        return {**facts, **tables.describe(frame)}
    in_all = max(len(frame), told - 1 - (header or 0))
    return {**facts, **tables.describe(frame, rows=in_all, exact=False)}


def _header_row(beginning: Any) -> int | None:
    """The first row that names most columns; None where no row does.

    Titles above it fill a cell or two of their row (merged cells have a value in the first only).
    """
    filled = beginning.notna().sum(axis=1)
    if filled.empty:
        return 0
    width = int(filled.max())
    for place, count in enumerate(filled):
        row = [value for value in beginning.iloc[place] if value == value and value is not None]
        if count * 3 < width * 2 or not row:
            continue
        texts = sum(isinstance(value, str) for value in row)
        if texts * 2 >= len(row):
            return place
        return 0 if place == 0 and texts else None
    return 0


def _titles(rows: Any) -> list[str]:
    values = (value for row in rows.itertuples(index=False) for value in row if value == value)
    return [short(str(value), 200) for value in values if value is not None][:10]


def _trouble(frame: Any) -> Facts:
    unnamed = sum(str(label).startswith("Unnamed: ") for label in frame.columns)
    if unnamed * 2 > len(frame.columns):
        return {"note": "the column names are probably not in one row"}
    empty = int(frame.isna().all(axis=1).sum())
    return {"empty_rows": empty} if empty else {}


def _is_hidden(sheet: Any) -> bool:
    """As openpyxl tells it, or as xlrd does."""
    state = getattr(sheet, "sheet_state", "visible")
    return state != "visible" or bool(getattr(sheet, "visibility", 0))
