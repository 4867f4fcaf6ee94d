"""Encoded values as plain JSON, or as the living objects that the program had.

Libraries are imported only where a value of theirs is wanted alive.
"""

from __future__ import annotations

import base64
import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

from backend.tools.coder.proof.encoded import FILE, TAG, Malformed, elements, labels, nested, tag_of

_MOST_BITS = 4096
"""Of an integer that is a number in JSON: longer ones are texts, which every writer takes."""


def as_plain(raw: Any) -> Any:
    """Plain JSON for people and programs: times and decimals are texts, tables are split.

    Numbers that are infinite or NaN are texts, too: JSON has none.

    Raises:
        Malformed: it is no encoded value.
    """
    try:
        return _plain(raw)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise Malformed(str(error)) from None


def as_object(raw: Any) -> Any:
    """The value as the program had it: a DataFrame, an array, a date, ...

    Raises:
        Malformed: it is no encoded value.
    """
    try:
        return _alive(raw)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise Malformed(str(error)) from None


# --- plain JSON


def _plain(raw: Any) -> Any:
    if isinstance(raw, list):
        return [_plain(each) for each in raw]
    if not isinstance(raw, dict):
        return raw
    tag = tag_of(raw)
    if not tag:
        return {key: _plain(each) for key, each in raw.items()}
    return _PLAIN[tag](raw)


def _plain_int(raw: Any) -> Any:
    number = int(raw["hex"], 16)
    return number if number.bit_length() <= _MOST_BITS else raw["hex"]


def _plain_dict(raw: Any) -> Any:
    return {_key(key): _plain(each) for key, each in raw["items"]}


def _key(raw: Any) -> str:
    key = _plain(raw)
    return key if isinstance(key, str) else str(key)


def _plain_span(raw: Any) -> Any:
    return str(_span_object(raw))


def _plain_series(raw: Any) -> Any:
    rows, found = labels(raw["index"]), elements(raw)
    if len(rows) != len(found):
        raise Malformed("an index that does not fit its values")
    return {
        "name": _plain(raw["name"]),
        "index": _plain(rows),
        "data": _plain(found),
        "dtype": str(raw["dtype"]),
    }


def _plain_frame(raw: Any) -> Any:
    rows, names = labels(raw["index"]), labels(raw["columns"])
    columns = [elements(column) for column in raw["data"]]
    if len(names) != len(columns) or any(len(each) != len(rows) for each in columns):
        raise Malformed("a table whose sides do not fit")
    return {
        "columns": _plain(names),
        "index": _plain(rows),
        "data": [_plain(list(row)) for row in zip(*columns, strict=True)] if columns else [],
        "dtypes": [str(column["dtype"]) for column in raw["data"]],
    }


def _said(raw: Any) -> Any:
    if not isinstance(raw["value"], str):
        raise Malformed("a value that is no text")
    return raw["value"]


_PLAIN: dict[str, Callable[[Any], Any]] = {
    "int": _plain_int,
    "float": _said,
    "complex": lambda raw: [float(each) for each in raw["value"]],
    "bytes": _said,
    "tuple": lambda raw: _plain(raw["items"]),
    "set": lambda raw: _plain(raw["items"]),
    "dict": _plain_dict,
    "date": _said,
    "time": _said,
    "datetime": _said,
    "timedelta": _plain_span,
    "missing": lambda raw: None,
    "Decimal": _said,
    "path": _said,
    "ndarray": lambda raw: _plain(nested(raw)),
    "Series": _plain_series,
    "Index": lambda raw: _plain(labels(raw["index"])),
    "DataFrame": _plain_frame,
    FILE: lambda raw: {key: each for key, each in raw.items() if key != TAG},
}


# --- living objects


def _alive(raw: Any) -> Any:
    if isinstance(raw, list):
        return [_alive(each) for each in raw]
    if not isinstance(raw, dict):
        return raw
    tag = tag_of(raw)
    if not tag:
        return {key: _alive(each) for key, each in raw.items()}
    if tag in ("ndarray", "Series", "Index", "DataFrame"):
        from backend.tools.coder.proof import frames

        return frames.build(raw)
    return _ALIVE[tag](raw)


def _moment_object(raw: Any) -> Any:
    text = _said(raw)
    fraction = re.search(r"\.\d{6}(\d+)", text)
    if fraction and int(fraction[1]):
        import pandas

        return pandas.Timestamp(text)
    return dt.datetime.fromisoformat(text)


def _span_object(raw: Any) -> dt.timedelta:
    days, seconds, microseconds, _ = raw["value"]
    return dt.timedelta(days=days, seconds=seconds, microseconds=microseconds)


_ALIVE: dict[str, Callable[[Any], Any]] = {
    "int": lambda raw: int(raw["hex"], 16),
    "float": lambda raw: float(raw["value"]),
    "complex": lambda raw: complex(*(float(each) for each in raw["value"])),
    "bytes": lambda raw: base64.b64decode(raw["value"], validate=True),
    "tuple": lambda raw: tuple(_alive(raw["items"])),
    "set": lambda raw: set(_alive(raw["items"])),
    "dict": lambda raw: {_alive(key): _alive(each) for key, each in raw["items"]},
    "date": lambda raw: dt.date.fromisoformat(raw["value"]),
    "time": lambda raw: dt.time.fromisoformat(raw["value"]),
    "datetime": _moment_object,
    "timedelta": _span_object,
    "missing": lambda raw: None,
    "Decimal": lambda raw: Decimal(_said(raw)),
    "path": lambda raw: PurePosixPath(_said(raw)),
    FILE: lambda raw: {key: each for key, each in raw.items() if key != TAG},
}
