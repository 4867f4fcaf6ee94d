"""Calls that read files: which file, and what they have to be told about its text."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Collection, Iterable, Iterator
from pathlib import PurePosixPath
from typing import Final

from backend.sandbox.fixes.editing import first_line
from backend.sandbox.policy import tables
from backend.sandbox.policy.findings import Edit, Mending, NewImport, replace
from backend.sandbox.policy.known import FileFormat, KnownFiles
from backend.sandbox.policy.literals import folded
from backend.sandbox.policy.shapes import opens_to_write
from backend.sandbox.policy.walk import Program

_TAKES_ENCODING: Final = frozenset({"read_csv", "read_table", "open", "read_text"})
_UTF8: Final = frozenset({"utf-8", "utf8", "ascii", "us-ascii"})


def files_read(program: Program, known: KnownFiles) -> set[str]:
    """The known files that the program reads by name; all of them, where it names none."""
    named = {name for call, _ in program.calls if (name := _file_of(program, call, known))}
    return named or set(known.files)


def given_encoding(program: Program, known: KnownFiles) -> Iterator[Mending]:
    """The files' real encodings for calls that read them with another one."""
    for call, name in program.calls:
        file = _file_of(program, call, known) if name in _TAKES_ENCODING else None
        if file is None or file not in known.formats:
            continue
        real = known.formats[file].encoding
        given = next((k.value for k in call.keywords if k.arg == "encoding"), None)
        stated = "utf-8" if given is None else folded(given)
        if stated is None or _same_encoding(stated, real):
            continue
        says = f"read {file!r} with encoding={real!r}"
        if given is not None:
            yield replace(given, repr(real), says)
        else:
            yield _added(call, f"encoding={real!r}", says)


def given_delimiter(program: Program, known: KnownFiles) -> Iterator[Mending]:
    """The files' real delimiters for calls of ``read_csv`` that name none."""
    for call, name in program.calls:
        file = _file_of(program, call, known) if name == "read_csv" else None
        form: FileFormat | None = known.formats.get(file) if file is not None else None
        if form is None or form.delimiter == "," or len(call.args) != 1:
            continue
        if not any(keyword.arg in ("sep", "delimiter", None) for keyword in call.keywords):
            says = f"read {file!r} with sep={form.delimiter!r}"
            yield _added(call, f"sep={form.delimiter!r}", says)


def new_folder(program: Program, folder: str) -> Iterator[Mending]:
    """Make the folder that the program writes into, before anything else."""
    path = PurePosixPath(folder)
    if folder and not path.is_absolute() and ".." not in path.parts:
        if "os" not in program.bound:
            yield NewImport(statement="import os")
        line = _first_line_of_work(program.tree)
        text = f"os.makedirs({folder!r}, exist_ok=True)\n"
        says = f"made the folder {folder!r} first"
        yield Edit(says=says, line=line, column=0, end_line=line, end_column=0, text=text)


def _first_line_of_work(tree: ast.Module) -> int:
    """The line of the first statement that is no import and no text."""
    for statement in tree.body:
        is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not isinstance(statement, ast.Import | ast.ImportFrom) and not is_text:
            return first_line(statement)
    return 1


def writes_at(program: Program, lines: Collection[int]) -> bool:
    """Whether one of these lines writes a file."""
    for call, name in program.calls:
        end = call.end_lineno or call.lineno
        writes = name in tables.CHANGING_CALLS or (name == "open" and opens_to_write(call))
        if writes and any(call.lineno <= line <= end for line in lines):
            return True
    return False


def not_read(nodes: Iterable[ast.AST]) -> set[int]:
    """``id()`` of what is printed or written to, among the arguments of calls."""
    found: set[int] = set()
    for node in nodes:
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name == "print" or name in tables.CHANGING_CALLS:
                found |= {id(argument) for argument in node.args}
    return found


def literal_path(node: ast.AST, program: Program) -> str | None:
    """The path that an expression of literals stands for, ``os.path.join`` included."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.Call) and program.path(node.func) == "os.path.join":
        parts = [folded(each) for each in node.args]
        texts = [part for part in parts if part is not None]
        return posixpath.join(*texts) if texts and len(texts) == len(parts) else None
    return None


def _file_of(program: Program, call: ast.Call, known: KnownFiles) -> str | None:
    """The known file that a call names."""
    path = program.text(call.args[0]) if call.args else None
    if path is None and isinstance(call.func, ast.Attribute) and not call.args:
        path = program.text(call.func.value)
    if path is None:
        return None
    names = (path, path.removeprefix("./"), PurePosixPath(path).name)
    return next((name for name in names if name in known.files), None)


def _added(call: ast.Call, argument: str, says: str) -> Edit:
    """One more argument, at the end of a call."""
    last = max(
        (*call.args, *(keyword.value for keyword in call.keywords), call.func),
        key=lambda node: (node.end_lineno or 0, node.end_col_offset or 0),
    )
    line, column = last.end_lineno or call.lineno, last.end_col_offset or 0
    if not call.args and not call.keywords:
        line, column = call.end_lineno or call.lineno, (call.end_col_offset or 1) - 1
        text = argument
    else:
        text = f", {argument}"
    return Edit(says=says, line=line, column=column, end_line=line, end_column=column, text=text)


def _same_encoding(one: str, other: str) -> bool:
    def plain(name: str) -> str:
        return name.lower().replace("_", "-")

    return plain(one) == plain(other) or {plain(one), plain(other)} <= _UTF8
