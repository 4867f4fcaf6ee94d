"""Texts of pytest modules: what they hold, and what is left without some of it."""

from __future__ import annotations

import ast
from collections.abc import Collection
from typing import Literal, TypedDict

from backend.foreign_code import parse

By = Literal["caller", "model"]
"""Who wrote a test: a caller's is never changed, dropped or weakened."""

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class SuiteText(TypedDict):
    """The text of a pytest module, and who wrote it."""

    by: By
    source: str


def require_tests(text: str) -> None:
    """Refuse a caller's tests that could never run.

    Raises:
        ValueError: no Python, or no test function in it.
    """
    if not text.strip():
        return
    tree = parse(text)
    if tree is None:
        raise ValueError("The tests are no Python that can be parsed.")
    if not any(is_test(node) for node in tree.body):
        raise ValueError("The tests hold no function that begins with test_.")


def is_test(node: ast.AST) -> bool:
    """A test function, or a class of them."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.name.startswith("test")
    return isinstance(node, ast.ClassDef) and any(is_test(each) for each in node.body)


def test_names(text: str) -> tuple[str, ...]:
    """Names of the test functions at the module's top level, and of the classes of them."""
    tree = parse(text)
    body = tree.body if tree is not None else []
    return tuple(node.name for node in body if isinstance(node, Definition) and is_test(node))


def defined_names(code: str) -> frozenset[str]:
    """Functions and classes that a program defines at its top level."""
    tree = parse(code)
    body = tree.body if tree is not None else []
    return frozenset(node.name for node in body if isinstance(node, Definition))


def asserts_nothing(text: str) -> tuple[str, ...]:
    """Test functions that cannot fail: without an ``assert``, ``raises`` or the like."""
    tree = parse(text)
    functions = [node for node in ast.walk(tree) if is_test(node)] if tree is not None else []
    return tuple(
        node.name
        for node in functions
        if isinstance(node, ast.FunctionDef) and not any(map(_can_fail, ast.walk(node)))
    )


def _can_fail(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert):
        return not (isinstance(node.test, ast.Constant) and node.test.value)
    names = ("raises", "fail", "warns")
    if isinstance(node, ast.Attribute):
        return node.attr in names or node.attr.startswith("assert")
    return isinstance(node, ast.Name) and (node.id in names or node.id.startswith("assert"))


def without(text: str, names: Collection[str]) -> str:
    """The module without these definitions of its top level; the rest stays as it is written.

    '' when no test is left.
    """
    tree = parse(text)
    if tree is None:
        return ""
    lines = text.splitlines(keepends=True)
    for node in reversed(tree.body):
        if isinstance(node, Definition) and node.name in names:
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            del lines[first - 1 : node.end_lineno]
    left = "".join(lines)
    return left if test_names(left) else ""


def without_copies(text: str, program: str) -> str:
    """The tests without their own copies of what the program defines: those would test themselves."""
    copies = [
        name
        for name in defined_names(text) & defined_names(program)
        if not name.startswith(("test", "Test"))
    ]
    return without(text, copies) if copies else text
