"""Marks that are drawn many at a time: points, areas, meshes, pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from . import plain
from .drafts import Column, Draft
from .lines import positions
from .reader import Reader, as_color

_MAX_LEVELS = 100
_MAX_GROUPS = 50


def collections(reader: Reader) -> Iterator[Draft]:
    """A series for each collection that is not a part of something else."""
    for collection in reader.artists("collections"):
        names = [cls.__name__ for cls in type(collection).__mro__]
        read = next((_READERS[name] for name in names if name in _READERS), _other)
        try:
            yield from read(reader, collection)
        except Exception:
            yield Draft(kind="other", label=reader.label(collection))


def images(reader: Reader) -> Iterator[Draft]:
    """What can be said of a picture without its pixels."""
    for image in reader.artists("images"):
        array = image.get_array()
        facts: dict[str, Any] = {"shape": list(array.shape)}
        if array.ndim == 2:
            facts |= _range(array)
        facts["extent"] = [plain.number(edge) for edge in image.get_extent()]
        yield Draft(kind="image", label=reader.label(image), facts=facts)


def _range(array: Any) -> dict[str, Any]:
    finite = [value for value in (array.min(), array.max()) if math.isfinite(value)]
    if len(finite) < 2:
        values = [v for v in plain.sequence(array) if v is not None and math.isfinite(v)]
        finite = [min(values), max(values)] if values else [math.nan, math.nan]
    return {"min": plain.number(finite[0]), "max": plain.number(finite[1])}


def _points(reader: Reader, collection: Any) -> Iterator[Draft]:
    """Scattered points; one series for each color that the legend names."""
    offsets = collection.get_offsets()
    x, y = plain.sequence(offsets[:, 0]), plain.sequence(offsets[:, 1])
    if not x:
        return
    columns = positions(reader, x, y)
    for name, scale in (("x", reader.x), ("y", reader.y)):
        if scale.is_categorical:
            columns[name] = Column(values=columns[name].values, scale=scale, matching="nearest")
    values = collection.get_array()
    if values is not None and values.size == len(x):
        columns["color"] = Column(values=plain.sequence(values))
    sizes = plain.sequence(collection.get_sizes())
    if len(sizes) == len(x) and len(set(sizes)) > 1:
        columns["size"] = Column(values=sizes)
    yield from _by_color(reader, collection, columns, len(x))


def _by_color(
    reader: Reader, collection: Any, columns: dict[str, Column], count: int
) -> Iterator[Draft]:
    faces = collection.get_facecolor()
    names = [reader.legend.get(as_color(face)) for face in faces]
    groups = dict.fromkeys(names)
    if len(faces) != count or None in groups or not 1 < len(groups) <= _MAX_GROUPS:
        label = reader.label(collection, faces[0] if len(faces) == 1 else None)
        yield Draft(kind="scatter", label=label, columns=columns)
        return
    for group in groups:
        own = [place for place, name in enumerate(names) if name == group]
        picked = {
            name: Column(
                values=[column.values[place] for place in own],
                scale=column.scale,
                matching=column.matching,
            )
            for name, column in columns.items()
        }
        yield Draft(kind="scatter", label=group, columns=picked)


def _points_3d(reader: Reader, collection: Any) -> Iterator[Draft]:
    x, y, z = (plain.sequence(values) for values in collection._offsets3d)
    columns = positions(reader, x, y) | {"z": Column(values=z)}
    yield Draft(kind="scatter", label=reader.label(collection), columns=columns)


def _segments(reader: Reader, collection: Any) -> Iterator[Draft]:
    """Lines that have nothing to do with one another: a gap, null, between them."""
    x: list[Any] = []
    y: list[Any] = []
    for segment in collection.get_segments():
        if x:
            x.append(None)
            y.append(None)
        x += plain.sequence(segment[:, 0])
        y += plain.sequence(segment[:, 1])
    colors = collection.get_edgecolor()
    label = reader.label(collection, colors[0] if len(colors) == 1 else None)
    yield Draft(kind="line", label=label, columns=positions(reader, x, y))


def _polygons(reader: Reader, collection: Any) -> Iterator[Draft]:
    """An area between two curves, a violin, or cells that are colored by a value."""
    values = collection.get_array()
    paths = collection.get_paths()
    if values is not None and len(collection.get_offsets()) == values.size > 1:
        yield _cells(reader, collection, values)
        return
    shapes = [path.vertices.tolist() for path in paths]
    upright = [_between(shape) for shape in shapes]
    lying = [_between([point[::-1] for point in shape]) for shape in shapes]
    faces = collection.get_facecolor()
    label = reader.label(collection, faces[0] if len(faces) else None)
    curves, is_sideways = (upright, False) if all(upright) else (lying, True)
    if not shapes or not all(curves):
        yield Draft(kind="other", label=label, facts={"shapes": len(shapes)})
        return
    along, low, high = _joined([curve for curve in curves if curve])
    kind = "violin" if _is_symmetric(low, high) else "area"
    scales = (reader.y, reader.x) if is_sideways else (reader.x, reader.y)
    names = ("y", "x") if is_sideways else ("x", "y")
    facts: dict[str, Any] = {}
    if kind == "violin":
        place = scales[1].read([(low[0] + high[0]) / 2], "nearest")[0]
        if isinstance(place, str):
            label, facts = place, {"group": label} if label else {}
    columns = {
        names[0]: Column(values=along, scale=scales[0]),
        f"{names[1]}_low": Column(values=low),
        f"{names[1]}_high": Column(values=high),
    }
    yield Draft(kind=kind, label=label, columns=columns, facts=facts)


def _cells(reader: Reader, collection: Any, values: Any) -> Draft:
    offsets = collection.get_offsets()
    columns = positions(reader, plain.sequence(offsets[:, 0]), plain.sequence(offsets[:, 1]))
    columns["value"] = Column(values=plain.sequence(values))
    return Draft(kind="hexbin", label=reader.label(collection), columns=columns)


Curves = tuple[list[Any], list[Any], list[Any]]


def _between(shape: list[list[float]]) -> Curves | None:
    """Where, from and to, of a polygon that runs along one curve and back along the other."""
    if len(shape) > 1 and shape[0] == shape[-1]:
        shape = shape[:-1]
    count = len(shape) // 2 - 1
    if count < 1 or len(shape) % 2:
        return None
    there, back = shape[1 : count + 1], shape[count + 2 :][::-1]
    if any(one[0] != other[0] for one, other in zip(there, back, strict=True)):
        return None
    pairs = [sorted((one[1], other[1])) for one, other in zip(there, back, strict=True)]
    return [point[0] for point in there], [low for low, _ in pairs], [high for _, high in pairs]


def _joined(curves: list[Curves]) -> Curves:
    joined: Curves = ([], [], [])
    for curve in curves:
        for column, values in zip(joined, curve, strict=True):
            if column:
                column.append(None)
            column += values
    return joined


def _is_symmetric(low: list[Any], high: list[Any]) -> bool:
    """Around one line, as a violin is; and not a band of one width."""
    pairs = [(a, b) for a, b in zip(low, high, strict=True) if a is not None]
    middles = [(a + b) / 2 for a, b in pairs]
    widths = [b - a for a, b in pairs]
    reach = max(widths, default=0.0) * 1e-6
    same_middle = max(middles, default=0.0) - min(middles, default=0.0) <= reach
    return len(pairs) > 2 and same_middle and max(widths) - min(widths) > reach


def _mesh(reader: Reader, collection: Any) -> Iterator[Draft]:
    array = collection.get_array()
    facts = {"shape": list(array.shape), **_range(array)}
    yield Draft(kind="heatmap", label=reader.label(collection), facts=facts)


def _contour(reader: Reader, collection: Any) -> Iterator[Draft]:
    levels = [plain.number(level) for level in plain.sequence(collection.levels)[:_MAX_LEVELS]]
    facts: dict[str, Any] = {"levels": levels}
    facts |= {"min": plain.number(collection.zmin), "max": plain.number(collection.zmax)}
    yield Draft(kind="contour", label=reader.label(collection), facts=facts)


def _arrows(reader: Reader, collection: Any) -> Iterator[Draft]:
    columns = positions(reader, plain.sequence(collection.X), plain.sequence(collection.Y))
    columns["u"] = Column(values=plain.sequence(collection.U))
    columns["v"] = Column(values=plain.sequence(collection.V))
    yield Draft(kind="quiver", label=reader.label(collection), columns=columns)


def _surface(reader: Reader, collection: Any) -> Iterator[Draft]:
    yield Draft(kind="surface", label=reader.label(collection))


def _other(reader: Reader, collection: Any) -> Iterator[Draft]:
    yield Draft(kind="other", label=reader.label(collection))


_READERS: dict[str, Callable[[Any, Any], Iterator[Draft]]] = {
    "Path3DCollection": _points_3d,
    "Poly3DCollection": _surface,
    "Line3DCollection": _surface,
    "PathCollection": _points,
    "LineCollection": _segments,
    "Quiver": _arrows,
    "PolyCollection": _polygons,
    "QuadMesh": _mesh,
    "ContourSet": _contour,
}
