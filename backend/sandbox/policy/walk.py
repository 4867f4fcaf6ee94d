"""Reading a program for the static check: one walk over the syntax tree, nothing judged.

Names are resolved as far as that is plain: through imports, ``as``, and assignments of one name
or module to another. What is cleverer than that is left to the kernel, which is the boundary.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import cached_property
from typing import Any, Final

from backend.sandbox.policy import tables
from backend.sandbox.policy.imports import ABSENCE_ERRORS
from backend.sandbox.policy.literals import folded
from backend.sandbox.policy.reach import certain_nodes
from backend.sandbox.policy.scopes import CHILDREN, Imported, Scope


class Program:
    """What a program imports, names, looks up and calls, of the things that matter."""

    def __init__(self, tree: ast.Module) -> None:
        self.imports: list[Imported] = []
        self.classes: set[str] = set()
        self.names: list[tuple[ast.Name, Scope]] = []
        self.attributes: list[ast.Attribute] = []
        self.calls: list[tuple[ast.Call, str]] = []
        self.lookups: list[ast.Subscript] = []
        self.texts: list[ast.Constant] = []
        self.loops: list[ast.While | ast.For] = []
        """Those that could be without end."""
        self.loaded: set[str] = set()
        """Names that are used anywhere."""
        self.bound: dict[str, int] = {}
        """Name -> how often it is given a meaning, anywhere."""
        self.tree = tree
        self.harmless: set[int] = set()
        """``id()`` of nodes whose use is known to be harmless."""
        self._paths: dict[str, str] = {}
        self._values: dict[str, ast.expr] = {}
        self._named_texts: dict[str, ast.Constant] = {}
        self._guarded: set[int] = set()
        self._pending: list[tuple[ast.AST, Scope]] = []
        self._walk(tree)

    # --- what a reader may ask ---------------------------------------------------------------

    def guarded(self, line: int) -> bool:
        """Whether the program goes on when an import or a connection at `line` fails."""
        return line in self._guarded

    def imports_root(self, root: str) -> bool:
        """Whether `root` is the top of an imported module, not a value of the program."""
        return root in self._paths.values()

    def path(self, node: ast.expr, depth: int = 0) -> str:
        """``a.b.c`` with imports and plain aliases resolved; what is no name is left out."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.NamedExpr):
            node = node.value
        if isinstance(node, ast.Name):
            root = self._paths.get(node.id, "")
            if not root and node.id in self._values and depth < 8:
                root = self.path(self._values[node.id], depth + 1)
            parts.append(root or self._usual_path(node.id))
        return ".".join(reversed(parts))

    def _usual_path(self, name: str) -> str:
        """What a name that nothing defines is usually short for."""
        return name if name in self.bound else tables.USUAL_ALIASES.get(name, name)

    def text(self, node: ast.expr) -> str | None:
        """A literal text, also one that a name stands for or that ``Path()`` and friends wrap."""
        literal = self.literal(node)
        return None if literal is None else folded(literal)

    def literal(self, node: ast.expr) -> ast.expr | None:
        """The expression that gives the text which `text` finds, where there is one."""
        if isinstance(node, ast.Call) and len(node.args) == 1:
            node = node.args[0]
        return self._named_texts.get(node.id) if isinstance(node, ast.Name) else node

    @cached_property
    def certain(self) -> set[int]:
        """``id()`` of the nodes that every run comes to; see `certain_nodes`."""
        return certain_nodes(self.tree)

    @cached_property
    def members(self) -> frozenset[str]:
        """Names of modules and of what is imported from them: ``pandas``, ``os.path.join``."""
        return frozenset(self._paths.values())

    # --- the walk ----------------------------------------------------------------------------

    def _walk(self, tree: ast.Module) -> None:
        stack = self._pending
        stack.append((tree, Scope(None)))
        while stack:
            node, scope = stack.pop()
            kind = node.__class__
            collect = _COLLECTORS.get(kind)
            if collect is not None:
                scope = collect(self, node, scope) or scope
            for field in CHILDREN[kind]:
                value = getattr(node, field)
                if value.__class__ is list:
                    stack.extend([(child, scope) for child in value if child is not None])
                elif value is not None and isinstance(value, ast.AST):
                    stack.append((value, scope))

    def _on_import(self, node: ast.Import, scope: Scope) -> None:
        for alias in node.names:
            top = alias.name.partition(".")[0]
            self._paths[alias.asname or top] = alias.name if alias.asname else top
            scope.always.add(alias.asname or top)
            self._bind(alias.asname or top)
            self.imports.append(Imported(module=alias.name, line=node.lineno, node=node))

    def _on_import_from(self, node: ast.ImportFrom, scope: Scope) -> None:
        module = node.module or ""
        for alias in node.names:
            self._paths[alias.asname or alias.name] = f"{module}.{alias.name}"
            scope.always.add(alias.asname or alias.name)
            self._bind(alias.asname or alias.name)
            if alias.name == "*" and module == "re":
                scope.always.add("compile")
            self.imports.append(
                Imported(
                    module=module,
                    line=node.lineno,
                    node=node,
                    member=alias.name,
                    level=node.level,
                )
            )

    def _on_name(self, node: ast.Name, scope: Scope) -> None:
        name = node.id
        is_load = node.ctx.__class__ is ast.Load
        if is_load:
            self.loaded.add(name)
        else:
            self.bound[name] = self.bound.get(name, 0) + 1
        if name not in tables.BANNED_NAMES:
            return
        if is_load:
            self.names.append((node, scope))
        else:
            line = scope.assigned.get(node.id, node.lineno)
            scope.assigned[node.id] = min(line, node.lineno)

    def _on_attribute(self, node: ast.Attribute, scope: Scope) -> None:
        if node.attr in tables.WATCHED_ATTRIBUTES:
            self.attributes.append(node)
        elif node.attr in tables.READABLE_OF_CODE:
            self.harmless.add(id(node.value))

    def _on_call(self, node: ast.Call, scope: Scope) -> None:
        called: Any = node.func
        kind = called.__class__
        name = called.id if kind is ast.Name else called.attr if kind is ast.Attribute else ""
        if name in tables.WATCHED_CALLS:
            self.calls.append((node, name))

    def _on_subscript(self, node: ast.Subscript, scope: Scope) -> None:
        looked_up = node.slice.__class__
        if looked_up is ast.Constant or looked_up is ast.BinOp or looked_up is ast.JoinedStr:
            self.lookups.append(node)

    def _on_constant(self, node: ast.Constant, scope: Scope) -> None:
        value: Any = node.value
        if value.__class__ is str and len(value) <= 4096 and ("/" in value or ".__" in value):
            self.texts.append(node)

    def _on_expression(self, node: ast.Expr, scope: Scope) -> None:
        if node.value.__class__ is ast.Constant:
            self.harmless.add(id(node.value))

    def _on_assign(self, node: ast.Assign, scope: Scope) -> None:
        for target in node.targets:
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                for one, value in zip(target.elts, node.value.elts, strict=False):
                    self._note_value(one, value)
            else:
                self._note_value(target, node.value)

    def _on_walrus(self, node: ast.NamedExpr, scope: Scope) -> None:
        self._note_value(node.target, node.value)

    def _note_value(self, target: ast.expr, value: ast.expr) -> None:
        if not isinstance(target, ast.Name):
            return
        if isinstance(value, ast.Name | ast.Attribute):
            self._values.setdefault(target.id, value)
        elif isinstance(value, ast.Constant) and isinstance(value.value, str):
            self._named_texts.setdefault(target.id, value)

    def _enter(self, node: Any, scope: Scope) -> Scope:
        """A definition: what it evaluates outside stays outside, the rest is its own scope."""
        if isinstance(node, ast.ClassDef):
            self.classes.add(node.name)
            outside: list[Any] = [*node.bases, *node.keywords, *node.decorator_list]
        else:
            arguments = node.args
            outside = [*arguments.defaults, *(d for d in arguments.kw_defaults if d is not None)]
        if not isinstance(node, ast.Lambda):
            scope.always.add(node.name)
            self._bind(node.name)
            outside += node.decorator_list
            for parameter in getattr(node, "type_params", ()):
                self._bind(parameter.name)
        self._pending.extend((child, scope) for child in outside)
        return Scope(scope)

    def _on_argument(self, node: ast.arg, scope: Scope) -> None:
        scope.always.add(node.arg)
        self._bind(node.arg)

    def _on_naming(self, node: Any, scope: Scope) -> None:
        """``except E as name``, ``case [*name]`` and the like, and ``type name = ...``."""
        name = getattr(node, "name", None) or getattr(node, "rest", None)
        if name is not None:
            self._bind(getattr(name, "id", name))

    def _bind(self, name: str) -> None:
        self.bound[name] = self.bound.get(name, 0) + 1

    def _on_while(self, node: ast.While, scope: Scope) -> None:
        self.loops.append(node)

    def _on_for(self, node: ast.For, scope: Scope) -> None:
        if isinstance(node.iter, ast.Call):
            called: Any = node.iter.func
            if getattr(called, "attr", getattr(called, "id", "")) in tables.ENDLESS_CALLS:
                self.loops.append(node)

    def _on_try(self, node: ast.Try, scope: Scope) -> None:
        if any(map(_catches_absence, node.handlers)):
            self._guard(node.body)

    def _on_if(self, node: ast.If, scope: Scope) -> None:
        if getattr(node.test, "id", getattr(node.test, "attr", "")) == "TYPE_CHECKING":
            self._guard(node.body)

    def _guard(self, body: list[ast.stmt]) -> None:
        self._guarded.update(range(body[0].lineno, (body[-1].end_lineno or body[-1].lineno) + 1))


