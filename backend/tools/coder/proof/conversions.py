"""One encoded value in the form of a type; None for what is not of that type.

Nothing is lost: ``3.0`` is an ``int``, ``3.7`` is not, and a truth value is no number.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from typing import Any

from backend.tools.coder.proof.encoded import TAG, number_of, tag_of

_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?\s*")


def to_int(raw: Any) -> Any:
    """A whole number, however it is written."""
    number = _read_number(raw)
    if number is None:
        return None
    # A large int is finite, and more than isfinite can take.
    if isinstance(number, float) and not number.is_integer():
        return None
    whole = int(number)
    return whole if abs(whole) <= 2**53 else {TAG: "int", "hex": hex(whole)}


def to_float(raw: Any) -> Any:
    """A number that a float can be without a loss."""
    number = _read_number(raw)
    if number is None:
        return None
    try:
        found = float(number)
    except OverflowError:
        return None
    if isinstance(number, int) and int(found) != number:
        return None
    return found if math.isfinite(found) else {TAG: "float", "value": repr(found)}


def _read_number(raw: Any) -> int | float | None:
    if isinstance(raw, str) and len(raw) < 400 and _NUMBER.fullmatch(raw):
        return number_of({TAG: "Decimal", "value": raw.strip()})
    return number_of(raw)


def to_str(raw: Any) -> Any:
    """A text; a path as the text that it is."""
    if tag_of(raw) == "path":
        return raw.get("value")
    return raw if isinstance(raw, str) else None


def to_date(raw: Any) -> Any:
    """A day without a time of day."""
    text = raw.get("value") if tag_of(raw) in ("date", "datetime") else raw
    try:
        moment = dt.datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    if moment.time() != dt.time() or moment.tzinfo is not None or len(text) > 29:
        return None
    return {TAG: "date", "value": moment.date().isoformat()}


def to_datetime(raw: Any) -> Any:
    """A point in time, as ISO 8601 writes it."""
    text = raw.get("value") if tag_of(raw) in ("date", "datetime") else raw
    try:
        dt.datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return {TAG: "datetime", "value": text}


def to_decimal(raw: Any) -> Any:
    """A decimal number, or an integer as one."""
    if tag_of(raw) == "Decimal":
        return raw
    return {TAG: "Decimal", "value": str(raw)} if type(raw) is int else None


def tagged(tag: str) -> Callable[[Any], Any]:
    """What takes the objects of one tag as they are."""
    return lambda raw: raw if tag_of(raw) == tag else None
