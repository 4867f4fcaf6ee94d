"""A value in one short line: what it is, how large, and how it begins.

Nothing of the program's own is called: built-in values are read as what they are, those of a few
libraries by their exact class; of everything else there is the name of its class. No library is
imported here; what a value comes from is imported already.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterable
from itertools import islice
from types import (
    BuiltinFunctionType,
    FunctionType,
    MethodType,
    MethodWrapperType,
    ModuleType,
)
from typing import Any

CHARS = 120
TABLE_CHARS = 600
"""Of a table: its columns are what most mistakes are about."""
DEPTH = 2
_ITEMS = 6
_KEYS = 12
_INNER_ITEMS = 3
_TEXT_CHARS = 80
_INT_BITS = 256
_COLUMNS = 40
_NAME_CHARS = 80
_CUT = "…"

# What a class says of itself, whatever its metaclass makes of it.
_dict = vars(type)["__dict__"].__get__
_mro = vars(type)["__mro__"].__get__
_flags = vars(type)["__flags__"].__get__
_qualname = vars(type)["__qualname__"].__get__
_Group: Any = getattr(builtins, "BaseExceptionGroup", None)
"""From Python 3.11 on."""
_args = vars(BaseException)["args"].__get__
_HEAP_TYPE = 1 << 9
"""Of a class that was made by a class statement, or by a library in C that goes with the times."""

_UNSPOKEN = (
    type,
    ModuleType,
    FunctionType,
    BuiltinFunctionType,
    MethodType,
    MethodWrapperType,
    staticmethod,
    classmethod,
    property,
)
_PLAIN = (type(None), bool, float, complex)
_CONTAINERS = (list, tuple, set, frozenset, dict, str, bytes, bytearray)
_BRACKETS: dict[type, str] = {list: "[]", tuple: "()", set: "{}", frozenset: "{}"}
_BY_STR = {
    "datetime": ("datetime", "date", "time", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "fractions": ("Fraction",),
    "pathlib": ("PosixPath", "PurePosixPath"),
    "uuid": ("UUID",),
    "pandas": ("Timestamp", "Timedelta", "Period"),
}
_TABLES = (("pandas", "DataFrame"), ("pandas", "Series"), ("numpy", "ndarray"))
_INDEXES = ("Index", "RangeIndex", "DatetimeIndex", "CategoricalIndex")
_DICTIONARIES = ("OrderedDict", "defaultdict", "Counter")


def describe(value: Any) -> str | None:
    """One line about a value; None for what is no datum, such as a module or a function."""
    if any(is_a(value, each) for each in _UNSPOKEN):
        return None
    if (table := _as_table(value)) is not None:
        return cut(_one_line(table), TABLE_CHARS)
    return cut(_one_line(_short(value, DEPTH)), CHARS)


def is_a(value: object, cls: type) -> bool:
    """``isinstance``, without asking the value what it claims to be."""
    return any(each is cls for each in _mro(type(value)))


def class_name(cls: type) -> str:
    """Its name, with its module where a traceback would tell that, too."""
    module = _dict(cls).get("__module__")
    name = str(_qualname(cls))
    if type(module) is str and module not in ("builtins", "__main__"):
        name = f"{module}.{name}"
    return cut(name, _NAME_CHARS)


def members(error: BaseException) -> tuple[BaseException, ...]:
    """What an exception group holds; nothing for any other exception."""
    if _Group is None or not is_a(error, _Group):
        return ()
    held: tuple[BaseException, ...] = vars(_Group)["exceptions"].__get__(error)
    return held


def message_of(error: BaseException) -> str:
    """``str(error)`` where none of the program's own code has part in that, else its arguments."""
    arguments = _args(error)
    file = vars(OSError)["filename"].__get__(error) if is_a(error, OSError) else None
    if _says_what_it_was_given(type(error)) and all(map(_is_plain, (*arguments, file))):
        return str(error)
    return ", ".join(_short(each, DEPTH) for each in arguments[:_ITEMS])


def cut(text: str, most: int) -> str:
    """At most so many characters, with a sign where some are missing."""
    return text if len(text) <= most else text[: max(0, most - 1)] + _CUT


def _says_what_it_was_given(cls: type) -> bool:
    own = next((each for each in _mro(cls) if "__str__" in _dict(each)), object)
    return not _flags(own) & _HEAP_TYPE


def _is_plain(value: object) -> bool:
    return _is_exactly(value, *_PLAIN, str, bytes, int) or _is_known(value, "pathlib", "PosixPath")


def _is_exactly(value: object, *classes: type) -> bool:
    """Its class is one of them; a class may have ideas of its own of being equal, or a key."""
    return any(type(value) is each for each in classes)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _is_known(value: object, module: str, *names: str) -> bool:
    """It is exactly of one of the classes that this library has under these names."""
    library = sys.modules.get(module)
    if type(library) is not ModuleType:
        return False
    return any(type(value) is vars(library).get(name) for name in names)


# --- plain values


