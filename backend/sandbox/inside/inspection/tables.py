"""Tables, once pandas has them: columns, dtypes, ranges, first rows."""

from __future__ import annotations

import contextlib
from numbers import Integral
from typing import Any

from . import values
from .facts import COLUMN_NAMES, COLUMNS, NAME_CHARS, PREVIEW_ROWS, Facts, plain, short

_CATEGORIES = 20
"""A column with no more values than these tells all of them."""

_NAMES_CHARS = 60_000
"""Of the names of all columns together."""


def describe(frame: Any, *, rows: int | None = None, exact: bool = True, spread: int = 0) -> Facts:
    """How many rows; columns, first rows, doubles and what tells the rows apart.

    Args:
        frame: a pandas table, the beginning of what is described.
        rows: how many rows there are in all; None: these.
        exact: whether they were counted, not estimated.
        spread: how many rows at the frame's end come from all over the rest.
    """
    rows = len(frame) if rows is None else rows
    whole = exact and rows <= len(frame) and not spread
    facts: Facts = {"rows": rows, "rows_exact": exact, "facts_exact": whole}
    if not whole:
        facts["facts_from_first_rows"] = len(frame) - spread
    if spread:
        facts["facts_from_other_rows"] = spread
    width = len(frame.columns)
    facts["columns"] = [_column(frame, place, whole) for place in range(min(COLUMNS, width))]
    if width > COLUMNS:
        facts["columns_in_all"] = width
        facts["dtypes"] = {str(dtype): int(n) for dtype, n in frame.dtypes.value_counts().items()}
        facts["column_names"] = _names(frame)
    facts.update(_doubles(frame, facts["columns"]))
    head = frame.iloc[:PREVIEW_ROWS, :COLUMNS]
    facts["preview"] = [[plain(cell) for cell in row] for row in head.itertuples(index=False)]
    return facts


def _column(frame: Any, place: int, whole: bool) -> Facts:
    series = frame.iloc[:, place]
    known = series.dropna()
    facts: Facts = {
        "name": _name(frame.columns[place]),
        "dtype": str(series.dtype),
        "nulls": len(series) - len(known),
    }
    if known.empty:
        return facts
    kind = getattr(series.dtype, "kind", "O")
    if kind in "iufmM":
        facts["min"], facts["max"] = plain(known.min()), plain(known.max())
        if kind in "iuf":
            facts["mean"] = plain(float(f"{known.mean():.6g}"))
    held = values.held(known) if kind == "O" else ""
    if held not in values.UNCOUNTABLE:
        with contextlib.suppress(TypeError):
            facts.update(_counts(known, kind, len(series), whole))
    if "categories" not in facts:
        facts["samples"] = [plain(value) for value in known.iloc[:3]]
    if held == "string":
        facts.update(values.of_texts(known))
    elif kind == "O":
        facts["holds"] = values.describe_objects(known)
    return facts


def _name(label: Any) -> str | int:
    if isinstance(label, Integral):
        return int(label)
    return short(str(label), NAME_CHARS)


def _names(frame: Any) -> list[str | int]:
    """Those of all columns, as far as there is room."""
    names: list[str | int] = []
    room = _NAMES_CHARS
    for label in frame.columns[:COLUMN_NAMES]:
        name = _name(label)
        room -= len(str(name))
        if room < 0:
            break
        names.append(name)
    return names


def _counts(known: Any, kind: str, rows: int, whole: bool) -> Facts:
    """How many values, and which, when they are few and repeat."""
    import numpy as np

    codes, distinct = known.factorize()
    facts: Facts = {"unique": len(distinct)}
    if kind not in "fmM" and len(distinct) <= _CATEGORIES and len(distinct) < len(known):
        often = np.argsort(-np.bincount(codes), kind="stable")
        facts["categories"] = [plain(distinct[place]) for place in often]
    if whole and rows > 1 and kind in "iuO" and len(distinct) == rows:
        facts["likely_key"] = True
    return facts


def _doubles(frame: Any, columns: list[Facts]) -> Facts:
    """Rows that were there before. Where one column has no value twice, no row is there twice."""
    if any(column.get("unique") == len(frame) for column in columns):
        return {"duplicate_rows": 0}
    # Values without a hash all land in one place of a table of hashes: that never ends.
    objects = [place for place, dtype in enumerate(frame.dtypes) if dtype.kind == "O"]
    held = (values.held(frame.iloc[:, place].dropna()) for place in objects)
    if len(frame.columns) > COLUMNS or any(kind in values.UNCOUNTABLE for kind in held):
        return {}
    with contextlib.suppress(TypeError):
        return {"duplicate_rows": int(frame.duplicated().sum())}
    return {}
