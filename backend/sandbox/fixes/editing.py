"""Putting mendings into a program's text."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from backend.foreign_code import quiet_compiler
from backend.sandbox.policy.findings import Edit, Mending, NewImport


def parsed(code: str) -> ast.Module | None:
    """The program's syntax tree; None where it is no Python."""
    with quiet_compiler():
        try:
            tree = ast.parse(code)
            compile(code, "<program>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
            return None
    return tree


def first_line(statement: ast.stmt) -> int:
    """The line in which a statement begins, its decorators included."""
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(each.lineno for each in decorators)])


def mended(code: str, mendings: Iterable[Mending]) -> tuple[str, tuple[str, ...]]:
    """The program with every mending in it, and what was changed, once each.

    Of edits that overlap, the first one is made.
    """
    edits: list[Edit] = []
    imports: list[NewImport] = []
    said: list[str] = []
    for mending in mendings:
        if isinstance(mending, NewImport):
            imports += [mending] if mending not in imports else []
        elif any(_overlap(mending, other) for other in edits):
            continue
        else:
            edits.append(mending)
        if mending.says not in said:
            said.append(mending.says)
    lines = code.split("\n")
    place = _place_of_imports(code) if imports else 0
    for edit in sorted(edits, key=lambda each: (each.line, each.column), reverse=True):
        _replace(lines, edit)
        if edit.line <= place:
            place += edit.text.count("\n") - (edit.end_line - edit.line)
    lines[place:place] = [each.statement for each in imports]
    return "\n".join(lines), tuple(said)


def _overlap(one: Edit, other: Edit) -> bool:
    first, second = sorted((one, other), key=lambda each: (each.line, each.column))
    if (first.line, first.column) == (second.line, second.column):
        return True
    return (second.line, second.column) < (first.end_line, first.end_column)


def _replace(lines: list[str], edit: Edit) -> None:
    head = lines[edit.line - 1].encode()[: edit.column].decode()
    tail = lines[edit.end_line - 1].encode()[edit.end_column :].decode()
    lines[edit.line - 1 : edit.end_line] = f"{head}{edit.text}{tail}".split("\n")


def _place_of_imports(code: str) -> int:
    """How many lines stand before the first statement that may follow a new import."""
    tree = parsed(code)
    body: Sequence[ast.stmt] = tree.body if tree else ()
    for statement in body:
        is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        is_future = isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
        if not (is_text or is_future):
            return first_line(statement) - 1
    return len(code.split("\n"))
