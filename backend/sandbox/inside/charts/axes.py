"""One Axes as a chart: its words, its ticks, and a series for each thing drawn in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from . import bars, boxes, lines, marks, plain
from .drafts import Draft
from .reader import Reader, as_color, line_color
from .scales import Scale

_TELLING = (
    "pie box violin image heatmap contour hexbin histogram bar surface quiver stem error_bar "
    "scatter line area reference_line other"
).split()
"""What a chart of several kinds of series is called after: the first of these it has."""

_MAX_LEGEND = 50


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A chart while it is read."""

    facts: dict[str, Any]
    drafts: list[Draft]


def read(axes: Any) -> Panel | None:
    """The chart in an Axes; None where there is nothing in it, or it belongs to another."""
    if not axes.get_visible() or getattr(axes, "_colorbar", None) is not None:
        return None
    freq = getattr(axes, "freq", None)
    reader = Reader(
        axes=axes,
        x=Scale(axes.xaxis, freq),
        y=Scale(axes.yaxis),
        legend=_or(lambda: _legend_colors(axes), {}),
        taken=set(),
    )
    drafts: list[Draft] = []
    for read_some in (
        bars.containers,
        boxes.boxes,
        bars.patches,
        marks.collections,
        marks.images,
        lines.lines,
    ):
        drafts += _collect(read_some, reader)
    if not drafts and not _has_anything(axes):
        return None
    return Panel(facts=_facts(reader, drafts), drafts=drafts)


def _collect(read_some: Callable[[Reader], Iterator[Draft]], reader: Reader) -> list[Draft]:
    """What could be read before something could not."""
    found: list[Draft] = []
    try:
        for draft in read_some(reader):
            found.append(draft)
    except Exception:
        return found
    return found


def _has_anything(axes: Any) -> bool:
    return bool(axes.texts or axes.patches or axes.tables or axes.get_title())


def _facts(reader: Reader, drafts: list[Draft]) -> dict[str, Any]:
    axes = reader.axes
    facts: dict[str, Any] = {
        "type": _or(lambda: _type(drafts), "other"),
        "title": _or(lambda: _title(axes), ""),
        "x_label": _or(lambda: plain.text(axes.get_xlabel()), ""),
        "y_label": _or(lambda: plain.text(axes.get_ylabel()), ""),
        "x_scale": _or(lambda: plain.text(axes.get_xscale()), "linear"),
        "y_scale": _or(lambda: plain.text(axes.get_yscale()), "linear"),
    }
    for name, scale in (("x", reader.x), ("y", reader.y)):
        places, labels = scale.ticks()
        if labels:
            facts |= {f"{name}_ticks": places, f"{name}_tick_labels": labels}
    facts |= _or(lambda: _legend(axes), {})
    facts |= _or(lambda: _depth(axes), {})
    color_label = _or(lambda: _color_label(axes), "")
    if color_label:
        facts["color_label"] = color_label
    return facts


def _type(drafts: list[Draft]) -> str:
    kinds = {draft.kind for draft in drafts}
    if "area" in kinds and kinds <= {"line", "area"}:
        # A line along the upper edge belongs to its area; one between the edges has a band.
        edges = [draft.columns["y_high"].values for draft in drafts if "y_high" in draft.columns]
        lines = [draft.columns["y"].values for draft in drafts if draft.kind == "line"]
        if any(line in edges for line in lines):
            return "area"
    return next((kind for kind in _TELLING if kind in kinds), "other")


def _or(read_it: Callable[[], Any], otherwise: Any) -> Any:
    """One fact that cannot be read does not cost the others."""
    try:
        return read_it()
    except Exception:
        return otherwise


def _title(axes: Any) -> str:
    parts = [axes.get_title(loc=place) for place in ("left", "center", "right")]
    return plain.text(" ".join(part for part in parts if part))


def _legend(axes: Any) -> dict[str, Any]:
    legend = axes.get_legend()
    if legend is None:
        return {}
    facts = {"legend": [plain.text(text.get_text()) for text in legend.get_texts()[:_MAX_LEGEND]]}
    title = plain.text(legend.get_title().get_text())
    return facts | ({"legend_title": title} if title and title != "None" else {})


def _legend_colors(axes: Any) -> dict[tuple[float, ...], str]:
    legend = axes.get_legend() or next(iter(axes.figure.legends), None)
    if legend is None:
        return {}
    handles = getattr(legend, "legend_handles", None) or []
    found: dict[tuple[float, ...], str] = {}
    for handle, text in zip(handles, legend.get_texts(), strict=False):
        for color in _colors_of(handle):
            found.setdefault(color, plain.text(text.get_text()))
    return found


def _colors_of(handle: Any) -> Iterator[tuple[float, ...]]:
    if hasattr(handle, "get_color"):
        yield as_color(line_color(handle))
    elif hasattr(handle, "get_facecolor"):
        face = handle.get_facecolor()
        yield as_color(face[0] if getattr(face, "ndim", 1) == 2 else face)


def _depth(axes: Any) -> dict[str, Any]:
    facts = {} if axes.name == "rectilinear" else {"projection": plain.text(axes.name)}
    if hasattr(axes, "get_zlabel"):
        facts["z_label"] = plain.text(axes.get_zlabel())
    return facts


def _color_label(axes: Any) -> str:
    """What the color bar beside this Axes says it measures."""
    for other in axes.figure.axes:
        bar = getattr(other, "_colorbar", None)
        if bar is not None and bar.mappable.axes is axes:
            return plain.text(other.get_ylabel() or other.get_xlabel())
    return ""