def _short(value: Any, depth: int) -> str:
    cls = type(value)
    if _is_exactly(value, *_PLAIN):
        return repr(value)
    if cls is int:
        bits = value.bit_length()
        return repr(value) if bits <= _INT_BITS else f"<int of {bits} bits>"
    if _is_exactly(value, str, bytes, bytearray):
        return _text(value)
    if _is_exactly(value, *_BRACKETS):
        return _items(value, depth)
    if cls is dict or _is_known(value, "collections", *_DICTIONARIES):
        return _dictionary(value, depth)
    return _of_library(value, depth) or _unknown(value)


def _text(value: Any) -> str:
    if len(value) <= _TEXT_CHARS:
        return repr(value)
    what = "characters" if type(value) is str else "bytes"
    return f"{value[:_TEXT_CHARS]!r}… ({len(value)} {what})"


def _items(value: Any, depth: int) -> str:
    cls = type(value)
    opening, closing = _BRACKETS[cls][0], _BRACKETS[cls][1]
    if not depth and value:
        return f"<{cls.__name__} of {len(value)}>"
    room = _ITEMS if depth == DEPTH else _INNER_ITEMS
    if len(value) <= room:
        inner = ", ".join(_short(each, depth - 1) for each in value)
        if cls is tuple and len(value) == 1:
            inner += ","
        return (
            f"{opening}{inner}{closing}" if value or cls in (list, tuple) else f"{cls.__name__}()"
        )
    inner = ", ".join(_short(each, depth - 1) for each in islice(value, room))
    return f"<{cls.__name__} of {len(value)}: {opening}{inner}, …{closing}>"


def _dictionary(value: Any, depth: int) -> str:
    name, size = type(value).__name__, dict.__len__(value)
    if not depth and size:
        return f"<{name} of {size}>"
    room = _KEYS if depth == DEPTH else _INNER_ITEMS
    pairs = islice(dict.items(value), room)
    inner = ", ".join(f"{_short(key, 0)}: {_short(each, depth - 1)}" for key, each in pairs)
    if len(inner) > CHARS * 2 // 3:
        # Which keys there are says more than what is under the first of them.
        inner = ", ".join(_short(key, 0) for key in islice(dict.keys(value), room))
    more = ", …" if size > room else ""
    text = f"{{{inner}{more}}}"
    return text if type(value) is dict and not more else f"<{name} of {size}: {text}>"


def _unknown(value: object) -> str:
    name = class_name(type(value))
    for cls in _CONTAINERS:
        if is_a(value, cls):
            size: Callable[[Any], int] = vars(cls)["__len__"]
            return f"<{name} of {size(value)}>"
    return f"<{name} object>"


# --- what libraries have


def _of_library(value: Any, depth: int) -> str:
    for module, names in _BY_STR.items():
        if _is_known(value, module, *names):
            return f"{type(value).__name__} {value}"
    if type(value) is range:
        return repr(value)
    if _is_known(value, "collections", "deque"):
        return f"<deque of {len(value)}>"
    if _is_known(value, "numpy", _qualname(type(value))) and hasattr(value, "dtype"):
        return str(value)
    if depth < DEPTH and (table := _shape(value)):
        return f"<{table}>"
    return ""


def _shape(value: Any) -> str:
    """Of one table among others."""
    for module, name in _TABLES:
        if _is_known(value, module, name):
            return f"{name} {'x'.join(map(str, value.shape))}"
    return ""


def _as_table(value: Any) -> str | None:
    if _is_known(value, "pandas", "DataFrame"):
        return _frame(value)
    if _is_known(value, "pandas", "Series"):
        name = "" if value.name is None else f" {_short(value.name, 0)}"
        return f"Series{name}, {len(value)} {_dtype(value.dtype)}: {_first(value.iloc)}"
    if _is_known(value, "pandas", *_INDEXES):
        return f"{type(value).__name__}, {len(value)} {_dtype(value.dtype)}: {_first(value)}"
    if _is_known(value, "numpy", "ndarray"):
        shape = "x".join(map(str, value.shape)) or "no axes"
        return f"ndarray {shape} {_dtype(value.dtype)}: {_first(value.flat)}"
    return None


def _frame(frame: Any) -> str:
    rows, columns = frame.shape
    pairs = zip(islice(frame.columns, _COLUMNS), islice(frame.dtypes, _COLUMNS), strict=True)
    listed = ", ".join(f"{_short(name, 1)} {_dtype(dtype)}" for name, dtype in pairs)
    more = f", {columns - _COLUMNS} more" if columns > _COLUMNS else ""
    return f"DataFrame, {rows} rows, {columns} columns: {listed}{more}"


def _first(values: Any) -> str:
    found: Iterable[Any] = values[:_ITEMS]
    return ", ".join(_short(each, 0) for each in found)


def _dtype(dtype: Any) -> str:
    numpy: Any = sys.modules.get("numpy")
    of_pandas = _is_known(dtype, "pandas", _qualname(type(dtype)))
    if of_pandas or (numpy is not None and is_a(dtype, numpy.dtype)):
        return str(dtype.name)[:_NAME_CHARS]
    return class_name(type(dtype))
