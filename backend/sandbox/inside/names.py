"""The names that a program leaves behind, each with a line about what it stands for.

Nothing of the program's own is called (see ``values``). No library is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from . import values

MOST = 500
"""Names that are told at all."""
CHARS = 24_000
"""Of all descriptions together; the names that are left are told without one."""
_NAME_CHARS = 80
_ARGUMENTS = 8


def claim(namespace: Mapping[str, Any]) -> bytes:
    """The JSON text of name -> description, in the order in which the names were first set."""
    import json

    return json.dumps(describe(namespace), ensure_ascii=False).encode("utf-8", "replace")


def describe(namespace: Mapping[str, Any]) -> dict[str, str]:
    """Name -> description; '' for what begins with an underscore, and where there is no room.

    The newest come first where there are too many.
    """
    told: dict[str, str] = {}
    room = CHARS
    for name in reversed([each for each in list(namespace) if _is_told(each)]):
        if len(told) == MOST:
            break
        said = "" if name[0] == "_" or room <= 0 else _line_about(namespace[name])
        told[name] = said if len(said) <= room else ""
        room -= len(said)
    return dict(reversed(told.items()))


def _is_told(name: Any) -> bool:
    if type(name) is not str or len(name) > _NAME_CHARS or not name.isidentifier():
        return False
    return not (name.startswith("__") and name.endswith("__"))


def _line_about(value: Any) -> str:
    try:
        return values.describe(value) or _unspoken(value)
    except Exception:  # a library's value in a state that it should not be in
        return ""


def _unspoken(value: Any) -> str:
    if type(value) is ModuleType:
        name = vars(value).get("__name__")
        return f"module {values.cut(name, _NAME_CHARS)}" if type(name) is str else "module"
    if values.is_a(value, type):
        return f"class {values.class_name(value)}"
    if type(value) is FunctionType:
        code = value.__code__
        arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        more = ", …" if len(arguments) > _ARGUMENTS else ""
        return f"function ({', '.join(arguments[:_ARGUMENTS])}{more})"
    return "function" if type(value) is BuiltinFunctionType else ""
