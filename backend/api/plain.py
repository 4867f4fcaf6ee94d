"""JSON that every reader takes: no NaN, no infinity, no half characters."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson
from starlette.responses import Response


def plain(value: Any) -> Any:
    """The value with what JSON or UTF-8 cannot say replaced: None for NaN, ``?`` for half a pair."""
    try:
        return orjson.loads(orjson.dumps(value))  # many times as fast as going through it
    except TypeError:  # half a pair, a number of more than 64 bits, or a key that is no text
        return _gone_through(value)


def as_json(value: Any) -> str:
    """The value as one line of JSON."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(_gone_through(value), ensure_ascii=False)


def plain_response(value: Any) -> Response:
    """A response with the value as JSON."""
    return Response(as_json(value), media_type="application/json")


def _gone_through(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", errors="replace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(_gone_through(key)): _gone_through(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_gone_through(each) for each in value]
    return value