def _catches_absence(handler: ast.ExceptHandler) -> bool:
    caught = handler.type
    kinds = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(
        kind is None or (isinstance(kind, ast.Name) and kind.id in ABSENCE_ERRORS) for kind in kinds
    )


_Collector = Callable[[Program, Any, Scope], Scope | None]
_COLLECTORS: Final[dict[type[ast.AST], _Collector]] = {
    ast.Import: Program._on_import,
    ast.ImportFrom: Program._on_import_from,
    ast.Name: Program._on_name,
    ast.Attribute: Program._on_attribute,
    ast.Call: Program._on_call,
    ast.Subscript: Program._on_subscript,
    ast.Constant: Program._on_constant,
    ast.Expr: Program._on_expression,
    ast.Assign: Program._on_assign,
    ast.NamedExpr: Program._on_walrus,
    ast.FunctionDef: Program._enter,
    ast.AsyncFunctionDef: Program._enter,
    ast.Lambda: Program._enter,
    ast.ClassDef: Program._enter,
    ast.arg: Program._on_argument,
    ast.Try: Program._on_try,
    ast.If: Program._on_if,
    ast.While: Program._on_while,
    ast.For: Program._on_for,
    ast.ExceptHandler: Program._on_naming,
    ast.MatchAs: Program._on_naming,
    ast.MatchStar: Program._on_naming,
    ast.MatchMapping: Program._on_naming,
}
if hasattr(ast, "TypeAlias"):  # from Python 3.12 on
    _COLLECTORS[ast.TypeAlias] = Program._on_naming
