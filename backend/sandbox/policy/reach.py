"""Which expressions of a program are certain to be evaluated, if nothing fails before them."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from backend.sandbox.policy.bans import words

_ENDING = words("exit _exit quit abort")
_SKIPPED = (ast.Lambda, ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_LEAVING = (ast.Return, ast.Raise, ast.Break, ast.Continue)
_MAX_FUNCTIONS: Final = 50


def certain_nodes(tree: ast.Module) -> set[int]:
    """``id()`` of the expressions and statements that every run comes to.

    That is the code outside of conditions, loops and ``try``, in the module and in those functions
    that such code calls by their names.
    """
    return _Reach(tree).certain


class _Reach:
    def __init__(self, tree: ast.Module) -> None:
        self.certain: set[int] = set()
        self._functions = {
            node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)
        }
        defined = Counter(node.name for node in tree.body if isinstance(node, ast.FunctionDef))
        for name in [name for name, number in defined.items() if number > 1]:
            del self._functions[name]
        self._ends_somewhere = any(map(_ends, ast.walk(tree)))
        pending: list[list[ast.stmt]] = [tree.body]
        entered: set[str] = set()
        while pending:
            for name in self._sequence(pending.pop()):
                if name in entered or len(entered) >= _MAX_FUNCTIONS:
                    continue
                entered.add(name)
                function = self._functions[name]
                if not any(
                    isinstance(node, ast.Yield | ast.YieldFrom) for node in ast.walk(function)
                ):
                    pending.append(function.body)

    def _sequence(self, body: list[ast.stmt]) -> list[str]:
        """Mark statements one after another, as long as they are certain; the calls in them."""
        called: list[str] = []
        stack = list(reversed(body))
        while stack:
            statement = stack.pop()
            self.certain.add(id(statement))
            calls = self._mark(_evaluated(statement))
            called += calls
            inner = _always_run(statement)
            if inner is not None:
                stack.extend(reversed(inner))
            elif self._may_leave(statement):
                break
            if calls and self._ends_somewhere:
                break
        return called

    def _mark(self, expressions: Iterable[ast.expr | None]) -> list[str]:
        """Mark what these expressions evaluate for certain; the functions of ours they call."""
        called: list[str] = []
        stack: list[ast.AST] = [node for node in expressions if node is not None]
        while stack:
            node = stack.pop()
            self.certain.add(id(node))
            match node:
                case ast.Call(func=ast.Name(id=name)) if name in self._functions:
                    called.append(name)
            stack.extend(_certain_parts(node))
        return called

    def _may_leave(self, statement: ast.stmt) -> bool:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return False
        return any(isinstance(node, _LEAVING) or _ends(node) for node in ast.walk(statement))


def _certain_parts(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.IfExp):
        yield node.test
    elif isinstance(node, ast.BoolOp):
        yield node.values[0]
    elif isinstance(node, ast.Compare):
        yield node.left
        yield node.comparators[0]
    elif isinstance(node, _COMPREHENSIONS):
        yield node.generators[0].iter
    elif not isinstance(node, _SKIPPED):
        yield from ast.iter_child_nodes(node)


def _evaluated(statement: ast.stmt) -> list[ast.expr | None]:
    """The expressions that a statement evaluates itself, annotations left out."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            arguments = statement.args
            return [*statement.decorator_list, *arguments.defaults, *arguments.kw_defaults]
        case ast.ClassDef():
            keywords = [keyword.value for keyword in statement.keywords]
            return [*statement.decorator_list, *statement.bases, *keywords]
        case ast.If() | ast.While():
            return [statement.test]
        case ast.For():
            return [statement.iter]
        case ast.With():
            return [item.context_expr for item in statement.items]
        case ast.Match():
            return [statement.subject]
        case ast.AnnAssign():
            return [statement.value]
        case ast.Assert():
            return [statement.test]
        case ast.Try() | ast.TryStar() | ast.AsyncFor() | ast.AsyncWith():
            return []
    return [child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.expr)]


def _always_run(statement: ast.stmt) -> list[ast.stmt] | None:
    """The body of a statement that has one which is always run."""
    if isinstance(statement, ast.With) and not _suppresses(statement):
        return statement.body
    if isinstance(statement, ast.ClassDef):
        return statement.body
    if isinstance(statement, ast.If) and _is_main_guard(statement.test):
        return statement.body
    return None


def _suppresses(statement: ast.With) -> bool:
    """It may swallow what fails in it, as ``suppress`` and ``pytest.raises`` do."""
    names = [
        getattr(node, "id", getattr(node, "attr", ""))
        for item in statement.items
        for node in ast.walk(item.context_expr)
    ]
    return any(name in ("suppress", "raises", "assertRaises", "warns") for name in names)


def _is_main_guard(test: ast.expr) -> bool:
    if not isinstance(test, ast.Compare) or not isinstance(test.ops[0], ast.Eq):
        return False
    sides = (test.left, test.comparators[0])
    names = {side.id for side in sides if isinstance(side, ast.Name)}
    return names == {"__name__"}


def _ends(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
    return name in _ENDING
