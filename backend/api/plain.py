"""JSON that every reader takes: no NaN, no infinity, no half characters."""

from __future__ import annotations

import math
from typing import Any

from fastapi.responses import JSONResponse


def plain(value: Any) -> Any:
    """The value with what JSON or UTF-8 cannot say replaced: None for NaN, ``?`` for half a pair."""
    if isinstance(value, str):
        return value.encode("utf-8", errors="replace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(plain(key)): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def plain_response(value: Any) -> JSONResponse:
    """A response with the value; it is gone through only if something in it cannot be said."""
    try:
        return JSONResponse(value)
    except ValueError:  # NaN or infinity, or, as a UnicodeEncodeError, half a pair
        return JSONResponse(plain(value))
