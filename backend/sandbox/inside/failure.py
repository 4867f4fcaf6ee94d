"""The exception that ended a program, told in so few words that a prompt has room for them.

Only the program's own frames are told, each with what its variables were. Values are looked at, not
asked: no code of the program runs here, whatever its classes make of ``__repr__`` or ``__len__``.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from types import CodeType, FrameType, TracebackType
from typing import Any

from . import values
from .places import workspace

MESSAGE_CHARS = 2048
SOURCE_CHARS = 200
NAME_CHARS = 60
INNERMOST = 6
"""Frames that are told beside the outermost one."""
VARIABLES = 12
"""Of one frame."""
ALL_VARIABLES_CHARS = 4096
"""Of all frames together, names counted."""

_MOST_FRAMES = 100_000
_STATEMENT_LINES = 8
_MEMBERS = 3
"""Of an exception group, that are told."""
_CHAIN_CHARS = 400
_OPTIMIZED = 1
"""``CO_OPTIMIZED``: a function's, whose locals are no mapping of the program's own."""
_NAME = r"[^\W\d]\w*"

# Read from the built-in class itself: a subclass may have something else under the name.
_cause = vars(BaseException)["__cause__"].__get__
_context = vars(BaseException)["__context__"].__get__
_is_suppressed = vars(BaseException)["__suppress_context__"].__get__
_traceback = vars(BaseException)["__traceback__"].__get__


def describe(error: BaseException, text: str | None, name: str) -> dict[str, Any]:
    """The failure as JSON values: type, message, frames.

    Args:
        error: what ended the program, with a traceback that begins with the program.
        text: ``str(error)``, where that has been asked for already.
        name: the file name that the program believes to have.
    """
    told = _leaf(error, name)
    message = values.message_of(error) if text is None else str.__getitem__(text, slice(0, 9999))
    frames = _frames(told, name)
    if values.is_a(error, SyntaxError) and (broken := _broken_line(error, name)):
        frames.append(broken)
        if len(frames) == 1:
            message = _plain_syntax_message(error) or message
    more = "".join(_members(error)) + _chained(error, name)
    return {
        "type": values.class_name(type(error)),
        "message": values.cut(message, MESSAGE_CHARS - len(more)) + more,
        "frames": frames,
    }


def _leaf(error: BaseException, name: str) -> BaseException:
    """Of a group, the first member that has frames of the program: the group itself has few."""
    for _ in range(values.DEPTH):
        members = values.members(error)
        inner = [each for each in members if next(_own(each, name), None) is not None]
        if not inner:
            break
        error = inner[0]
    return error


def _members(error: BaseException) -> Iterator[str]:
    members = values.members(error)
    for each in members[:_MEMBERS]:
        yield f"\n- {_one_line(each)}"
    if len(members) > _MEMBERS:
        yield f"\n- and {len(members) - _MEMBERS} more"


def _chained(error: BaseException, name: str) -> str:
    """What came before: one level, with the line where that was."""
    cause = _cause(error)
    before = cause if cause is not None or _is_suppressed(error) else _context(error)
    if before is None:
        return ""
    said = f"\n{'caused by' if cause is not None else 'while handling'} {_one_line(before)}"
    where = deque(_own(before, name), maxlen=1)
    if where:
        return f"{said} (line {where[0].tb_lineno})"
    return "" if _one_line(before) == _one_line(error) else said


def _one_line(error: BaseException) -> str:
    text = " ".join(values.message_of(error).split())
    return values.cut(f"{values.class_name(type(error))}: {text}".removesuffix(": "), _CHAIN_CHARS)


# --- frames


def _own(error: BaseException, name: str) -> Iterator[TracebackType]:
    """The steps of its traceback that are in the program, or in a module that lies beside it."""
    beside = f"{workspace()}/"
    trace = _traceback(error)
    for _ in range(_MOST_FRAMES):
        if trace is None:
            return
        file = trace.tb_frame.f_code.co_filename
        if file == name or file.startswith(beside):
            yield trace
        trace = trace.tb_next


def _frames(error: BaseException, name: str) -> list[dict[str, Any]]:
    outermost = next(_own(error, name), None)
    chosen = list(deque(_own(error, name), maxlen=INNERMOST))
    if outermost is not None and chosen[0] is not outermost:
        chosen.insert(0, outermost)
    told, room = [], ALL_VARIABLES_CHARS
    for trace in reversed(chosen):
        frame = _frame(trace, name, room)
        room -= sum(len(key) + len(text) for key, text in frame["variables"].items())
        told.append(frame)
    return told[::-1]


def _frame(trace: TracebackType, name: str, room: int) -> dict[str, Any]:
    code, line = trace.tb_frame.f_code, trace.tb_lineno
    lines = _lines(code.co_filename)
    source = lines[line - 1].strip() if 0 < line <= len(lines) else ""
    return {
        "line": line,
        "function": _place(code.co_name, code.co_filename, name),
        "source": values.cut(source, SOURCE_CHARS),
        "variables": _variables(trace.tb_frame, _mentioned(trace, lines), room),
    }


def _place(function: str, file: str, name: str) -> str:
    function = values.cut(function, NAME_CHARS)
    return function if file == name else f"{function} ({os.path.basename(file)[:NAME_CHARS]})"


def _lines(file: str) -> list[str]:
    import linecache

    return linecache.getlines(file)


def _mentioned(trace: TracebackType, lines: list[str]) -> list[str]:
    """The names that the failing expression speaks of, then those of the rest of its line."""
    import re

    first, last = trace.tb_lineno, trace.tb_lineno
    for begin, end, *_ in islice(_positions(trace.tb_frame.f_code), trace.tb_lasti // 2, None):
        first, last = begin or first, end or last
        break
    last = min(last, first + _STATEMENT_LINES)
    around = lines[trace.tb_lineno - 1 : trace.tb_lineno]
    return list(dict.fromkeys(re.findall(_NAME, "".join([*around, *lines[first - 1 : last]]))))


def _positions(code: CodeType) -> Iterator[tuple[int | None, ...]]:
    return getattr(code, "co_positions", lambda: iter(()))()


def _variables(frame: FrameType, mentioned: list[str], room: int) -> dict[str, str]:
    local = _local(frame)
    named = [each for each in mentioned if each in local or each in frame.f_globals]
    rest = [] if local is frame.f_globals else local
    found: dict[str, str] = {}
    for key in dict.fromkeys([*named, *rest]):
        if len(found) == VARIABLES:
            break
        if type(key) is not str or not key.isidentifier() or key.startswith("__"):
            continue
        text = _tell(local.get(key, frame.f_globals.get(key)))
        if text is not None and (size := len(key) + len(text)) <= room and len(key) <= NAME_CHARS:
            found[key] = text
            room -= size
    return found


def _local(frame: FrameType) -> Mapping[str, Any]:
    if frame.f_locals is frame.f_globals:
        return frame.f_globals
    if frame.f_code.co_flags & _OPTIMIZED or type(frame.f_locals) is dict:
        return dict(frame.f_locals)
    return {}


def _tell(value: object) -> str | None:
    try:
        return values.describe(value)
    except Exception:
        return f"<{values.class_name(type(value))}>"


# --- text that is no Python


def _broken_line(error: BaseException, name: str) -> dict[str, Any] | None:
    """Where the compiler gave up, if that was in the program or in a module beside it."""
    file, line = _syntax(error, "filename"), _syntax(error, "lineno")
    if type(file) is not str or type(line) is not int:
        return None
    if file != name and not file.startswith(f"{workspace()}/"):
        return None
    text = _syntax(error, "text")
    source = text if type(text) is str else "".join(_lines(file)[line - 1 : line])
    return {
        "line": line,
        "function": _place("<module>", file, name),
        "source": values.cut(source.strip(), SOURCE_CHARS),
        "variables": {},
    }


def _plain_syntax_message(error: BaseException) -> str:
    """Without the file and line, which the frame has."""
    message = _syntax(error, "msg")
    return message if type(message) is str else ""


def _syntax(error: BaseException, name: str) -> Any:
    return vars(SyntaxError)[name].__get__(error)
