"""Values of a program that were asked for, as plain JSON: encoded after it has ended well.

Plain values are what they are in JSON; everything else is an object that says in ``$type`` what it
is. A dict whose keys are not all texts is such an object, too, so nothing can be mistaken. No library
is imported here: what a value comes from is imported already.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from . import checks, tables
from .places import workspace

TAG = "$type"

_MOST_BYTES = 1_000_000
"""Of all that is told together: nobody listens to a longer frame."""
_MOST_DEPTH = 24
_EXACT = 2**53
"""Up to here every reader of JSON has the same integer."""
_LARGEST = sys.float_info.max
_NAME_CHARS = 80
_LISTS: tuple[Any, ...] = (list, range, deque, type({}.keys()), type({}.values()))


class NotHandedOut(Exception):
    """A value cannot be put into JSON; the message says why, as the rest of a sentence."""


class Room:
    """Bytes and brackets that there is room for in JSON, counted before anything is made."""

    def __init__(self, size: int, brackets: int) -> None:
        self.size, self.brackets = size, brackets

    def take(self, size: int, brackets: int = 0) -> None:
        """Take some of it.

        Raises:
            NotHandedOut: there is not as much.
        """
        self.size -= size
        self.brackets -= brackets
        if self.size < 0 or self.brackets < 0:
            raise NotHandedOut(
                "more than what is handed out as values: hand out a summary, or write it to a file"
            )


def claim(namespace: Mapping[str, Any], asked: Mapping[str, Any]) -> bytes:
    """The JSON text of all that is asked for: first the values, then the checks.

    Args:
        namespace: the program's names.
        asked: the names of ``outputs`` and the ``checks``; how many ``bytes`` and ``brackets`` all
            values may take together.
    """
    values = as_json(namespace, asked["outputs"], asked["bytes"], asked["brackets"])
    told = [checks.check(each, namespace) for each in asked["checks"]]
    data = _claim(values, told)
    if len(data) > _MOST_BYTES:
        data = _claim(values, [each | {"values": {}} for each in told])
    return data


def _claim(values: str, told: Sequence[Mapping[str, Any]]) -> bytes:
    return f'{{"outputs": {values}, "checks": {_dump(told)}}}'.encode("utf-8", "replace")


def as_json(
    namespace: Mapping[str, Any], names: Sequence[str], most_bytes: int, most_brackets: int
) -> str:
    """A JSON object of the values of those names that are defined.

    One that cannot be encoded, or for which there is no room beside those before it, says so
    instead.
    """
    texts = []
    size, brackets = most_bytes, most_brackets
    for name in names:
        if name not in namespace:
            continue
        text = _text_of(namespace[name], Room(size, brackets))
        size -= len(text.encode())
        brackets -= text.count("[") + text.count("{")
        texts.append(f"{_dump(name)}: {text}")
    return "{" + ", ".join(texts) + "}"


def _text_of(value: Any, room: Room) -> str:
    """The value's JSON text; if that is not possible, one that says why."""
    size, brackets = room.size, room.brackets
    try:
        text = _dump(encode(value, room))
        Room(size, brackets).take(len(text.encode()), text.count("[") + text.count("{"))
        return text
    except NotHandedOut as reason:
        why = str(reason)
    except BaseException as error:  # whatever the value's own methods raise
        why = f"reading it raised {type(error).__name__}"
    return _dump({TAG: "unavailable", "is": _what(value), "why": why})


