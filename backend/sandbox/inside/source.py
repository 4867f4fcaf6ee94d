"""The program's text: compiled as a notebook cell is, and findable for tracebacks and spawn."""

from __future__ import annotations

import _ast
import os
from collections.abc import Callable, Collection
from types import CodeType
from typing import Any

from .places import temporary, workspace


def name_for(inputs: Collection[str]) -> str:
    """The file name the program believes to have; beside its inputs, and none of them."""
    return f"{workspace()}/" + ("main.py" if "main.py" not in inputs else "__main__.py")


def compile_program(text: str, name: str) -> tuple[CodeType, CodeType | None]:
    """Compile what a program does, and the expression that it ends in, if it ends in one.

    Raises:
        SyntaxError: and the like, as ``compile`` does.
    """
    text = text.removeprefix("\ufeff")
    return _cut_before_last_line(text, name) or _cut_in_tree(text, name)


def _cut_before_last_line(text: str, name: str) -> tuple[CodeType, CodeType] | None:
    """The usual case, in half the time: what precedes the last line is whole without it.

    Where that line goes on with what stands above it, one of the two cannot be compiled.
    """
    above, line_end, last = text.rstrip(" \t\n\f").rpartition("\n")
    if not last or last[0] in " \t\f#" or ";" in last or "\r" in text:
        return None
    try:
        lines_above = "\n" * (above.count("\n") + len(line_end))
        expression = compile(lines_above + last, name, "eval", dont_inherit=True)
        return compile(above + line_end, name, "exec", dont_inherit=True), expression
    except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError):
        return None


def _cut_in_tree(text: str, name: str) -> tuple[CodeType, CodeType | None]:
    tree: Any = compile(text, name, "exec", _ast.PyCF_ONLY_AST, dont_inherit=True)
    expression = None
    if tree.body and isinstance(tree.body[-1], _ast.Expr):
        last = _ast.Expression(tree.body.pop().value)
        expression = compile(last, name, "eval", dont_inherit=True)
    return compile(tree, name, "exec", dont_inherit=True), expression


def hooks(name: str, text: str) -> dict[str, Callable[[Any], None]]:
    """What has to know the text, once it is imported: tracebacks, and multiprocessing's spawn."""

    def fill_line_cache(linecache: Any) -> None:
        lines = [line + "\n" for line in text.splitlines()]
        # No modification time: there is no file to compare with.
        linecache.cache[name] = (len(text), None, lines, name)

    def spawn_from_a_file(spawn: Any) -> None:
        original = spawn.get_preparation_data

        def get_preparation_data(process: str) -> dict[str, Any]:
            data: dict[str, Any] = original(process)
            if data.get("init_main_from_path") == name:
                data["init_main_from_path"] = write(f"{temporary()}/main.py", text)
            return data

        spawn.get_preparation_data = get_preparation_data

    return {"linecache": fill_line_cache, "multiprocessing.spawn": spawn_from_a_file}


def write(path: str, text: str) -> str:
    """Put the text into a file and return its path."""
    data = text.encode("utf-8", "surrogatepass")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o700)
    with open(fd, "wb") as file:
        file.write(data)
    return path
