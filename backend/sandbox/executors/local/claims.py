"""What a program says of itself, made harmless: none of it is believed, all of it is bounded."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.types import CheckResult, Failure, FailureFrame

HTML_BYTES = 256 * 1024
"""Of the last expression's value as HTML; what is longer is not handed out."""

CHARTS_BYTES = 512 * 1024
"""Of all charts of a run together, as JSON text."""

FAILURE_BYTES = 128 * 1024
"""Of the exception that ended a program, as JSON text."""

OUTPUTS_BYTES = 640 * 1024
"""Of all values that were asked for together, as JSON text; checks come on top of it."""

OUTPUTS_BRACKETS = 30_000
"""Lists and objects of all of them together."""

NAMES_BYTES = 128 * 1024
"""Of the names that a program leaves, with what they stand for, as JSON text."""

_MAX_NAMES = 500
_MAX_OUTPUTS_DEPTH = 100
_SURROGATE = re.compile(r"\\u[dD]")
_CHECK_CHARS = 1000
_MAX_FRAMES = 8
_MAX_VARIABLES = 16
_NAME_CHARS = 200
_TEXT_CHARS = 4096
_MAX_CHARTS = 1000
_MAX_DEPTH = 16
_MAX_BRACKETS = 40_000
"""Lists and objects of a claim: reading them takes the longest, and everyone waits."""
_EXACT = 2**53
"""Up to here every reader of JSON has the same integer."""
_LARGEST = sys.float_info.max


def text_of(claim: bytes | None, most_bytes: int) -> str | None:
    """A claim as text, cut to so many bytes; a sign in place of what is no UTF-8."""
    return None if claim is None else claim[:most_bytes].decode("utf-8", "replace")


def html_of(claim: bytes | None) -> str | None:
    """A claim as markup, which stays untrusted; None for half of one, which would mislead."""
    if claim is None or len(claim) > HTML_BYTES:
        return None
    return claim.decode("utf-8", "replace")


def charts_of(claim: bytes | None) -> tuple[dict[str, Any], ...]:
    """A claim as charts: plain JSON values that every reader takes; none of them if it is no such.

    Numbers that are infinite, NaN or beyond what is exact become None.
    """
    if claim is None or len(claim) > CHARTS_BYTES:
        return ()
    if claim.count(b"[") + claim.count(b"{") > _MAX_BRACKETS:
        return ()
    try:
        found = json.loads(claim)
        if not isinstance(found, list) or len(found) > _MAX_CHARTS:
            return ()
        return tuple(_harmless_chart(each) for each in found)
    except (ValueError, RecursionError):
        return ()


def failure_of(claim: bytes | None) -> Failure | None:
    """A claim as the exception that ended a program; None if it is no such."""
    if claim is None or len(claim) > FAILURE_BYTES:
        return None
    if claim.count(b"[") + claim.count(b"{") > _MAX_BRACKETS:
        return None
    try:
        found = json.loads(claim)
        frames = found["frames"]
        if not isinstance(frames, list) or len(frames) > _MAX_FRAMES:
            return None
        return Failure(
            type=_name(found["type"]),
            message=_text(found["message"]),
            frames=tuple(map(_failure_frame, frames)),
        )
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
        return None


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What was asked for of a program that has ended well."""

    values: dict[str, Any] | None
    checks: tuple[CheckResult, ...]


def outputs_of(claim: bytes | None) -> Outputs:
    """A claim as values by name, plain JSON, and as results of checks; nothing if it is no such."""
    try:
        if claim is None or claim.count(b"[") + claim.count(b"{") > _MAX_BRACKETS:
            raise ValueError("nothing, or too much")
        text = claim.decode()
        found = json.loads(text, parse_constant=_refuse_constant)
        values, checks = found["outputs"], found["checks"]
        if not isinstance(values, dict) or not isinstance(checks, list):
            raise ValueError("no such claim")
        _require_shallow(values)
        # Half a surrogate pair can only have been written so; our own encoder never does.
        if _SURROGATE.search(text):
            values = _exact(values)
        return Outputs(values=values, checks=tuple(map(_check_result, checks)))
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
        return Outputs(values=None, checks=())


def names_of(claim: bytes | None) -> dict[str, str] | None:
    """A claim as names with a line about each; None if it is no such."""
    if claim is None or len(claim) > NAMES_BYTES:
        return None
    if claim.count(b"[") + claim.count(b"{") > _MAX_BRACKETS:
        return None
    try:
        found = json.loads(claim)
        if not isinstance(found, dict) or len(found) > _MAX_NAMES:
            return None
        if not all(name.isidentifier() for name in found):
            return None
        return {_name(name): " ".join(_text(line).split()) for name, line in found.items()}
    except (ValueError, RecursionError):
        return None


def _check_result(told: Mapping[str, Any]) -> CheckResult:
    holds, values = told["holds"], told["values"]
    if not (holds is None or isinstance(holds, bool)) or len(values) > _MAX_VARIABLES:
        raise ValueError("no result of a check")
    return CheckResult(
        check=_text(told["check"])[:_CHECK_CHARS],
        holds=holds,
        values={_name(key): _text(value) for key, value in values.items()},
        error=_text(told["error"]),
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _require_shallow(value: Any) -> None:
    level = [value]
    for _ in range(_MAX_OUTPUTS_DEPTH):
        level = [
            inner
            for each in level
            for inner in (each.values() if type(each) is dict else each)
            if type(inner) is list or type(inner) is dict
        ]
        if not level:
            return
    raise ValueError("too deep")


def _exact(value: Any) -> Any:
    """Plain JSON as it is, but for its texts."""
    if isinstance(value, str):
        return _harmless_text(value)
    if isinstance(value, list):
        return [_exact(each) for each in value]
    if isinstance(value, dict):
        return {_harmless_text(key): _exact(each) for key, each in value.items()}
    return value


def _failure_frame(frame: Mapping[str, Any]) -> FailureFrame:
    line, variables = frame["line"], frame["variables"]
    if type(line) is not int or not 0 <= line <= _EXACT or len(variables) > _MAX_VARIABLES:
        raise ValueError("no frame")
    return FailureFrame(
        line=line,
        function=_name(frame["function"]),
        source=_text(frame["source"]),
        variables={_name(key): _text(value) for key, value in variables.items()},
    )


def _name(text: Any) -> str:
    return _text(text)[:_NAME_CHARS]


def _text(text: Any) -> str:
    if not isinstance(text, str):
        raise ValueError(f"a {type(text).__name__} is no text")
    return _harmless_text(text)[:_TEXT_CHARS]


def _harmless_chart(chart: object) -> dict[str, Any]:
    if not isinstance(chart, dict):
        raise ValueError(f"a {type(chart).__name__} is no chart")
    return {_harmless_text(key): _harmless(value, _MAX_DEPTH) for key, value in chart.items()}


def _harmless(value: Any, depth: int) -> Any:
    if depth == 0:
        raise ValueError("too deep")
    if isinstance(value, str):
        return _harmless_text(value)
    if isinstance(value, list):
        # Most values are numbers of a long list.
        return [
            each
            if (type(each) is int and -_EXACT <= each <= _EXACT)
            or (type(each) is float and -_LARGEST <= each <= _LARGEST)
            else _harmless(each, depth - 1)
            for each in value
        ]
    if isinstance(value, dict):
        return {_harmless_text(key): _harmless(each, depth - 1) for key, each in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value if -_EXACT <= value <= _EXACT else None
    return value


def _harmless_text(text: str) -> str:
    """Half a surrogate pair cannot be written down by whoever passes it on."""
    return text.encode("utf-8", "replace").decode()