def _dump(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def encode(value: Any, room: Room, depth: int = 0) -> Any:
    """One value.

    Raises:
        NotHandedOut: it is of no known kind, too much or too deep.
    """
    cls = type(value)
    if value is None or cls is bool:
        room.take(5)
        return value
    if cls is int and -_EXACT <= value <= _EXACT:
        room.take(2)
        return value
    if cls is float and -_LARGEST <= value <= _LARGEST:
        room.take(3)
        return value
    if depth >= _MOST_DEPTH:
        raise NotHandedOut(f"nested more than {_MOST_DEPTH} levels deep")
    if isinstance(value, str):
        return _text(value, room)
    room.take(24, 2)
    for kinds, encoder in _ENCODERS:
        if isinstance(value, kinds):
            return encoder(value, room, depth)
    return _of_a_library(value, room, depth)


def _text(value: str, room: Room) -> str:
    data = str.encode(value, "utf-8", "backslashreplace")
    room.take(len(data) + 3)
    return data.decode()


def _integer(value: int, room: Room, depth: int) -> Any:
    plain = int.__index__(value)
    if -_EXACT <= plain <= _EXACT:
        return plain
    return {TAG: "int", "hex": _text(hex(plain), room)}


def _number(value: float, room: Room, depth: int) -> Any:
    plain = float.__float__(value)
    return plain if -_LARGEST <= plain <= _LARGEST else {TAG: "float", "value": repr(plain)}


def _complex(value: complex, room: Room, depth: int) -> Any:
    return {TAG: "complex", "value": [repr(value.real), repr(value.imag)]}


def _bytes(value: bytes | bytearray, room: Room, depth: int) -> Any:
    import base64

    room.take(len(value) * 4 // 3)
    return {TAG: "bytes", "value": base64.b64encode(value).decode()}


def _items(kind: str) -> Callable[[Any, Room, int], Any]:
    def encode_items(value: Iterable[Any], room: Room, depth: int) -> Any:
        return {TAG: kind, "items": [encode(each, room, depth + 1) for each in value]}

    return encode_items


def _list(value: Iterable[Any], room: Room, depth: int) -> Any:
    return [encode(each, room, depth + 1) for each in value]


def _dict(value: dict[Any, Any], room: Room, depth: int) -> Any:
    pairs = list(dict.items(value))
    if all(type(key) is str for key, _ in pairs) and TAG not in value:
        return {_text(key, room): encode(each, room, depth + 1) for key, each in pairs}
    room.take(2 * len(pairs), len(pairs))
    items = [[encode(key, room, depth + 1), encode(each, room, depth + 1)] for key, each in pairs]
    return {TAG: "dict", "items": items}


_ENCODERS: tuple[tuple[Any, Callable[[Any, Room, int], Any]], ...] = (
    (bool, lambda value, room, depth: bool(value)),
    (int, _integer),
    (float, _number),
    (dict, _dict),
    (tuple, _items("tuple")),
    (_LISTS, _list),
    ((set, frozenset), _items("set")),
    ((bytes, bytearray), _bytes),
    (complex, _complex),
)


def _of_a_library(value: Any, room: Room, depth: int) -> Any:
    """What comes from a module that must be imported already if there is such a value."""
    for module, encoder in _LIBRARIES:
        library: Any = sys.modules.get(module)
        if library is None:
            continue
        found = encoder(library, value, room, depth)
        if found is not None:
            return found
    raise NotHandedOut("not a value that is handed out")


def _times(datetime: Any, value: Any, room: Room, depth: int) -> Any:
    pandas: Any = sys.modules.get("pandas")
    if pandas is not None and (value is pandas.NaT or value is pandas.NA):
        return {TAG: "missing"}
    if isinstance(value, datetime.datetime):
        return {TAG: "datetime", "value": value.isoformat()}
    if isinstance(value, datetime.timedelta):
        parts = [value.days, value.seconds, value.microseconds, getattr(value, "nanoseconds", 0)]
        return {TAG: "timedelta", "value": parts}
    for kind in ("date", "time"):
        if isinstance(value, getattr(datetime, kind)):
            return {TAG: kind, "value": value.isoformat()}
    return None


def _decimal(decimal: Any, value: Any, room: Room, depth: int) -> Any:
    if not isinstance(value, decimal.Decimal):
        return None
    return {TAG: "Decimal", "value": _text(decimal.Decimal.__str__(value), room)}


def _path(pathlib: Any, value: Any, room: Room, depth: int) -> Any:
    if not isinstance(value, pathlib.PurePath):
        return None
    return {TAG: "path", "value": _text(_in_workspace(str(value)), room)}


def _file(io: Any, value: Any, room: Room, depth: int) -> Any:
    """A file that was opened to be written names what was meant."""
    name = getattr(value, "name", None)
    if not isinstance(value, io.IOBase) or type(name) is not str:
        return None
    return {TAG: "path", "value": _text(_in_workspace(name), room)}


def _in_workspace(path: str) -> str:
    """As artifacts are named, where it lies in the working directory."""
    import posixpath

    inside = posixpath.normpath(posixpath.join(workspace(), path))
    return posixpath.relpath(inside, workspace()) if _is_below(inside) else path


def _is_below(path: str) -> bool:
    return path.startswith(f"{workspace()}/")


def _enumerated(enum: Any, value: Any, room: Room, depth: int) -> Any:
    return encode(value.value, room, depth + 1) if isinstance(value, enum.Enum) else None


def _moment(numpy: Any, value: Any) -> Any:
    """A date or a duration of numpy's, as exact as it is."""
    if numpy.isnat(value):
        return {TAG: "missing"}
    if value.dtype.kind == "M":
        return {TAG: "datetime", "value": str(value)}
    nanoseconds = int(value.astype("m8[ns]").astype("i8"))
    seconds, rest = divmod(nanoseconds, 10**9)
    return {TAG: "timedelta", "value": [0, seconds, rest // 1000, rest % 1000]}


def _array(numpy: Any, value: Any, room: Room, depth: int) -> Any:
    if isinstance(value, numpy.generic):
        if value.dtype.kind in "mM":
            return _moment(numpy, value)
        return encode(value.item(), room, depth + 1)
    if not isinstance(value, numpy.ndarray) or isinstance(value, numpy.ma.MaskedArray):
        return None
    room.take(2 * value.size)
    data = tables.plain(numpy, value.reshape(-1), lambda each: encode(each, room, depth + 1))
    return {TAG: "ndarray", "shape": list(value.shape), **data}


def _table(pandas: Any, value: Any, room: Room, depth: int) -> Any:
    if not isinstance(value, pandas.DataFrame | pandas.Series | pandas.Index):
        return None
    room.take(2 * value.size)
    return tables.as_json(pandas, value, lambda each: encode(each, room, depth + 1), TAG)


_LIBRARIES: tuple[tuple[str, Callable[[Any, Any, Room, int], Any]], ...] = (
    ("enum", _enumerated),
    ("numpy", _array),
    ("pandas", _table),
    ("datetime", _times),
    ("decimal", _decimal),
    ("pathlib", _path),
    ("io", _file),
)


def _what(value: Any) -> str:
    """A value in two or three words, for a sentence."""
    name = str(type.__getattribute__(type(value), "__qualname__"))[:_NAME_CHARS]
    try:
        shape = tuple(value.shape) if hasattr(type(value), "shape") else ()
        if len(shape) == 2:
            return f"{name} of {shape[0]} rows and {shape[1]} columns"
        if shape:
            return f"{name} of shape {shape}"
        if isinstance(value, str | bytes | list | tuple | set | dict):
            return f"{name} of {len(value)}"
    except Exception:
        return name
    return name
