"""Lines, with or without markers, and what stands on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import plain
from .drafts import Column, Draft
from .reader import Reader, has_line, line_color


def lines(reader: Reader) -> Iterator[Draft]:
    """A series for each line that is not a part of something else."""
    for line in reader.artists("lines"):
        if hasattr(line, "get_slope"):
            continue  # an endless line, without points
        if hasattr(line, "get_data_3d"):
            x, y, z = (plain.sequence(values) for values in line.get_data_3d())
            columns = positions(reader, x, y) | {"z": Column(values=z)}
            yield Draft(kind="line", label=_label(reader, line), columns=columns)
            continue
        with_x, with_y = line.get_transform().contains_branch_seperately(reader.axes.transData)
        x = plain.sequence(line.get_xdata(orig=False))
        y = plain.sequence(line.get_ydata(orig=False))
        if with_x and with_y and x:
            yield _line(reader, line, x, y)
        elif with_x and x:
            yield Draft(
                kind="reference_line",
                label=_label(reader, line),
                columns={"x": Column(values=x[:1], scale=reader.x)},
            )
        elif with_y and y:
            yield Draft(
                kind="reference_line",
                label=_label(reader, line),
                columns={"y": Column(values=y[:1], scale=reader.y)},
            )


def positions(reader: Reader, x: list[Any], y: list[Any], matching: Any = "exact") -> Any:
    """The two columns that most series have."""
    return {
        "x": Column(values=x, scale=reader.x, matching=matching),
        "y": Column(values=y, scale=reader.y, matching=matching),
    }


def _line(reader: Reader, line: Any, x: list[Any], y: list[Any]) -> Draft:
    style = str(line.get_drawstyle())
    return Draft(
        kind="line" if has_line(line) else "scatter",
        label=_label(reader, line),
        columns=positions(reader, x, y),
        facts={"steps": style} if style.startswith("steps") else {},
    )


def _label(reader: Reader, line: Any) -> str | None:
    return reader.label(line, line_color(line))
