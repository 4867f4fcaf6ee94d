"""Names that a program uses and nothing in it defines: typos and missing imports."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from typing import Final

from backend.sandbox.policy import tables
from backend.sandbox.policy.findings import Finding, NewImport, Surroundings, finding
from backend.sandbox.policy.nearest import did_you_mean
from backend.sandbox.policy.walk import Program
from backend.sandbox.policy.wellknown import Use, import_for

MAX_UNDEFINED: Final = 12
_GIVEN: Final = frozenset(dir(builtins)) | {
    "__file__", "__name__", "__doc__", "__annotations__", "__builtins__", "__spec__", "__loader__",
    "__package__", "__debug__", "__path__", "__class__", "__qualname__", "__module__",
}  # fmt: skip
_NAMESPACES: Final = frozenset({"globals", "locals", "vars", "exec", "eval", "__import__"})
"""Whoever uses these may define names unseen."""


def undefined_names(program: Program, around: Surroundings) -> Iterator[Finding]:
    """Each name that is used and bound in no scope at all, at its first use."""
    if around.names is None or program.loaded & _NAMESPACES or "*" in program.bound:
        return
    missing = program.loaded - program.bound.keys() - _GIVEN - tables.BANNED_NAMES.keys()
    missing -= frozenset(around.names)
    if not missing:
        return
    uses = _uses(program.tree, missing)
    first = sorted(uses, key=lambda name: uses[name][0].lineno)[:MAX_UNDEFINED]
    for name in first:
        yield _judge(program, around, uses[name])


def _judge(program: Program, around: Surroundings, uses: list[_Use]) -> Finding:
    first = uses[0]
    statements = {import_for(use.use, around.installed) for use in uses}
    statement = statements.pop() if len(statements) == 1 else None
    certain = around.foresee and any(id(use.node) in program.certain for use in uses)
    if statement is not None:
        help_ = f" Add `{statement}`."
    else:
        known = (
            {*program.bound, *around.names, *_GIVEN} if around.names else {*program.bound, *_GIVEN}
        )
        help_ = did_you_mean(first.node.id, known) or " Define it before it is used, or import it."
    return finding(
        "undefined_name",
        f"{first.node.id!r} is used and nothing in the program defines it.{help_}",
        first.lineno,
        severity="error" if certain else "advice",
        mending=None if statement is None else NewImport(statement=statement),
    )


class _Use:
    """One place where a name is used."""

    __slots__ = ("lineno", "node", "use")

    def __init__(self, node: ast.Name, parent: ast.AST) -> None:
        self.node = node
        self.lineno = node.lineno
        member = parent.attr if isinstance(parent, ast.Attribute) else None
        called = isinstance(parent, ast.Call) and parent.func is node
        called = called or node in getattr(parent, "decorator_list", ())
        self.use = Use(name=node.id, member=member, called=called)


def _uses(tree: ast.Module, names: set[str]) -> dict[str, list[_Use]]:
    """Name -> its uses, by line."""
    found: dict[str, list[_Use]] = {}
    for parent in ast.walk(tree):
        for child in ast.iter_child_nodes(parent):
            if isinstance(child, ast.Name) and child.id in names:
                found.setdefault(child.id, []).append(_Use(child, parent))
    for uses in found.values():
        uses.sort(key=lambda use: use.lineno)
    return found
