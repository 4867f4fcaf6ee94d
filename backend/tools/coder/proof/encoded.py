"""Values as a program handed them out: read with suspicion, part by part.

The encoded form is made by ``sandbox/inside/outputs.py``, in the program's own process, so every shape
and dtype is checked here before anything is built from it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

TAG = "$type"
FILE = "file"
"""Tag of a file that the program wrote; made here, never by a program."""

_MOST_ROWS = 1_000_000
"""Of a range that is told by its bounds."""
_NOT_FINITE = ("nan", "inf", "-inf")


class Malformed(ValueError):
    """What came is not what any program's value is encoded as."""


def tag_of(raw: Any) -> str:
    """What kind of encoded object it is; '' for what is plain JSON."""
    if not isinstance(raw, dict):
        return ""
    tag = raw.get(TAG, "")
    return tag if isinstance(tag, str) else ""


def number_of(raw: Any) -> int | float | None:
    """The number that it encodes, None for what is no number; a truth value is none."""
    if type(raw) in (int, float):
        number: int | float = raw
        return number
    tag = tag_of(raw)
    if tag == "int" and isinstance(raw.get("hex"), str):
        return int(raw["hex"], 16)
    if tag == "float" and raw.get("value") in _NOT_FINITE:
        return float(raw["value"])
    if tag == "Decimal" and isinstance(raw.get("value"), str):
        return _decimal_number(raw["value"])
    return None


def _decimal_number(text: str) -> int | float | None:
    """What equals it exactly as far as a number can: an integer, or the float that prints so."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    if not value.is_finite():
        return float(value)
    if abs(value.adjusted()) > 400:
        return None
    if value == value.to_integral_value():
        return int(value)
    number = float(value)
    return number if Decimal(repr(number)) == value else None


def scalar_of(raw: Any) -> Any:
    """The one value of an array without axes; anything else as it is."""
    if tag_of(raw) == "ndarray" and raw.get("shape") == []:
        return elements(raw)[0]
    return raw


def elements(column: Mapping[str, Any]) -> list[Any]:
    """The encoded values of a column or a flat array, each by itself."""
    dtype, found = str(column["dtype"]), column["values"]
    if not isinstance(found, list):
        raise Malformed("the values of a column are no list")
    if dtype == "category":
        categories = elements(column["categories"])
        return [None if code == -1 else categories[_place(code, categories)] for code in found]
    if re.match(r"[<>=|]?(float|f)\d", dtype):
        return [{TAG: "float", "value": each} if each in _NOT_FINITE else each for each in found]
    if re.match(r"datetime64|[<>=]?M8", dtype):
        zone = "+00:00" if "," in dtype else ""
        return [_moment(each, zone) for each in found]
    if re.match(r"timedelta64|[<>=]?m8", dtype):
        return [_span(each) for each in found]
    return found


def _place(code: Any, categories: list[Any]) -> int:
    if type(code) is not int or not 0 <= code < len(categories):
        raise Malformed("a category that is none")
    return code


def _moment(text: Any, zone: str) -> Any:
    if not isinstance(text, str):
        raise Malformed("a time that is no text")
    return {TAG: "missing"} if text == "NaT" else {TAG: "datetime", "value": text + zone}


def _span(nanoseconds: Any) -> Any:
    if nanoseconds is None:
        return {TAG: "missing"}
    seconds, rest = divmod(int(nanoseconds), 10**9)
    return {TAG: "timedelta", "value": [0, seconds, rest // 1000, rest % 1000]}


def labels(index: Mapping[str, Any]) -> list[Any]:
    """The encoded labels of an index; those of several levels are tuples."""
    if "range" in index:
        found = range(*_three(index["range"]))
        if len(found) > _MOST_ROWS:
            raise Malformed("a range beyond any table")
        return list(found)
    if "levels" in index:
        levels = [elements(level) for level in index["levels"]]
        return [{TAG: "tuple", "items": list(each)} for each in zip(*levels, strict=True)]
    return elements(index)


def _three(bounds: Any) -> tuple[int, int, int]:
    start, stop, step = bounds
    if {type(start), type(stop), type(step)} != {int}:
        raise Malformed("bounds that are no integers")
    return start, stop, step


def nested(raw: Mapping[str, Any]) -> Any:
    """The encoded values of an array as lists of lists, by its shape."""
    flat, shape = elements(raw), raw["shape"]
    if not all(type(each) is int and each >= 0 for each in shape):
        raise Malformed("a shape that is none")
    if math.prod(shape) != len(flat):
        raise Malformed("a shape that does not fit its values")
    if not shape:
        return flat[0]
    for size in reversed(shape[1:]):
        flat = [flat[at : at + size] for at in range(0, len(flat), size)] if size else []
    return flat


def shape_of(raw: Mapping[str, Any]) -> str:
    """How large a table, an array, a list or a text is, in words; '' for anything else."""
    tag = tag_of(raw)
    if tag == "DataFrame":
        data = raw.get("data") or []
        rows = len(labels(raw["index"]))
        return f"{rows} rows and {len(data)} columns"
    if tag == "ndarray":
        return "shape " + " x ".join(map(str, raw.get("shape") or ["no axes"]))
    if tag == "Series":
        return f"{len(raw.get('values') or [])} values"
    items = raw if not tag else raw.get("items") if tag in ("tuple", "set", "dict") else None
    return f"{len(items)} items" if isinstance(items, list | dict) else ""
