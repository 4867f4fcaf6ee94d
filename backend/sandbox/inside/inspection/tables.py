"""Tables, once pandas has them: columns, dtypes, ranges, first rows."""

from __future__ import annotations

import contextlib
import re
from numbers import Integral
from typing import Any

from .facts import COLUMNS, NAME_CHARS, PREVIEW_ROWS, Facts, plain, short

_DATE = re.compile(
    r"\s*(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{1,2} \w{3,9} \d{4}"
    r"|\w{3,9} \d{1,2}, ?\d{4}|\d{4}\ub144 ?\d{1,2}\uc6d4 ?\d{1,2}\uc77c)(?:[T ].*)?\s*"
)
_DECORATED = re.compile(
    r"\s*[-+(]?[$\u20ac\u00a3\u00a5\u20a9]?\s*\d{1,3}(?:,?\d{3})*(?:\.\d+)?\s*[%)]?\s*"
)


def describe(frame: Any, *, rows: int | None = None, exact: bool = True) -> Facts:
    """How many rows; columns, first rows and doubles.

    Args:
        frame: a pandas table, the beginning of what is described.
        rows: how many rows there are in all; None: these.
        exact: whether they were counted, not estimated.
    """
    rows = len(frame) if rows is None else rows
    facts: Facts = {"rows": rows, "rows_exact": exact}
    if rows > len(frame) or not exact:
        facts["facts_from_first_rows"] = len(frame)
    width = len(frame.columns)
    facts["columns"] = [_column(frame, place) for place in range(min(COLUMNS, width))]
    if width > COLUMNS:
        facts["columns_in_all"] = width
    with contextlib.suppress(TypeError):
        facts["duplicate_rows"] = int(frame.duplicated().sum())
    head = frame.head(PREVIEW_ROWS).iloc[:, :COLUMNS]
    facts["preview"] = [[plain(cell) for cell in row] for row in head.itertuples(index=False)]
    return facts


def _column(frame: Any, place: int) -> Facts:
    series = frame.iloc[:, place]
    known = series.dropna()
    facts: Facts = {
        "name": _name(frame.columns[place]),
        "dtype": str(series.dtype),
        "nulls": int(series.isna().sum()),
    }
    if known.empty:
        return facts
    kind = series.dtype.kind if hasattr(series.dtype, "kind") else "O"
    if kind in "iufmM":
        facts["min"], facts["max"] = plain(known.min()), plain(known.max())
        if kind in "iuf":
            facts["mean"] = plain(float(known.mean()))
    with contextlib.suppress(TypeError):
        facts.update(_values(known, kind))
    if "categories" not in facts:
        facts["samples"] = [plain(value) for value in known.iloc[:3]]
    if kind == "O" and all(isinstance(value, str) for value in known.iloc[:200]):
        facts.update(_text_column(known))
    return facts


def _name(label: Any) -> str | int:
    if isinstance(label, Integral):
        return int(label)
    return short(str(label), NAME_CHARS)


def _values(known: Any, kind: str) -> Facts:
    """How many values, and which, when they are few and repeat."""
    counts = known.value_counts()
    facts: Facts = {"unique": len(counts)}
    if kind not in "fmM" and len(counts) <= 12 and len(counts) < len(known):
        facts["categories"] = [plain(value) for value in counts.index]
    return facts


def _text_column(known: Any) -> Facts:
    """Dates and numbers that pandas left as text."""
    some = list(known.iloc[:200])
    if all(_DATE.fullmatch(value) for value in some):
        facts: Facts = {"looks_like": "date"}
        with contextlib.suppress(Exception):
            import pandas as pd

            dates = pd.to_datetime(known)
            facts["min"], facts["max"] = plain(dates.min()), plain(dates.max())
        return facts
    if all(_DECORATED.fullmatch(value) for value in some):
        return {"looks_like": "number written with signs or separators"}
    if any(value != value.strip() for value in some):
        return {"note": "values have spaces around them"}
    return {}
