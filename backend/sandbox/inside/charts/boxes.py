"""Box plots, found by their lines.

An Axes keeps no record of them, only the lines in the order they were drawn in: box (unless that is
a patch), two whiskers, two caps, median, mean, fliers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from . import plain
from .drafts import Column, Draft
from .reader import Reader, as_color, has_line

_MAX_FLIERS = 100
_MOST_CORNERS = 11
"""Points of a box's first line, with notches."""
_CLOSE = 1e-9

Points = list[tuple[float, float]]


def boxes(reader: Reader) -> Iterator[Draft]:
    """A series for each box; its lines are taken."""
    lines = [line for line in reader.artists("lines") if not hasattr(line, "get_data_3d")]
    place = 0
    while place < len(lines):
        if len(lines[place].get_xdata(orig=False)) > _MOST_CORNERS:
            place += 1
            continue
        for is_horizontal in (False, True):
            found = _box(lines, place, is_horizontal)
            if found is not None:
                used, position, facts = found
                reader.taken.update(id(line) for line in lines[place : place + used])
                facts["group"] = _group(reader, position, is_horizontal)
                yield _draft(reader, position, facts, is_horizontal)
                place += used
                break
        else:
            place += 1


def _draft(reader: Reader, position: float, facts: dict[str, Any], is_horizontal: bool) -> Draft:
    scale = reader.y if is_horizontal else reader.x
    name = scale.read([position], "nearest")[0]
    fliers, group = facts.pop("fliers"), facts.pop("group")
    shown: dict[str, Any] = {key: plain.number(value) for key, value in facts.items()}
    if is_horizontal:
        shown["orientation"] = "horizontal"
    if group:
        shown["group"] = group
    shown["position"] = plain.number(position)
    if len(fliers) > _MAX_FLIERS:
        shown["flier_count"] = len(fliers)
    return Draft(
        kind="box",
        label=name if isinstance(name, str) else None,
        columns={"fliers": Column(values=fliers[:_MAX_FLIERS])},
        facts=shown,
    )


def _group(reader: Reader, position: float, is_horizontal: bool) -> str | None:
    """What the legend calls boxes of this one's color."""
    for patch in reader.artists("patches") if reader.legend else ():
        if type(patch).__name__ == "PathPatch":
            corners = patch.get_path().vertices[:4, int(is_horizontal)]
            if _same((corners.min() + corners.max()) / 2, position):
                return reader.legend.get(as_color(patch.get_facecolor()))
    return None


def _box(
    lines: list[Any], place: int, is_horizontal: bool
) -> tuple[int, float, dict[str, Any]] | None:
    """How many lines from here are one box, where it stands and what it says; None if none."""
    way = _Way(lines, place, is_horizontal)
    way.skip_outline()
    low, high = way.whisker(), way.whisker()
    if low is None or high is None or not _same(low[0][0], high[0][0]):
        return None
    position = low[0][0]
    (_, q1), (_, low_end) = low
    (_, q3), (_, high_end) = high
    if way.is_bar_at(low_end):
        way.step()
        if not way.is_bar_at(high_end):
            return None
        way.step()
    median = way.bar()
    if median is None or not _between(q1, median, q3):
        return None
    facts: dict[str, Any] = {
        "median": median,
        "q1": q1,
        "q3": q3,
        "whisker_low": low_end,
        "whisker_high": high_end,
    }
    mean = way.mean(position)
    if mean is not None:
        facts["mean"] = mean
    facts["fliers"] = way.fliers(position)
    return way.used, position, facts


class _Way:
    """The lines one after the other, as if the boxes stood upright."""

    def __init__(self, lines: list[Any], place: int, is_horizontal: bool) -> None:
        self._lines = lines
        self._start = self._place = place
        self._is_horizontal = is_horizontal

    @property
    def used(self) -> int:
        return self._place - self._start

    def step(self) -> None:
        self._place += 1

    def _points(self) -> Points:
        if self._place >= len(self._lines):
            return []
        line = self._lines[self._place]
        x = plain.sequence(line.get_xdata(orig=False))
        y = plain.sequence(line.get_ydata(orig=False))
        return list(zip(y, x, strict=True) if self._is_horizontal else zip(x, y, strict=True))

    def _is_unnamed(self) -> bool:
        return str(self._lines[self._place].get_label()) == "_nolegend_"

    def skip_outline(self) -> None:
        points = self._points()
        if len(points) in (5, 11) and points[0] == points[-1]:
            self.step()

    def whisker(self) -> Points | None:
        points = self._points()
        if len(points) != 2 or not _same(points[0][0], points[1][0]):
            return None
        self.step()
        return points

    def is_bar_at(self, height: float) -> bool:
        points = self._points()
        return len(points) == 2 and all(_same(y, height) for _, y in points)

    def bar(self) -> float | None:
        points = self._points()
        if len(points) != 2 or not _same(points[0][1], points[1][1]):
            return None
        self.step()
        return points[0][1]

    def mean(self, position: float) -> float | None:
        points = self._points()
        is_point = len(points) == 1 and _same(points[0][0], position)
        is_line = (
            len(points) == 2
            and _same(points[0][1], points[1][1])
            and not _same(points[0][0], points[1][0])
        )
        middle = sum(x for x, _ in points) / len(points) if points else math.nan
        if self._place >= len(self._lines) or self._is_unnamed():
            return None
        if not (is_point or (is_line and _same(middle, position))):
            return None
        self.step()
        return points[0][1]

    def fliers(self, position: float) -> list[float]:
        points = self._points()
        if self._place >= len(self._lines) or not self._is_unnamed():
            return []
        if any(not _same(x, position) for x, _ in points):
            return []
        # Without fliers an empty line is drawn all the same; a whisker has a line, fliers have not.
        if has_line(self._lines[self._place]):
            return []
        self.step()
        return [y for _, y in points]


def _same(one: float, other: float) -> bool:
    if math.isnan(one) and math.isnan(other):
        return True
    return math.isclose(one, other, rel_tol=_CLOSE, abs_tol=_CLOSE)


def _between(low: float, value: float, high: float) -> bool:
    return any(map(math.isnan, (low, value, high))) or low <= value <= high
