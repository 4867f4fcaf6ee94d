"""The program's text: compiled as a notebook cell is, and findable for tracebacks and spawn."""

from __future__ import annotations

import _ast
import os
from collections.abc import Callable, Collection
from types import CodeType
from typing import Any

from .places import temporary, workspace

# The program may put something else in its place.
_compile = compile


def name_for(inputs: Collection[str]) -> str:
    """The file name the program believes to have; beside its inputs, and none of them."""
    return f"{workspace()}/" + ("main.py" if "main.py" not in inputs else "__main__.py")


def compile_program(text: str, name: str, hidden: str) -> CodeType:
    """Compile; the value of a last expression is kept under the ``hidden`` global."""
    text = text.removeprefix("\ufeff")
    tree: Any = _compile(text, name, "exec", _ast.PyCF_ONLY_AST, dont_inherit=True)
    # In one piece: what a program sees of its own frame, it sees on its last line as well.
    if tree.body and isinstance(tree.body[-1], _ast.Expr):
        last = tree.body[-1]
        place: dict[str, Any] = {
            "lineno": last.lineno,
            "col_offset": last.col_offset,
            "end_lineno": last.end_lineno,
            "end_col_offset": last.end_col_offset,
        }
        target = _ast.Name(id=hidden, ctx=_ast.Store(), **place)
        tree.body[-1] = _ast.Assign(targets=[target], value=last.value, **place)
    return _compile(tree, name, "exec", dont_inherit=True)


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
