"""A series while it is read: whole columns, made plain only when it is known how many points fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import plain
from .scales import Matching, Scale

Chart = dict[str, Any]

MAX_POINTS = 1000
"""Of one series."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """The values of a series in one direction."""

    values: list[Any]
    scale: Scale | None = None
    """The axis they are positions on; None for plain numbers."""
    matching: Matching = "exact"
    is_text: bool = False

    def read(self, places: list[int]) -> list[Any]:
        """The values at these places, as JSON has them."""
        values = [self.values[place] for place in places if place < len(self.values)]
        if self.is_text:
            return [plain.text(value) for value in values]
        if self.scale is not None:
            return self.scale.read(values, self.matching)
        return [plain.number(value) for value in values]


@dataclass(frozen=True, kw_only=True)
class Draft:
    """One series: a kind, a name, columns of one length, and facts that are plain already."""

    kind: str
    label: str | None = None
    columns: Mapping[str, Column] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    fences: bool = False
    """The first column has one value more than the others, like the edges of bins."""

    @property
    def points(self) -> int:
        """How many there are."""
        return (
            max((len(column.values) for column in self.columns.values()), default=0) - self.fences
        )

    def finish(self, most: int) -> Chart:
        """The series with at most so many points, evenly thinned where it has more."""
        series: Chart = {"type": self.kind, "label": self.label, **self.facts}
        places = plain.pick(self.points, most)
        for number, (name, column) in enumerate(self.columns.items()):
            last = [self.points] if self.fences and number == 0 else []
            series[name] = column.read(places + last)
        if len(places) < self.points:
            series |= {"points": self.points, "thinned": True}
        return series
