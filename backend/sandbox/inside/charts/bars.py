"""Bars, histograms, stems, points with error bars, and pies."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

from . import plain
from .drafts import Column, Draft
from .lines import positions
from .reader import Reader

_CLOSE = 1e-6
_ERROR_LINE_POINTS = (2, 6)
"""Without caps, and with them."""


def containers(reader: Reader) -> Iterator[Draft]:
    """A series for each container of an Axes; its parts are taken."""
    found = [(type(container).__name__, container) for container in reader.axes.containers]
    for name, container in found:
        if name == "BarContainer":
            reader.taken.update(map(id, container.patches))
            if container.errorbar is not None:
                _take_error_bar(reader, container.errorbar)
        elif name == "StemContainer":
            _take(reader, container.markerline, container.stemlines, container.baseline)
    for name, container in found:
        if name == "BarContainer" and container.patches:
            yield _bars(reader, container)
        elif name == "StemContainer":
            x, y = _line_data(container.markerline)
            label = reader.label(container)
            yield Draft(kind="stem", label=label, columns=positions(reader, x, y))
        elif name == "ErrorbarContainer" and id(container) not in reader.taken:
            _take_error_bar(reader, container)
            yield from _error_bar(reader, container)


def patches(reader: Reader) -> Iterator[Draft]:
    """Pies, and the outlines that histograms may be drawn as."""
    wedges = [patch for patch in reader.artists("patches") if type(patch).__name__ == "Wedge"]
    for ring in _rings(wedges):
        yield Draft(
            kind="pie",
            columns={
                "labels": Column(values=[_name(reader, wedge) for wedge in ring], is_text=True),
                "values": Column(values=[abs(w.theta2 - w.theta1) / 360 for w in ring]),
            },
            facts={"unit": "share of the whole"},
        )
    for patch in reader.artists("patches"):
        outline = _outline(patch)
        if outline is None:
            continue
        edges, counts, is_horizontal = outline
        yield _histogram(
            reader, reader.label(patch, patch.get_edgecolor()), edges, counts, is_horizontal
        )


def _bars(reader: Reader, container: Any) -> Draft:
    rectangles = container.patches
    is_horizontal = getattr(container, "orientation", "vertical") == "horizontal"
    named = [r for r in rectangles if not str(r.get_label()).startswith("_")]
    # A histogram's name is that of its first bar alone; bars that all have names are no one thing.
    bearer = named[0] if len(named) == 1 else container
    label = reader.label(bearer, rectangles[0].get_facecolor())
    along = [
        (r.get_y(), r.get_height()) if is_horizontal else (r.get_x(), r.get_width())
        for r in rectangles
    ]
    across = [
        (r.get_x(), r.get_width()) if is_horizontal else (r.get_y(), r.get_height())
        for r in rectangles
    ]
    values = [length for _, length in across]
    scale = reader.y if is_horizontal else reader.x
    if not scale.labels and len(along) > 1 and _touch(along):
        edges = [start for start, _ in along] + [sum(along[-1])]
        return _histogram(reader, label, edges, values, is_horizontal)
    middles = [start + width / 2 for start, width in along]
    value_scale = reader.x if is_horizontal else reader.y
    columns = {
        "x": Column(values=middles, scale=scale, matching="nearest"),
        "y": Column(values=values),
    }
    bases = [start for start, _ in across]
    if value_scale.is_date:
        # A length of time says nothing there; from when to when does.
        columns["y"] = Column(values=[sum(bar) for bar in across], scale=value_scale)
        columns["base"] = Column(values=bases, scale=value_scale)
    elif any(bases):
        columns["base"] = Column(values=bases)
    if is_horizontal:
        columns["x"], columns["y"] = columns["y"], columns["x"]
    if container.errorbar is not None:
        columns |= _errors(container.errorbar, len(values))
    else:
        columns |= _drawn_errors(reader, middles, is_horizontal)
    facts = {"orientation": "horizontal"} if is_horizontal else {}
    return Draft(kind="bar", label=label, columns=columns, facts=facts)


def _histogram(
    reader: Reader,
    label: str | None,
    edges: list[float],
    counts: list[float],
    is_horizontal: bool,
) -> Draft:
    return Draft(
        kind="histogram",
        label=label,
        columns={
            "edges": Column(values=edges, scale=reader.y if is_horizontal else reader.x),
            "counts": Column(values=counts),
        },
        facts={"orientation": "horizontal"} if is_horizontal else {},
        fences=True,
    )


def _touch(spans: Sequence[tuple[float, float]]) -> bool:
    """Whether each bar begins where the one before ends, as the bins of a histogram do."""
    reach = abs(sum(spans[-1]) - spans[0][0]) * _CLOSE
    return all(
        abs(start + width - following) <= reach
        for (start, width), (following, _) in itertools.pairwise(spans)
    )


def _outline(patch: Any) -> tuple[list[float], list[float], bool] | None:
    """Edges and counts of a histogram drawn as one line; None for any other patch."""
    kind = type(patch).__name__
    if kind == "StepPatch":
        values, edges, _ = patch.get_data()
        is_horizontal = patch.orientation == "horizontal"
        return plain.sequence(edges), plain.sequence(values), is_horizontal
    if kind != "Polygon":
        return None
    points = [tuple(point) for point in patch.get_xy().tolist()]
    for is_horizontal in (False, True):
        stairs = [point[::-1] for point in points] if is_horizontal else points
        steps = _stairs(stairs)
        if steps is not None:
            return *steps, is_horizontal
    return None


def _stairs(points: list[tuple[float, ...]]) -> tuple[list[float], list[float]] | None:
    """Up, along, down or up, along, ...: as far as the way leads to the right."""
    edges, counts = [], []
    place = 0
    while place + 2 < len(points):
        foot, head, end = points[place : place + 3]
        if foot[0] != head[0] or head[1] != end[1] or end[0] <= head[0]:
            break
        edges.append(head[0])
        counts.append(head[1])
        place += 2
    if not counts:
        return None
    return [*edges, points[place][0]], counts


def _rings(wedges: list[Any]) -> Iterator[list[Any]]:
    rings: dict[tuple[Any, ...], list[Any]] = {}
    for wedge in wedges:
        rings.setdefault((round(wedge.r, 6), wedge.width), []).append(wedge)
    yield from rings.values()


def _name(reader: Reader, wedge: Any) -> str:
    return reader.label(wedge, wedge.get_facecolor()) or ""


def _take(reader: Reader, *artists: Any) -> None:
    for artist in artists:
        reader.taken.add(id(artist))
        if isinstance(artist, list | tuple):
            _take(reader, *artist)


def _take_error_bar(reader: Reader, container: Any) -> None:
    _take(reader, container, *container.lines)


def _line_data(line: Any) -> tuple[list[Any], list[Any]]:
    return plain.sequence(line.get_xdata(orig=False)), plain.sequence(line.get_ydata(orig=False))


def _error_bar(reader: Reader, container: Any) -> Iterator[Draft]:
    line = container.lines[0]
    if line is not None:
        x, y = _line_data(line)
        label = reader.label(container, None) or reader.label(line)
    else:
        ends = container.lines[2][-1].get_segments()
        x = [math.fsum(end[:, 0]) / len(end) for end in ends if len(end)]
        y = [math.fsum(end[:, 1]) / len(end) for end in ends if len(end)]
        label = reader.label(container)
    columns = positions(reader, x, y) | _errors(container, len(x))
    yield Draft(kind="error_bar", label=label, columns=columns)


def _errors(container: Any, count: int) -> dict[str, Column]:
    """Where the bars of each point begin and end; nothing where points lack theirs."""
    columns: dict[str, Column] = {}
    directions = [("x", 0)] * bool(container.has_xerr) + [("y", 1)] * bool(container.has_yerr)
    for (name, place), bar in zip(directions, container.lines[2], strict=False):
        segments = bar.get_segments()
        if len(segments) != count or not all(len(segment) for segment in segments):
            continue
        columns[f"{name}_low"] = Column(values=[float(min(s[:, place])) for s in segments])
        columns[f"{name}_high"] = Column(values=[float(max(s[:, place])) for s in segments])
    return columns


def _drawn_errors(reader: Reader, middles: list[float], is_horizontal: bool) -> dict[str, Column]:
    """Error bars that were drawn as lines, one through the middle of each bar."""
    ends: dict[float, tuple[float, float, Any]] = {}
    for line in reader.artists("lines"):
        x, y = _line_data(line)
        along, across = (y, x) if is_horizontal else (x, y)
        if len(along) in _ERROR_LINE_POINTS:
            middle = round(math.fsum(along) / len(along), 9)
            ends[middle] = (min(across), max(across), line)
    found = [ends.get(round(middle, 9)) for middle in middles]
    spans = [span for span in found if span is not None]
    if not spans or len(spans) < len(found):
        return {}
    _take(reader, *(line for _, _, line in spans))
    name = "x" if is_horizontal else "y"
    return {
        f"{name}_low": Column(values=[low for low, _, _ in spans]),
        f"{name}_high": Column(values=[high for _, high, _ in spans]),
    }
