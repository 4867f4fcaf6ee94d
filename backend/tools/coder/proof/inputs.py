"""Variables of the caller that a program finds defined: whether they can be, and how they look.

They are the caller's own living objects, so nothing of theirs is changed, and what looking at one
costs does not grow with its size.
"""

from __future__ import annotations

import reprlib
import sys
from collections.abc import Mapping
from itertools import islice
from typing import Any

from backend.errors import RequestError
from backend.prompts.texts import shorten
from backend.sandbox.executors.local.variables import encode
from backend.tools.coder.proof.contract import require_name

ALL_CHARS = 4000
"""Characters of all inputs in one prompt together."""
_ONE_CHARS = 1000
_COLUMNS = 40
_ROWS = 3
_NAME_CHARS = 60
_VALUE_CHARS = 120
_KEYS = 12


def check_inputs(inputs: Mapping[str, Any]) -> None:
    """Refuse what no program could find defined; takes as long as encoding all of them.

    Raises:
        ValueError: a name that is none, or a value that cannot be passed in; names it. TooLarge of
            the same kind where all together are too much.
    """
    for name, value in inputs.items():
        require_name(name, "input")
        if isinstance(value, type(sys)):
            raise ValueError(f"The input {name!r} is a module. The program imports its own.")
    try:
        encode(inputs)
    except RequestError as error:
        raise ValueError(str(error).replace("The variable", "The input", 1)) from None


def describe_inputs(inputs: Mapping[str, Any]) -> str:
    """For a prompt: which names are defined already, what they are and how they begin.

    At most some 4,000 characters, however many and however large the inputs are.
    """
    if not inputs:
        return ""
    lines = ["These names are defined already; use them as they are, do not define them again:"]
    room = ALL_CHARS
    for number, (name, value) in enumerate(inputs.items()):
        text = shorten(f"- `{name}`: {_describe(value)}", min(_ONE_CHARS, room))
        room -= len(text)
        if room < _NAME_CHARS:
            rest = ", ".join(f"`{each}`" for each in islice(inputs, number, number + _COLUMNS))
            lines.append(f"- {len(inputs) - number} more: {rest}"[:_ONE_CHARS])
            break
        lines.append(text)
    return "\n".join(lines)


def _describe(value: Any) -> str:
    try:
        for describe in (_table, _container):
            if found := describe(value):
                return found
        return f"{_type_name(value)}, {_shown(value)}"
    except Exception:  # an object of the caller's that does not like to be looked at
        return _type_name(value)


def _table(value: Any) -> str:
    pandas: Any = sys.modules.get("pandas")
    numpy: Any = sys.modules.get("numpy")
    if pandas is not None and isinstance(value, pandas.DataFrame):
        return _frame(value)
    if pandas is not None and isinstance(value, pandas.Series):
        first = ", ".join(_shown(each) for each in value.iloc[:_ROWS].tolist())
        name = f" named {value.name!r}" if value.name is not None else ""
        return f"pandas Series{name} of {len(value)} {value.dtype}; begins {first}"
    if numpy is not None and isinstance(value, numpy.ndarray):
        shape = " x ".join(map(str, value.shape)) or "no axes"
        first = ", ".join(_shown(each) for each in islice(value.flat, 2 * _ROWS))
        return f"numpy array of {value.dtype}, shape {shape}; begins {first}"
    return ""


def _frame(frame: Any) -> str:
    rows, columns = frame.shape
    lines = [f"pandas DataFrame of {rows} rows and {columns} columns"]
    if type(frame.index).__name__ != "RangeIndex":
        names = [name for name in frame.index.names if name is not None]
        lines[0] += f", index {names or 'without a name'} ({type(frame.index).__name__})"
    for place in range(min(columns, _COLUMNS)):
        column = frame.iloc[:, place]
        first = ", ".join(_shown(each) for each in column.iloc[:_ROWS].tolist())
        lines.append(f"  column {frame.columns[place]!r:.80} {column.dtype}: {first}")
    if columns > _COLUMNS:
        lines.append(f"  and {columns - _COLUMNS} more columns")
    return "\n".join(lines)


def _container(value: Any) -> str:
    if isinstance(value, dict):
        keys = ", ".join(_shown(key) for key in islice(value, _KEYS))
        more = ", ..." if len(value) > _KEYS else ""
        held = f"; its values are like {_shown(next(iter(value.values())))}" if value else ""
        return f"{_type_name(value)} of {len(value)}, keys {keys or 'none'}{more}{held}"
    if isinstance(value, list | tuple | set | frozenset):
        first = ", ".join(_shown(each) for each in islice(value, _ROWS))
        more = ", ..." if len(value) > _ROWS else ""
        return f"{_type_name(value)} of {len(value)}: {first}{more}"
    if isinstance(value, str | bytes):
        return f"{_type_name(value)} of {len(value)}: {value[:_VALUE_CHARS]!r}"
    return ""


def _shown(value: Any) -> str:
    """A value in a line, whatever it is: bounded, and without a failing ``repr``."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = _VALUE_CHARS
    short.maxlist = short.maxtuple = short.maxdict = 6
    return " ".join(short.repr(value).split())[: 2 * _VALUE_CHARS]


def _type_name(value: Any) -> str:
    return str(type(value).__qualname__)[:_NAME_CHARS]
