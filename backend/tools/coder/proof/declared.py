"""Types as a caller declares them, as objects or as text: what they are, or that they are none."""

from __future__ import annotations

import ast
import datetime as dt
import decimal
import pathlib
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, Literal, Union, get_args, get_origin

from backend.foreign_code import quiet_compiler
from backend.tools.coder.proof.kinds import (
    A_FILE,
    ANYTHING,
    ARRAY,
    BOOL,
    DATE,
    DATETIME,
    DECIMAL,
    FLOAT,
    FRAME,
    INT,
    NOTHING,
    SERIES,
    STR,
    Choice,
    DictOf,
    Either,
    Kind,
    ListOf,
    Tagged,
)

SUPPORTED = (
    "int, float, str, bool, date, datetime, Decimal, list, list[T], dict, dict[K, V], tuple, set, "
    "DataFrame, Series, ndarray, File (or pathlib.Path), Literal[...], Optional[T], T | None, Any"
)

_MOST_CHARS = 500
_MOST_DEPTH = 8

_BY_NAME: dict[str, Kind] = {
    "int": INT, "integer": INT,
    "float": FLOAT, "number": FLOAT,
    "str": STR, "string": STR, "text": STR,
    "bool": BOOL, "boolean": BOOL,
    "date": DATE,
    "datetime": DATETIME, "Timestamp": DATETIME,
    "Decimal": DECIMAL,
    "list": ListOf(text="list", advice="assign a list"),
    "List": ListOf(text="list", advice="assign a list"),
    "dict": DictOf(text="dict", advice="assign a dict"),
    "Dict": DictOf(text="dict", advice="assign a dict"),
    "tuple": Tagged(text="tuple", advice="assign a tuple", tag="tuple"),
    "set": Tagged(text="set", advice="assign a set", tag="set"),
    "DataFrame": FRAME, "Series": SERIES,
    "ndarray": ARRAY, "array": ARRAY,
    "File": A_FILE, "file": A_FILE, "Path": A_FILE,
    "Any": ANYTHING, "None": NOTHING, "NoneType": NOTHING,
}  # fmt: skip
_MODULES = frozenset(
    {"pd", "pandas", "np", "numpy", "pathlib", "typing", "datetime", "dt", "decimal"}
)
_OF_OBJECTS: dict[Any, Kind] = {
    int: INT,
    float: FLOAT,
    str: STR,
    bool: BOOL,
    dt.date: DATE,
    dt.datetime: DATETIME,
    decimal.Decimal: DECIMAL,
    list: _BY_NAME["list"],
    dict: _BY_NAME["dict"],
    tuple: _BY_NAME["tuple"],
    set: _BY_NAME["set"],
    Any: ANYTHING,
    None: NOTHING,
    type(None): NOTHING,
    typing.List: _BY_NAME["list"],  # noqa: UP006
    typing.Dict: _BY_NAME["dict"],  # noqa: UP006
}


class Unsupported(ValueError):
    """The type is none that is supported."""


def kind_of(declared: object) -> Kind:
    """What a declaration means: a type, or its text.

    Raises:
        Unsupported: nothing that is supported.
    """
    if isinstance(declared, Kind):
        return declared
    if isinstance(declared, str):
        return _of_text(declared)
    return _of_object(declared, _MOST_DEPTH)


def _of_object(declared: Any, depth: int) -> Kind:
    if depth == 0:
        raise Unsupported
    if isinstance(declared, str):
        return _of_text(declared)
    try:
        if declared in _OF_OBJECTS:
            return _OF_OBJECTS[declared]
    except TypeError:
        raise Unsupported from None
    origin, arguments = get_origin(declared), get_args(declared)
    if origin is Literal:
        return _choice(arguments)
    if origin in (Union, types.UnionType):
        return _either([_of_object(each, depth - 1) for each in arguments])
    if origin in (list, dict, tuple, set):
        inner = [_of_object(each, depth - 1) for each in arguments if each is not Ellipsis]
        return _with_parts(origin.__name__, inner)
    if isinstance(declared, type):
        return _of_class(declared)
    raise Unsupported


def _of_class(declared: type) -> Kind:
    """Told by its name and its module: the library is not imported for that."""
    module = declared.__module__.partition(".")[0]
    if issubclass(declared, pathlib.PurePath) or declared.__name__ == "File":
        return A_FILE
    if module in ("pandas", "numpy") and declared.__name__ in ("DataFrame", "Series", "ndarray"):
        return _BY_NAME[declared.__name__]
    raise Unsupported


def _of_text(text: str) -> Kind:
    if len(text) > _MOST_CHARS:
        raise Unsupported
    try:
        with quiet_compiler():
            tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise Unsupported from None
    return _of_node(tree.body, _MOST_DEPTH)


def _of_node(node: ast.expr, depth: int) -> Kind:
    if depth == 0:
        raise Unsupported
    match node:
        case ast.Constant(value=None):
            return NOTHING
        case ast.Constant(value=str() as text):
            return _of_text(text)
        case ast.Name(id=name) | ast.Attribute(value=ast.Name(id=_), attr=name):
            if isinstance(node, ast.Attribute) and not _is_of_module(node):
                raise Unsupported
            if name not in _BY_NAME:
                raise Unsupported
            return _BY_NAME[name]
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return _either([_of_node(left, depth - 1), _of_node(right, depth - 1)])
        case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name), slice=inner):
            return _subscript(name, inner.elts if isinstance(inner, ast.Tuple) else [inner], depth)
    raise Unsupported


def _is_of_module(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in _MODULES


def _subscript(name: str, parts: Sequence[ast.expr], depth: int) -> Kind:
    if name == "Literal":
        return _choice(tuple(_literal(part) for part in parts))
    inner = [
        _of_node(part, depth - 1)
        for part in parts
        if not (isinstance(part, ast.Constant) and part.value is Ellipsis)
    ]
    if name == "Optional" and len(inner) == 1:
        return _either([*inner, NOTHING])
    if name == "Union" and inner:
        return _either(inner)
    return _with_parts(name.lower(), inner)


def _literal(part: ast.expr) -> Any:
    try:
        return ast.literal_eval(part)
    except ValueError:
        raise Unsupported from None


def _choice(values: tuple[Any, ...]) -> Kind:
    if not values or not all(isinstance(each, str | int | float | None) for each in values):
        raise Unsupported
    return Choice(text=f"Literal[{', '.join(map(repr, values))}]", values=values)


def _either(options: Sequence[Kind]) -> Kind:
    flat: list[Kind] = []
    for option in options:
        flat += option.options if isinstance(option, Either) else [option]
    return Either(text=" | ".join(option.text for option in flat), options=tuple(flat))


def _with_parts(name: str, inner: Sequence[Kind]) -> Kind:
    makers: dict[tuple[str, int], Callable[[str], Kind]] = {
        ("list", 1): lambda text: ListOf(text=text, advice="assign a list", item=inner[0]),
        ("dict", 2): lambda text: DictOf(
            text=text, advice="assign a dict", key=inner[0], item=inner[1]
        ),
        ("tuple", 1): lambda text: Tagged(
            text=text, advice="assign a tuple", tag="tuple", item=inner[0]
        ),
        ("set", 1): lambda text: Tagged(text=text, advice="assign a set", tag="set", item=inner[0]),
    }
    make = makers.get((name, len(inner)))
    if make is None:
        raise Unsupported
    rest = ", ..." if name == "tuple" else ""
    return make(f"{name}[{', '.join(each.text for each in inner)}{rest}]")
