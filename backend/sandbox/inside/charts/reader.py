"""What reading the marks of an Axes needs to know of the Axes itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import plain
from .scales import Scale

_NO_LINE = ("none", "", " ")

Color = tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Reader:
    """What reading a mark needs to know of the Axes it is in."""

    axes: Any
    x: Scale
    y: Scale
    legend: dict[Color, str]
    """Color -> name, for marks that do not carry their name themselves."""
    taken: set[int]
    """Ids of the artists that have been read as part of something else."""

    def artists(self, name: str) -> Iterator[Any]:
        """The visible ones of a list of the Axes that nothing has taken yet."""
        for artist in list(getattr(self.axes, name, ())):
            if id(artist) not in self.taken and artist.get_visible():
                yield artist

    def label(self, artist: Any, color: Any = None) -> str | None:
        """Its name: its own, or the one its color has in the legend."""
        own = artist.get_label()
        if own is not None and str(own) and not str(own).startswith("_"):
            return plain.text(own)
        return self.legend.get(as_color(color)) if color is not None else None


def as_color(color: Any) -> Color:
    """Red, green and blue; the same mark may be drawn more or less transparent."""
    return tuple(round(float(part), 3) for part in plain.sequence(color)[:3])


def has_line(line: Any) -> bool:
    """Whether its points are joined, and not markers alone."""
    return str(line.get_linestyle()).lower() not in _NO_LINE


def line_color(line: Any) -> Any:
    """The color a reader tells this line by: of its markers, where it has nothing else."""
    colors: Any = sys.modules["matplotlib.colors"]
    return colors.to_rgba(line.get_color() if has_line(line) else line.get_markerfacecolor())
