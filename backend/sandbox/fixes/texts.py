"""Mending a program that is no Python, where its error names what has slipped in."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Callable
from typing import Final

from backend.foreign_code import quiet_compiler
from backend.sandbox.fixes.editing import parsed

_MAX_ROUNDS: Final = 60
_PARSED_CHARS: Final = 1_000_000
"""In all rounds together; a large program takes a second to parse."""
_MAX_LINE: Final = 2_000
"""Characters of a line in which something may have slipped."""
_FENCE = re.compile(r"\s*(?:```|~~~)\s*[\w+-]*\s*")
_INSTALLING = re.compile(r"\s*[!%]\s*(?:pip3?|conda|mamba|apt|apt-get|python3? -m pip)\s.*")
_BARE_INSTALLING = re.compile(r"\s*(?:pip3?|conda)\s+install\s.*")
_MAGIC = re.compile(r"\s*%{1,2}(?:matplotlib|config|load_ext|autoreload|time|timeit|pylab)\b.*")
_TAG = re.compile(r"\s*(?:<\|[\w ]{1,40}\|>|</?(?:code|python|pre|tool_call|answer|s)>)\s*")
_PRINT = re.compile(r"(\s*)print\s+([^\s>(].*?|\(.*\)\s*%.*?)\s*(,?)\s*")
_DOUBLE = str.maketrans("\u201c\u201d\u201e\u201f", '""""')
_SINGLE = str.maketrans("\u2018\u2019\u201a\u201b", "''''")
_SPACES = {ord(space): " " for space in "\u00a0\u2002\u2003\u2007\u2009\u202f\u3000"} | {
    ord(nothing): "" for nothing in "\u200b\u200c\u200d\u2060\ufeff\u00ad"
}


def mended_text(code: str) -> tuple[str, tuple[str, ...]] | None:
    """The program with what had slipped in taken out, and what was changed; None if that fails.

    Each step is led by the interpreter's own error and touches the line that it names.
    """
    said: list[str] = []
    for _ in range(min(_MAX_ROUNDS, 2 + _PARSED_CHARS // (len(code) + 1))):
        error = _error(code)
        if error is None:
            return (code, tuple(dict.fromkeys(said))) if said and parsed(code) else None
        step = next((step for look in _STEPS if (step := look(code, error)) is not None), None)
        if step is None or step[0] == code:
            return None
        code = step[0]
        said.append(step[1])
    return None


def _error(code: str) -> SyntaxError | None:
    with quiet_compiler():
        try:
            ast.parse(code)
        except SyntaxError as error:
            return error
        except (ValueError, RecursionError, MemoryError, OverflowError) as error:
            return SyntaxError(str(error))
    return None


_Step = tuple[str, str] | None


def _foreign_line(code: str, error: SyntaxError) -> _Step:
    """A fence, a tag of a model's template, a notebook's installing or magic line."""
    lines = code.split("\n")
    place = (error.lineno or 0) - 1
    if not 0 <= place < len(lines):
        return None
    line = lines[place]
    if len(line) > _MAX_LINE or not any(
        form.fullmatch(line) for form in (_FENCE, _TAG, _INSTALLING, _BARE_INSTALLING, _MAGIC)
    ):
        return None
    indentation = line[: len(line) - len(line.lstrip())]
    lines[place] = f"{indentation}pass" if indentation else ""
    return "\n".join(lines), f"removed the line {line.strip()[:60]!r}"


def _strange_character(code: str, error: SyntaxError) -> _Step:
    """Curly quotes and invisible characters, in the line in which they do not belong."""
    lines = code.split("\n")
    place = (error.lineno or 0) - 1
    found = re.search(r"\(U\+([0-9A-F]{4,6})\)|character U\+([0-9A-F]{4,6})", error.msg or "")
    if found is None or not 0 <= place < len(lines):
        return None
    code_point = int(found[1] or found[2], 16)
    for table, says in (
        (_DOUBLE, "put straight quotes in the place of curly ones"),
        (_SINGLE, "put straight quotes in the place of curly ones"),
        (_SPACES, "removed invisible characters"),
    ):
        if code_point in table:
            lines[place] = lines[place].translate(table)
            return "\n".join(lines), says
    return None


def _print_statement(code: str, error: SyntaxError) -> _Step:
    if "Missing parentheses in call to 'print'" not in (error.msg or ""):
        return None
    lines = code.split("\n")
    place = (error.lineno or 0) - 1
    found = _PRINT.fullmatch(lines[place]) if len(lines[place]) <= _MAX_LINE else None
    if found is None:
        return None
    ending = ', end=" "' if found[3] else ""
    lines[place] = f"{found[1]}print({found[2]}{ending})"
    return "\n".join(lines), "wrote print(...) with parentheses"


def _mixed_tabs(code: str, error: SyntaxError) -> _Step:
    """Tabs as four or eight spaces, unless both work and mean different programs."""
    if not isinstance(error, IndentationError) or "\t" not in code:
        return None
    trees = {}
    for width in (4, 8):
        spaced = "\n".join(_expanded(line, width) for line in code.split("\n"))
        if (tree := parsed(spaced)) is not None:
            trees[ast.dump(tree)] = spaced
    if len(trees) != 1:
        return None
    return trees.popitem()[1], "indented with spaces alone instead of tabs and spaces"


def _expanded(line: str, width: int) -> str:
    body = line.lstrip(" \t")
    return line[: len(line) - len(body)].expandtabs(width) + body


def _indented_whole(code: str, error: SyntaxError) -> _Step:
    if not isinstance(error, IndentationError):
        return None
    dedented = textwrap.dedent(code)
    return (dedented, "removed the indentation of the whole program") if parsed(dedented) else None


def _open_last_line(code: str, error: SyntaxError) -> _Step:
    """The bracket of ``print(max(x, 3)`` at the very end; any other may have been cut off."""
    text = code.rstrip()
    if error.msg != "'(' was never closed" or error.lineno != text.count("\n") + 1:
        return None
    tree = parsed(f"{text})\n") if text.endswith(")") else None
    match tree.body[-1] if tree is not None else None:
        case ast.Expr(value=ast.Call(func=ast.Name(id="print"), lineno=line)) if (
            line == error.lineno
        ):
            return f"{text})\n", "closed the last line's '('"
    return None


_STEPS: Final[tuple[Callable[[str, SyntaxError], _Step], ...]] = (
    _foreign_line,
    _strange_character,
    _print_statement,
    _mixed_tabs,
    _indented_whole,
    _open_last_line,
)
