"""JSON as every database takes it, and can look into it."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson


def storable(text: str) -> str:
    """A text as every database takes it: no lone surrogates, no NUL."""
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()


def storable_json(value: Any) -> str:
    """Plain JSON values as text; what a database refuses in them is written as ``storable`` does.

    What is no number (NaN, infinity) becomes null: JSON has no word for it.
    """
    try:
        text = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # a lone surrogate, or a number of more than 64 bits
        return json.dumps(_clean(value), ensure_ascii=False, allow_nan=False)
    return json.dumps(_clean(value), ensure_ascii=False) if "\\u0000" in text else text


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {_clean(key): _clean(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
