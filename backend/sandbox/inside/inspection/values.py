"""The values of a column that pandas keeps as objects: dates and numbers left as text, and trees."""

from __future__ import annotations

import contextlib
import re
from typing import Any

from .facts import NAME_CHARS, Facts, plain, short

UNCOUNTABLE = ("trees",)
"""Kinds of values that have no hash."""

_SAMPLE = 200
_ODD = 5
"""So many different values may be no number in a column of numbers."""
_FORMATS = (
    (r"\d{4}-\d{1,2}-\d{1,2}", ("%Y-%m-%d",)),
    (r"\d{4}/\d{1,2}/\d{1,2}", ("%Y/%m/%d",)),
    (r"\d{4}\.\d{1,2}\.\d{1,2}", ("%Y.%m.%d",)),
    (r"\d{1,2}/\d{1,2}/\d{4}", ("%d/%m/%Y", "%m/%d/%Y")),
    (r"\d{1,2}-\d{1,2}-\d{4}", ("%d-%m-%Y", "%m-%d-%Y")),
    (r"\d{1,2}\.\d{1,2}\.\d{4}", ("%d.%m.%Y",)),
    (r"\d{1,2}/\d{1,2}/\d{2}", ("%d/%m/%y", "%m/%d/%y")),
    (r"\d{1,2}-\d{1,2}-\d{2}", ("%d-%m-%y", "%m-%d-%y")),
    (r"\d{1,2}\.\d{1,2}\.\d{2}", ("%d.%m.%y",)),
    (r"\d{1,2} [A-Za-z]{3} \d{4}", ("%d %b %Y",)),
    (r"\d{1,2}-[A-Za-z]{3}-\d{4}", ("%d-%b-%Y",)),
    (r"\d{1,2}-[A-Za-z]{3}-\d{2}", ("%d-%b-%y",)),
    (r"\d{1,2} [A-Za-z]{4,9} \d{4}", ("%d %B %Y",)),
    (r"[A-Za-z]{3} \d{1,2}, \d{4}", ("%b %d, %Y",)),
    (r"[A-Za-z]{4,9} \d{1,2}, \d{4}", ("%B %d, %Y",)),
    (r"\d{4}\ub144 \d{1,2}\uc6d4 \d{1,2}\uc77c", ("%Y\ub144 %m\uc6d4 %d\uc77c",)),
    (r"\d{4}\ub144\d{1,2}\uc6d4\d{1,2}\uc77c", ("%Y\ub144%m\uc6d4%d\uc77c",)),
)
_TIMES = (
    (r"T\d\d:\d\d:\d\d", "T%H:%M:%S"),
    (r" \d{1,2}:\d\d:\d\d", " %H:%M:%S"),
    (r" \d{1,2}:\d\d:\d\d\.\d{1,6}", " %H:%M:%S.%f"),
    (r"T\d\d:\d\d:\d\d\.\d{1,6}", "T%H:%M:%S.%f"),
    (r" \d{1,2}:\d\d", " %H:%M"),
    (r" \d{1,2}:\d\d [AP]M", " %I:%M %p"),
    (r" \d{1,2}:\d\d:\d\d [AP]M", " %I:%M:%S %p"),
)
_ZONES = (("", ""), (r"(?:Z|[+-]\d\d:?\d\d)", "%z"), (r" [+-]\d{4}", " %z"))
_DATE_LIKE = re.compile(r"\s*[A-Za-z]{0,9} ?\d{1,4}(?:[-/. ]|\ub144)")
_NUMBER = re.compile(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*")
_DECORATED = re.compile(
    r"\s*[-+(]?[$\u20ac\u00a3\u00a5\u20a9]?\s*-?\d{1,3}(?:,?\d{3})*(?:\.\d+)?\s*[%)\u20ac\uc6d0]?\s*"
)


def held(known: Any) -> str:
    """What a column of objects holds: ``string``, ``trees``, or how pandas calls it."""
    from pandas.api.types import infer_dtype

    kind = str(infer_dtype(known, skipna=True))
    if kind.startswith("mixed") and any(type(value).__hash__ is None for value in known):
        return UNCOUNTABLE[0]
    return kind


def describe_objects(known: Any) -> str:
    """The types of some values, with the keys of objects."""
    types: dict[str, None] = {}
    for value in known.iloc[:_SAMPLE]:
        keys = ", ".join(map(repr, list(value)[:10])) if isinstance(value, dict) else ""
        types[type(value).__name__ + (f" with keys {keys}" if keys else "")] = None
    return short(" | ".join(list(types)[:_ODD]), NAME_CHARS)


def of_texts(known: Any) -> Facts:
    """Dates and numbers that pandas left as text, and spaces around values."""
    some = list(known.iloc[:_SAMPLE])
    if _DATE_LIKE.match(some[0]) and (facts := _dates(known, some)):
        return facts
    if facts := _numbers(known, some):
        return facts
    if any(value != value.strip() for value in some):
        return {"note": "values have spaces around them"}
    return {}


def _dates(known: Any, some: list[str]) -> Facts:
    import pandas as pd

    fitting = [told for told in _formats_like(some[0]) if _all_parse(some, told)]
    for told in fitting:
        with contextlib.suppress(ValueError):
            dates = pd.to_datetime(known, format=told)
            facts: Facts = {"looks_like": "date", "date_format": " or ".join(fitting)}
            if len(fitting) == 1:
                facts["min"], facts["max"] = plain(dates.min()), plain(dates.max())
            return facts
    return {"looks_like": "date", "date_format": "not all alike"} if fitting else {}


def _formats_like(value: str) -> list[str]:
    """The formats in which the value can have been written; two where day and month are open."""
    value = value.strip()
    return [
        day + clock + zone
        for pattern, days in _FORMATS
        for time, clock in (("", ""), *_TIMES)
        for offset, zone in (_ZONES if clock else _ZONES[:1])
        if re.fullmatch(pattern + time + offset, value)
        for day in days
    ]


def _all_parse(some: list[str], told: str) -> bool:
    import pandas as pd

    try:
        pd.to_datetime(some, format=told)
    except (ValueError, TypeError):
        return False
    return True


def _numbers(known: Any, some: list[str]) -> Facts:
    numbers = sum(map(bool, map(_NUMBER.fullmatch, some)))
    if numbers == len(some):
        return {"looks_like": "number kept as text"}
    if all(map(_DECORATED.fullmatch, some)):
        return {"looks_like": "number written with signs or separators"}
    if numbers * 2 < len(some):
        return {}
    import pandas as pd

    odd = known[pd.to_numeric(known, errors="coerce").isna()]
    kinds = list(odd.unique()[: _ODD + 1])
    if len(kinds) > _ODD:
        return {}
    return {"looks_like": "number", "not_numbers": [plain(value) for value in kinds]}
