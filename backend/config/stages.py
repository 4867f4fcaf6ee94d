"""Options of single stages, as one setting says them.

``review model=ollama:qwen3:4b temperature=0; repair temperature=0.4``: the stage, then its options.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

from backend.types import Stage


@dataclass(frozen=True, kw_only=True)
class StageOptions:
    """What one stage has of its own; None where it has what all have."""

    model: str | None = None
    """``provider:model``, or a bare name of the configured provider's."""
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None


def _between(kind: Callable[[str], float], least: float, most: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            whole = "a whole number" if kind is int else "a number"
            raise ValueError(f"write {whole} from {least:.10g} to {most:.10g}")
        return value

    return read


_OPTIONS: dict[str, Callable[[str], Any]] = {
    "model": str,
    "temperature": _between(float, 0, 2),
    "top_p": _between(float, 0.01, 1),
    "max_tokens": _between(int, 64, 200_000),
    "seed": _between(int, 0, 2**31 - 1),
}


def parse_stages(text: str) -> dict[Stage, StageOptions]:
    """Read ``STAGE OPTION=VALUE ...; STAGE ...``.

    Raises:
        ValueError: says what is wrong, and what is allowed.
    """
    found: dict[Stage, StageOptions] = {}
    for entry in filter(None, map(str.strip, text.split(";"))):
        name, *options = entry.split()
        stage = _known(name, get_args(Stage), "stage")
        if stage in found:
            raise ValueError(f"the stage {name!r} stands there twice")
        if not options:
            raise ValueError(f"the stage {name!r} has no option; write {name} temperature=0")
        found[stage] = StageOptions(**_read_options(name, options))
    return found


def _read_options(stage: str, options: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for option in options:
        name, value = _option(stage, option)
        if name in values:
            raise ValueError(f"{name} of the stage {stage!r} stands there twice")
        values[name] = value
    return values


def _option(stage: str, text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not value:
        raise ValueError(f"{text!r} of the stage {stage!r} is no option; write NAME=VALUE")
    _known(name, tuple(_OPTIONS), "option")
    try:
        return name, _OPTIONS[name](value)
    except ValueError as error:
        raise ValueError(f"{name} of the stage {stage!r} is {value!r}: {error}") from None


def _known(name: str, names: tuple[str, ...], what: str) -> Any:
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=1)
    meant = f"; {near[0]!r} is meant" if near else ""
    raise ValueError(f"there is no {what} {name!r}{meant}. There are {', '.join(names)}")
