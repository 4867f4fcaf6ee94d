"""Values that a program finds defined, on their way in.

Each goes in the plainest form that gives it back as it was: JSON, npy, Arrow, else a pickle. A
pickle is only ever made here; it is read inside. No library is imported for a value that does not
come from it.
"""

from __future__ import annotations

import io
import json
import keyword
import pickle
import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal, NoReturn

from backend.errors import RequestError, TooLarge
from backend.sandbox.walls.limits import MIB

MAX_BYTES = 64 * MIB
"""Of all variables of a run together, encoded."""

Kind = Literal["json", "arrow", "npy", "pickle"]

_MOST_SHRINKING = 8
"""Times that Arrow may make a column smaller: a truth value is a byte here and a bit there."""

_PLAIN = (str, int, float, bool, type(None))
_NOT_INSIDE = ("__main__", "__mp_main__")


def encode(variables: Mapping[str, Any]) -> dict[str, tuple[Kind, bytes]]:
    """Each variable's kind and bytes, for ``inside.variables.decode``. No value is changed.

    Plain values (texts, numbers, lists, dicts with text keys) go as JSON, numpy arrays as npy,
    DataFrames and Series as an Arrow stream, and whatever these would not give back exactly as a
    pickle.

    Raises:
        RequestError: a name that is no name, or a value that cannot be taken along.
        TooLarge: more than 64 MiB; names the variable with which it was too much.
    """
    encoded: dict[str, tuple[Kind, bytes]] = {}
    room = MAX_BYTES
    for name, value in variables.items():
        check_name(name)
        # Its plain text: a name may come from a table's columns, and be of a kind of its own.
        encoded[str(name)] = _encode(name, value, room)
        room -= len(encoded[name][1])
    return encoded


def as_environment(variables: Mapping[str, Any]) -> dict[str, str]:
    """Variables as a shell sees them: text as it is, everything else as JSON.

    Raises:
        RequestError: a name that is no name, or a value that has no JSON form.
        TooLarge: more than 64 MiB.
    """
    environment: dict[str, str] = {}
    room = MAX_BYTES
    for name, value in variables.items():
        check_name(name)
        try:
            text = str(value) if isinstance(value, str) else json.dumps(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise RequestError(
                f"The variable {name!r} is a {type(value).__name__} without a JSON form: {error}.",
                "Pass text, numbers, lists and dicts of them, or a file.",
                param="variables",
            ) from None
        room -= len(text)
        if room < 0:
            _refuse_size(name)
        environment[str(name)] = text
    return environment


def check_name(name: object, param: str = "variables") -> None:
    """Refuse what no program could use as a variable's name.

    Args:
        name: what is to be one.
        param: the field of the request that has it.

    Raises:
        RequestError: no identifier, a keyword, or one of Python's own.
    """
    if not (isinstance(name, str) and name.isidentifier()) or keyword.iskeyword(name):
        raise RequestError(
            f"A variable cannot be named {name!r}.", "Use a Python name.", param=param
        )
    if name.startswith("__"):
        raise RequestError(
            f"The variable name {name!r} belongs to Python.", "Use another.", param=param
        )


def _refuse_size(name: str) -> NoReturn:
    raise TooLarge(
        f"The variable {name!r} takes what is passed in beyond {MAX_BYTES // MIB} MB.",
        "Pass it as a file.",
        param="variables",
    )


class _Full(Exception):
    """More has been written than there is room for."""


class _Bounded(io.BytesIO):
    """Holds so many bytes and no more, so that a huge value is not copied before it is refused."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, data: Any, /) -> int:
        self.room -= memoryview(data).nbytes
        if self.room < 0:
            raise _Full
        return super().write(data)


def _encode(name: str, value: Any, room: int) -> tuple[Kind, bytes]:
    tries: tuple[tuple[Kind, Callable[[Any, _Bounded], bool]], ...] = (
        ("json", _as_json),
        ("npy", _as_npy),
        ("arrow", _as_arrow),
    )
    try:
        for kind, attempt in tries:
            target = _Bounded(room)
            if attempt(value, target):
                return kind, target.getvalue()
        return "pickle", _as_pickle(name, value, room)
    except _Full:
        _refuse_size(name)


def _as_json(value: Any, target: _Bounded) -> bool:
    if not _is_plain(value):
        return False
    try:
        text = json.dumps(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits; very deep
        return False
    target.write(text.encode())
    return True


def _is_plain(value: Any) -> bool:
    """Whether JSON gives it back exactly. A list that is there twice would become two lists."""
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        current = waiting.pop()
        cls = type(current)
        if cls in _PLAIN:
            continue
        if cls not in (list, dict) or id(current) in seen:
            return False
        seen.add(id(current))
        if cls is dict:
            if not all(type(key) is str for key in current):
                return False
            current = current.values()
        waiting.extend(current)
    return True


def _as_npy(value: Any, target: _Bounded) -> bool:
    numpy = sys.modules.get("numpy")
    if numpy is None or type(value) is not numpy.ndarray:
        return False
    if value.dtype.hasobject or value.dtype.metadata:
        return False
    numpy.save(target, value, allow_pickle=False)
    return True


def _as_arrow(value: Any, target: _Bounded) -> bool:
    pandas: Any = sys.modules.get("pandas")
    if pandas is None or type(value) not in (pandas.DataFrame, pandas.Series):
        return False
    try:
        import pyarrow

        from . import frames
    except ImportError:
        return False
    if frames.least_bytes(value) > _MOST_SHRINKING * target.room:
        raise _Full
    table = frames.as_table(value)
    if table is None:
        return False
    with pyarrow.ipc.new_stream(target, table.schema) as stream:
        stream.write_table(table)
    return True


class _Pickler(pickle.Pickler):
    """Refuses what is pickled by a name that means nothing inside."""

    def reducer_override(self, value: Any) -> Any:
        module = getattr(value, "__module__", None)
        if module in _NOT_INSIDE and hasattr(value, "__qualname__"):
            raise pickle.PicklingError(
                f"{value.__qualname__} is defined in the program that passes it, which the "
                "sandboxed program cannot import"
            )
        return NotImplemented


def _as_pickle(name: str, value: Any, room: int) -> bytes:
    target = _Bounded(room)
    try:
        _Pickler(target, protocol=5).dump(value)
    except _Full:
        raise
    except Exception as error:  # whatever the value's own methods raise
        raise RequestError(
            f"The variable {name!r} is a {type(value).__name__} that cannot be passed in: {error}.",
            "Pass text, numbers, lists and dicts of them, arrays, DataFrames, or a file.",
            param="variables",
        ) from None
    return target.getvalue()
