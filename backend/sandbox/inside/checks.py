"""Expressions over a program's names that are to hold once it has ended well."""

from __future__ import annotations

import ast
import builtins
import copy
import sys
from collections.abc import Iterator, Mapping
from types import CodeType
from typing import Any

from . import values

_COPIED_BYTES = 16 << 20
"""Of an array or a table: larger ones are checked as they are, without a copy of their own."""
_COPIED_ITEMS = 100_000
_MOST_VALUES = 6
_VALUE_CHARS = 200
_ERROR_CHARS = 300
_MODULES = {
    "np": "numpy",
    "numpy": "numpy",
    "pd": "pandas",
    "pandas": "pandas",
    "math": "math",
    "re": "re",
    "datetime": "datetime",
}
"""What a check may speak of although the program has not imported it."""

# The program may put something else in their places.
_evaluate, _compile = eval, compile


def check(expression: str, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Whether it holds: ``{"check", "holds", "values", "error"}``; ``holds`` is None if it raised.

    It is evaluated with copies of the values that it names, so that whatever it does to them,
    the program's own stay as they are.
    """
    told: dict[str, Any] = {"check": expression, "holds": None, "values": {}, "error": ""}
    try:
        tree: Any = _compile(expression.strip(), "<check>", "eval", ast.PyCF_ONLY_AST)
        own = _own_names(tree, namespace)
        told["holds"] = _truth(_evaluate(_code(tree.body), own))
    except BaseException as error:
        said = f"{values.class_name(type(error))}: {values.message_of(error)}".rstrip(": ")
        return told | {"error": values.cut(" ".join(said.split()), _ERROR_CHARS)}
    if not told["holds"]:
        told["values"] = dict(_spoken_of(tree, namespace))
    return told


def _code(node: Any) -> CodeType:
    return _compile(ast.Expression(node), "<check>", "eval")


def _own_names(tree: ast.AST, namespace: Mapping[str, Any]) -> dict[str, Any]:
    own = dict(namespace)
    for name in _names(tree):
        if name in own:
            own[name] = _copied(own[name])
        elif name in _MODULES and not hasattr(builtins, name):
            own[name] = __import__(_MODULES[name])
    return own


def _names(tree: ast.AST) -> list[str]:
    found = (node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    return list(dict.fromkeys(found))


def _copied(value: Any) -> Any:
    tables = (("pandas", "DataFrame"), ("pandas", "Series"), ("numpy", "ndarray"))
    for module, kind in tables:
        library: Any = sys.modules.get(module)
        if library is not None and isinstance(value, getattr(library, kind)):
            return value.copy() if value.size * 8 <= _COPIED_BYTES else value
    if isinstance(value, list | dict | set | bytearray) and len(value) <= _COPIED_ITEMS:
        try:
            return copy.deepcopy(value)
        except Exception:  # it holds what cannot be copied
            return copy.copy(value)
    return value


def _truth(found: Any) -> bool:
    """Of many truth values: whether all hold, which is what is meant by ``df["x"] > 0``."""
    numpy: Any = sys.modules.get("numpy")
    axes: Any = getattr(found, "ndim", 0)
    if numpy is not None and hasattr(type(found), "__array__") and axes:
        return bool(numpy.asarray(found).all())
    return bool(found)


def _spoken_of(tree: Any, namespace: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the parts of a check are that does not hold: its names, and what it compares."""
    left = _MOST_VALUES
    for node in _parts(tree.body):
        try:
            value = _evaluate(_code(node), _own_names(node, namespace))
            shown = values.describe(value)
        except BaseException:
            continue
        if shown is not None and left:
            left -= 1
            yield ast.unparse(node)[:_VALUE_CHARS], values.cut(shown, _VALUE_CHARS)


def _parts(node: Any) -> Iterator[Any]:
    """Operands first, then the names in them; nothing that is bound by a part itself."""
    if isinstance(node, ast.BoolOp):
        for each in node.values:
            yield from _parts(each)
        return
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield from _parts(node.operand)
        return
    operands = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
    yield from (each for each in operands if not isinstance(each, ast.Name | ast.Constant))
    bound = {
        each.id
        for each in ast.walk(node)
        if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load)
    }
    for name in (name for name in _names(node) if name not in bound):
        yield ast.Name(id=name, ctx=ast.Load(), lineno=1, col_offset=0)
