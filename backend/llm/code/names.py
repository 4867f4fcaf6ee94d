"""Which names a block of code needs and which it gives: what decides which blocks belong together."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

_ALWAYS_THERE: Final = frozenset(dir(builtins)) | {
    "__name__", "__file__", "__doc__", "display", "get_ipython",
}  # fmt: skip
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(kw_only=True)
class Names:
    """A block's dealings with names at its top level."""

    needs: set[str] = field(default_factory=set)
    """Used before, or without, being bound in the block itself."""
    binds: set[str] = field(default_factory=set)
    changes: set[str] = field(default_factory=set)
    """Whose value is changed in place: ``x[...] =``, ``x.y =``, ``x.sort()``."""


def names_of(tree: ast.Module) -> Names:
    """Read a block's names, in the order in which it runs; empty when it is nested too deeply."""
    reader = _Reader()
    try:
        reader.run(tree.body)
    except RecursionError:
        return Names()
    names = reader.names
    names.needs |= reader.later - names.binds
    names.needs -= _ALWAYS_THERE
    return names


class _Reader:
    def __init__(self) -> None:
        self.names = Names()
        self.later: set[str] = set()
        """Needed by function bodies: whenever they are called."""

    def run(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            self._uses([*node.decorator_list, *_evaluated(node.args)])
            self.later |= _free_in_function(node)
            self.names.binds.add(node.name)
        elif isinstance(node, ast.ClassDef):
            self._uses([*node.decorator_list, *node.bases, *node.keywords])
            inner = _Reader()
            inner.run(node.body)
            self._use_names(inner.names.needs)
            self.later |= inner.later
            self.names.binds.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                self.names.binds.add((alias.asname or alias.name).partition(".")[0])
        elif hasattr(node, "body"):
            self._compound(node)
        else:
            self._simple(node)

    def _compound(self, node: ast.stmt) -> None:
        """for, while, if, with, try: what they evaluate, what they bind, then what they hold."""
        heads = [getattr(node, name, None) for name in ("test", "iter", "subject")]
        self._uses(head for head in heads if head is not None)
        for item in getattr(node, "items", []):
            self._uses([item.context_expr])
            self._bind(item.optional_vars)
        self._bind(getattr(node, "target", None))
        for case in getattr(node, "cases", []):
            self._simple(case.pattern)
            self.run(case.body)
        self.run(getattr(node, "body", []))
        for handler in getattr(node, "handlers", []):
            self._uses([handler.type] if handler.type is not None else [])
            self.names.binds |= {handler.name} if handler.name else set()
            self.run(handler.body)
        self.run(getattr(node, "orelse", []))
        self.run(getattr(node, "finalbody", []))

    def _simple(self, node: ast.AST) -> None:
        self._uses([node])
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            self._use_names({node.target.id})
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            self._note_change(node.value.func)
        for child in ast.walk(node):
            self._bind_one(child)

    def _bind(self, target: ast.AST | None) -> None:
        for child in ast.walk(target) if target is not None else ():
            self._bind_one(child)

    def _bind_one(self, node: ast.AST) -> None:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            self.names.binds.add(node.id)
        elif isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            self._note_change(node)
        elif isinstance(node, ast.MatchAs | ast.MatchStar) and node.name:
            self.names.binds.add(node.name)

    def _note_change(self, node: ast.expr) -> None:
        inner: ast.expr = node
        while isinstance(inner, ast.Subscript | ast.Attribute):
            inner = inner.value
        if inner is not node and isinstance(inner, ast.Name):
            self.names.changes.add(inner.id)

    def _uses(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            used, later = _loads(node)
            self._use_names(used)
            self.later |= later

    def _use_names(self, used: set[str]) -> None:
        self.names.needs |= used - self.names.binds


def _evaluated(arguments: ast.arguments) -> list[ast.AST]:
    return [*arguments.defaults, *(one for one in arguments.kw_defaults if one is not None)]


def _loads(root: ast.AST) -> tuple[set[str], set[str]]:
    """Names read when `root` runs, and names read when a lambda in it is called."""
    now: set[str] = set()
    later: set[str] = set()
    own: set[str] = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Lambda):
            later |= _free_in_function(node)
            stack += _evaluated(node.args)
            continue
        if isinstance(node, _COMPREHENSIONS):
            for part in node.generators:
                own |= {n.id for n in ast.walk(part.target) if isinstance(n, ast.Name)}
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            now.add(node.id)
        if isinstance(node, ast.NamedExpr):
            own.add(node.target.id)
        stack.extend(ast.iter_child_nodes(node))
    return now - own, later - own


def _free_in_function(function: ast.AST) -> set[str]:
    """Names a function reads that neither it nor a function inside it binds."""
    read: set[str] = set()
    bound: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            bound.add(node.name)
    if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
        read |= {
            n.id for d in _evaluated(function.args) for n in ast.walk(d) if isinstance(n, ast.Name)
        }
        bound |= {function.name}
    return read - bound
