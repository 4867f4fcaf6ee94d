"""A figure as charts: one for each Axes with something in it, cut to what a reader can take."""

from __future__ import annotations

import warnings
from typing import Any

from . import plain
from .axes import Panel, read
from .drafts import MAX_POINTS, Chart

MAX_AXES = 20
MAX_SERIES = 50
MAX_BYTES = 64 * 1024
"""Of one figure, as JSON text."""

_LIKELY_POINTS = 12_000
"""More than these do not fit into ``MAX_BYTES`` anyhow."""
_FEWEST_POINTS = 8


def describe(figure: Any, most_bytes: int = MAX_BYTES) -> list[Chart]:
    """What each Axes of a matplotlib figure shows, in the order in which they were made.

    A chart has ``type, title, x_label, y_label, x_scale, y_scale, series``, and where they apply
    ``figure_title, x_ticks, x_tick_labels, y_ticks, y_tick_labels, legend, legend_title,
    color_label, projection, z_label``, ``twin_of`` (the number of the chart that it is drawn over)
    and ``series_left_out``. A series has ``type``, ``label``, and by type ``x`` and ``y``,
    ``edges`` and ``counts``, ``labels`` and ``values``, and so on; a series of more points than
    fit is thinned evenly and says ``points`` and ``thinned``. JSON values only. Never raises: of a
    figure that cannot be read, what can be is given.

    Args:
        figure: the figure; it is not changed.
        most_bytes: how long the whole may be as JSON text.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _fit(_panels(figure), most_bytes)
        except Exception:
            return []


def _panels(figure: Any) -> list[Panel]:
    found: list[Panel] = []
    boxes: list[tuple[float, ...]] = []
    for axes in _all_axes(figure):
        try:
            panel = read(axes)
        except Exception:
            panel = Panel(facts={"title": None}, drafts=[])
        if panel is None:
            continue
        place = _place(axes)
        if place in boxes:
            panel.facts["twin_of"] = boxes.index(place)
        boxes.append(place)
        found.append(panel)
        if len(found) == MAX_AXES:
            break
    title = _suptitle(figure)
    if title:
        for panel in found:
            panel.facts["figure_title"] = title
    return found


def _all_axes(figure: Any) -> list[Any]:
    found: list[Any] = []
    for axes in figure.axes:
        found.append(axes)
        found += [child for child in axes.child_axes if child not in figure.axes]
    return found


def _place(axes: Any) -> tuple[float, ...]:
    return tuple(round(edge, 6) for edge in axes.get_position(original=True).bounds)


def _suptitle(figure: Any) -> str:
    try:
        return plain.text(getattr(figure, "_suptitle", None).get_text())  # type: ignore[union-attr]
    except Exception:
        return ""


def _fit(panels: list[Panel], most_bytes: int) -> list[Chart]:
    """Fewer points, then fewer series, then fewer charts, until it is short enough."""
    counts = [draft.points for panel in panels for draft in panel.drafts[:MAX_SERIES]]
    points, series = MAX_POINTS, MAX_SERIES
    while points > _FEWEST_POINTS and sum(min(points, n) for n in counts) > _LIKELY_POINTS:
        points //= 2
    while panels:
        charts = [_finish(panel, points, series) for panel in panels]
        size = _size(charts)
        if size <= most_bytes:
            return charts
        if points > _FEWEST_POINTS:
            points = max(_FEWEST_POINTS, min(points * 3 // 4, points * most_bytes // size))
        elif series > 1:
            series //= 2
        else:
            panels = panels[: len(panels) // 2]
    return []


def _finish(panel: Panel, points: int, series: int) -> Chart:
    chart = dict(panel.facts)
    chart["series"] = [draft.finish(points) for draft in panel.drafts[:series]]
    if len(panel.drafts) > series:
        chart["series_left_out"] = len(panel.drafts) - series
    return chart


def _size(charts: list[Chart]) -> int:
    import json

    return len(json.dumps(charts))
