"""Positions along an axis as what a reader sees there: a number, a date or a text."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from typing import Any, Literal

from . import plain

_MAX_LABELS = 200
_CLOSE = 1e-6

Matching = Literal["exact", "nearest"]
"""``nearest``: what stands beside a label belongs to it, like the bars of a group."""


class Scale:
    """One axis of one Axes: its kind, and the texts at its ticks."""

    def __init__(self, axis: Any, freq: Any = None) -> None:
        self._axis = axis
        self._freq = freq
        """What pandas counts by on this axis, if it does."""
        self._categories = _categories(axis)
        self.labels = self._categories or _tick_labels(axis)
        """Position -> text, where the ticks are named; else empty."""
        self._spacing = _spacing(self.labels)
        self.is_date = _is_date(axis)
        """Whether dates were plotted along it."""

    def read(self, positions: Sequence[Any], matching: Matching = "exact") -> list[Any]:
        """Texts where all positions have one, ISO dates on a date axis, else numbers or null."""
        if self._categories and matching == "exact":
            return [self._near(position, _CLOSE) for position in positions]
        if self.labels:
            reach = self._spacing / 2 if matching == "nearest" else _CLOSE
            named = [self._near(position, reach) for position in positions]
            if all(isinstance(name, str) for name in named):
                return named
        if self._freq is not None:
            return self._periods(positions)
        if self.is_date:
            return self._dates(positions)
        return [plain.number(position) for position in positions]

    @property
    def is_categorical(self) -> bool:
        """Whether texts, not numbers, were plotted along it."""
        return bool(self._categories)

    def ticks(self) -> tuple[list[Any], list[str]]:
        """Positions and texts of the named ticks, in order."""
        places = sorted(self.labels)[:_MAX_LABELS]
        return [plain.number(place) for place in places], [self.labels[place] for place in places]

    def _near(self, position: Any, reach: float) -> Any:
        value = plain.number(position)
        if value is None or not self.labels:
            return value
        place = min(self.labels, key=lambda place: abs(place - value))
        return self.labels[place] if abs(place - value) <= reach else value

    def _dates(self, positions: Sequence[Any]) -> list[Any]:
        dates: Any = sys.modules.get("matplotlib.dates")
        values = [plain.number(position) for position in positions]
        if dates is None:
            return values
        zone = getattr(self._axis, "units", None)
        found: list[Any] = []
        for value in values:
            try:
                moment = None if value is None else dates.num2date(value, tz=zone)
            except Exception:
                return values
            if moment is not None and zone is None:
                moment = moment.replace(tzinfo=None)
            found.append(moment)
        return _iso(found)

    def _periods(self, positions: Sequence[Any]) -> list[Any]:
        pandas: Any = sys.modules.get("pandas")
        values = [plain.number(position) for position in positions]
        try:
            return _iso(
                [
                    None
                    if value is None
                    else pandas.Period(ordinal=int(value), freq=self._freq).start_time
                    for value in values
                ]
            )
        except Exception:
            return values


def _iso(moments: list[Any]) -> list[Any]:
    """Days alone where no moment has a time of day."""
    has_times = any(
        moment is not None and (moment.hour or moment.minute or moment.second or moment.microsecond)
        for moment in moments
    )
    return [
        None if moment is None else moment.isoformat() if has_times else moment.date().isoformat()
        for moment in moments
    ]


def _categories(axis: Any) -> dict[float, str]:
    mapping = getattr(getattr(axis, "units", None), "_mapping", None)
    if not isinstance(mapping, dict):
        return {}
    return {float(place): plain.text(name) for name, place in mapping.items()}


def _tick_labels(axis: Any) -> dict[float, str]:
    """Texts that were set at ticks, unless they only spell the positions out."""
    formatter = axis.get_major_formatter()
    function: Any = getattr(formatter, "func", None)
    inner = getattr(getattr(function, "func", None), "__name__", "")
    if inner == "_format_with_dict":
        found = dict(function.args[0])
    elif hasattr(formatter, "seq"):
        found = dict(zip(axis.get_majorticklocs().tolist(), formatter.seq, strict=False))
    else:
        return {}
    labels = {float(place): plain.text(label) for place, label in found.items()}
    labels = {place: label for place, label in labels.items() if label}
    return {} if all(_spells(label, place) for place, label in labels.items()) else labels


def _spells(label: str, place: float) -> bool:
    try:
        return float(label) == place
    except ValueError:
        return False


def _spacing(labels: dict[float, str]) -> float:
    places = sorted(labels)
    return min((b - a for a, b in itertools.pairwise(places)), default=1.0)


def _is_date(axis: Any) -> bool:
    converter = (
        axis.get_converter() if hasattr(axis, "get_converter") else getattr(axis, "converter", None)
    )
    names = {cls.__name__ for cls in type(converter).__mro__}
    return bool(names & {"DateConverter", "_SwitchableDateConverter"})
