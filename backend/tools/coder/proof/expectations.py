"""What a caller's tests and constraints say about single results, read from their text."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from backend.foreign_code import parse
from backend.tools.coder.proof.testing import CaseResult
from backend.tools.coder.proof.texts_of_tests import SuiteText


class Expected:
    """What the caller says of expressions: the constants that they equal, and what must hold."""

    def __init__(self, tests: Sequence[SuiteText], checks: Collection[str]) -> None:
        self._tests = tests
        self._checks = checks
        self._by_caller: dict[str, tuple[Any, str]] = {}
        for text in tests:
            if text["by"] == "caller":
                for function, what, value in _expectations(text["source"]):
                    self._by_caller[what] = (value, function)

    def contradicted_by(self, case: CaseResult) -> str:
        """Why a test is wrong that expects what the caller excludes; '' if it does not."""
        if case.type != "AssertionError" or "[" in case.name:
            return ""
        for function, what, value in _expectations(self._tests[case.module]["source"]):
            if function != case.function:
                continue
            known, test = self._by_caller.get(what, (value, ""))
            if not _same(known, value):
                return f"it expects {what} to be {value!r}, the caller's {test} expects {known!r}"
            for check in self._checks:
                if what.isidentifier() and _holds(check, what, value) is False:
                    return f"it expects {what} to be {value!r}, and the caller says {check}"
        return ""


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)
    return bool(one == other)


def _expectations(text: str) -> Iterator[tuple[str, str, Any]]:
    """Which function says of which expression that it equals which constant."""
    tree = parse(text)
    functions = [
        node
        for node in ast.walk(tree or ast.Module(body=[], type_ignores=[]))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test")
    ]
    for function in functions:
        yield from _of_function(function)


def _of_function(function: ast.FunctionDef) -> Iterator[tuple[str, str, Any]]:
    given = {each.arg for each in function.args.args}
    bound = [
        each.id
        for each in ast.walk(function)
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
    ]
    values: dict[str, ast.expr] = {}
    for node in function.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if bound.count(name) == 1:
                values[name] = _Inline(values).visit(value)
            case ast.Assert(test=ast.Compare(left=left, ops=[ast.Eq()], comparators=[right])):
                for one, other in ((left, right), (right, left)):
                    constant = _constant(other)
                    what = _Inline(values).visit(one)
                    names = {each.id for each in ast.walk(what) if isinstance(each, ast.Name)}
                    # What depends on its surroundings may be something else in another test.
                    if constant is not _NONE and names and not names & {*bound, *given}:
                        yield function.name, _bare(what), constant


class _Inline(ast.NodeTransformer):
    """Puts the values of local names in their places."""

    def __init__(self, values: Mapping[str, ast.expr]) -> None:
        self._values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._values.get(node.id, node)


_NONE: Final = object()


def _constant(node: ast.expr) -> Any:
    match node:
        case ast.Call(func=ast.Attribute(attr="approx") | ast.Name(id="approx"), args=[value, *_]):
            return _constant(value)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return _NONE


def _bare(node: ast.expr) -> str:
    return ast.unparse(node).replace("solution.", "")


_ARITHMETIC: Final[Mapping[type, Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
_COMPARISONS: Final[Mapping[type, Callable[[Any, Any], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda one, other: one in other,
}
_SIGNS: Final[Mapping[type, Callable[[Any], Any]]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
}
_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "len": len,
    "abs": abs,
    "round": round,
    "sum": sum,
    "min": min,
    "max": max,
    "sorted": sorted,
}


def _holds(check: str, name: str, value: Any) -> bool | None:
    """Whether a simple check over this one name would hold; None where it is not that simple."""
    try:
        return bool(_evaluate(ast.parse(check, mode="eval").body, {name: value}))
    except Exception:  # whatever the operations say to such a value
        return None


def _evaluate(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Arithmetic and comparisons; of nothing that grows.

    Raises:
        LookupError: anything else.
    """
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return names[name]
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return [_evaluate(part, names) for part in parts]
        case ast.BoolOp(op=op, values=parts):
            quantor = all if isinstance(op, ast.And) else any
            return quantor(_evaluate(part, names) for part in parts)
        case ast.UnaryOp(op=op, operand=inner):
            return _SIGNS[type(op)](_evaluate(inner, names))
        case ast.BinOp(left=left, op=op, right=right):
            numbers = _number(_evaluate(left, names)), _number(_evaluate(right, names))
            return _ARITHMETIC[type(op)](*numbers)
        case ast.Call(func=ast.Name(id=name), args=parts, keywords=[]):
            return _FUNCTIONS[name](*(_evaluate(part, names) for part in parts))
        case ast.Compare(left=left, ops=ops, comparators=others):
            values = [_evaluate(left, names), *(_evaluate(other, names) for other in others)]
            return all(
                _COMPARISONS[type(op)](one, other)
                for op, one, other in zip(ops, values, values[1:], strict=False)
            )
    raise LookupError(type(node).__name__)


def _number(value: Any) -> int | float:
    if isinstance(value, int | float) and abs(value) < 1e15:
        return value
    raise LookupError("no number")
