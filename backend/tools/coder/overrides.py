"""A program with other input values: what it sets itself at its top is set to something else.

A constant is replaced by the new value's own literal, so that the changed program stands by
itself. A name that a program reads and never sets is given to it as a variable.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.errors import RequestError
from backend.foreign_code import parse
from backend.types import Language

_PLAIN = (str, int, float, bool, list, tuple, dict, set, type(None))
_SHOWN = 12


@dataclass(frozen=True, kw_only=True)
class Overridden:
    """A program whose input values were changed."""

    code: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    """What it has to find defined."""


def override(code: str, inputs: Mapping[str, Any], language: Language = "python") -> Overridden:
    """Give a program other input values.

    Args:
        code: the program.
        inputs: name -> value. A name is what the program assigns at its top level, where the
            first assignment counts, or what it reads and never sets.
        language: what it is written in; scripts of Bash find their inputs in the environment.

    Raises:
        RequestError: the program has no such input; names those it has.
    """
    if not inputs:
        return Overridden(code=code)
    if language == "bash":
        _refuse_set_in_bash(code, inputs)
        return Overridden(code=code, variables=dict(inputs))
    tree = _parse(code)
    assigned = _top_level_values(tree)
    free = _free_names(tree)
    if unknown := [name for name in inputs if name not in assigned and name not in free]:
        known = [*_constants(assigned), *sorted(free)][:_SHOWN]
        raise RequestError(
            f"The program has no input {unknown[0]!r}.",
            f"It has: {', '.join(known)}." if known else "It has none that could be changed.",
            param="inputs",
        )
    variables = {name: value for name, value in inputs.items() if name not in assigned}
    replacements = []
    for name in inputs.keys() & assigned.keys():
        literal = _literal(inputs[name])
        if literal is None:
            variables[name] = inputs[name]
        replacements.append((assigned[name], name if literal is None else literal))
    return Overridden(code=_replaced(code, replacements), variables=variables)


def _parse(code: str) -> ast.Module:
    tree = parse(code)
    if tree is None:
        raise RequestError("The program cannot be read, so its inputs cannot be changed.")
    return tree


def _top_level_values(tree: ast.Module) -> dict[str, ast.expr]:
    """Name -> the value of its first assignment outside of every block."""
    found: dict[str, ast.expr] = {}
    for statement in tree.body:
        target: ast.expr | None = None
        if isinstance(statement, ast.AnnAssign):
            target = statement.target
        elif isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
        if isinstance(target, ast.Name) and (value := getattr(statement, "value", None)):
            found.setdefault(target.id, value)
    return found


def _constants(assigned: Mapping[str, ast.expr]) -> Iterator[str]:
    for name, value in assigned.items():
        try:
            ast.literal_eval(value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            continue
        yield name


def _read(tree: ast.Module) -> set[str]:
    return {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


def _free_names(tree: ast.Module) -> set[str]:
    """Names that are read and nowhere set, nor Python's own."""
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            bound.add(node.name)
    return _read(tree) - bound - set(dir(builtins))


def _literal(value: Any) -> str | None:
    """The value as Python writes it, if that gives it back."""
    if not isinstance(value, _PLAIN):
        return None
    text = repr(value)
    try:
        return text if ast.literal_eval(text) == value else None
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def _replaced(code: str, replacements: list[tuple[ast.expr, str]]) -> str:
    """The code with expressions replaced; every other line keeps its number."""
    lines = code.encode().splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    text = code.encode()
    by_place = sorted(
        replacements, key=lambda entry: (entry[0].lineno, entry[0].col_offset), reverse=True
    )
    for value, literal in by_place:
        assert value.end_lineno is not None
        assert value.end_col_offset is not None
        begin = starts[value.lineno - 1] + value.col_offset
        end = starts[value.end_lineno - 1] + value.end_col_offset
        height = value.end_lineno - value.lineno
        new = f"({literal}{chr(10) * height})" if height else literal
        text = text[:begin] + new.encode() + text[end:]
    return text.decode()


def _refuse_set_in_bash(code: str, inputs: Mapping[str, Any]) -> None:
    for name in inputs:
        if re.search(rf"(?m)^\s*(?:export\s+|readonly\s+)?{re.escape(name)}=(?!\"?\$\{{)", code):
            raise RequestError(
                f"The script sets {name!r} itself.",
                "Only what it does not set can be given.",
                param="inputs",
            )
