"""What a walk over a program keeps: where it may go on, scopes, imported names."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Final

from backend.sandbox.policy.bans import words

_LEAF_FIELDS = words(
    "ctx op ops id attr n s kind type_comment name asname names level module lineno"
)


def _child_fields(kind: type[ast.AST]) -> tuple[str, ...]:
    if kind in (ast.Constant, ast.Name, ast.Import, ast.ImportFrom, ast.alias):
        return ()
    return tuple(field for field in kind._fields if field not in _LEAF_FIELDS)


CHILDREN: Final[dict[type[ast.AST], tuple[str, ...]]] = {
    kind: _child_fields(kind)
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
}
# Defaults, decorators and bases belong to the scope around a definition; see `Program._enter`.
CHILDREN[ast.FunctionDef] = CHILDREN[ast.AsyncFunctionDef] = ("args", "body", "returns")
CHILDREN[ast.ClassDef] = ("body",)
CHILDREN[ast.arguments] = ("posonlyargs", "args", "vararg", "kwonlyargs", "kwarg")


class Scope:
    """What a function, class or the module binds, of the names that matter."""

    __slots__ = ("always", "assigned", "outer")

    def __init__(self, outer: Scope | None) -> None:
        self.outer = outer
        self.always: set[str] = set()
        self.assigned: dict[str, int] = {}

    def binds(self, name: str, line: int) -> bool:
        """Whether `name` at `line` means something of the program's own."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.always or scope.assigned.get(name, line) < line:
                return True
            scope = scope.outer
        return False


@dataclass(frozen=True, kw_only=True)
class Imported:
    """One imported name: ``from module import member``, or ``import module``."""

    module: str
    line: int
    node: ast.Import | ast.ImportFrom
    member: str | None = None
    level: int = 0
