"""Small questions about the shape of an expression."""

from __future__ import annotations

import ast

from backend.sandbox.policy.literals import folded


def is_class(node: ast.expr) -> bool:
    """``Dog`` or ``type(x)``: looking at a class tree, not climbing it from a value."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "type"
    return isinstance(node, ast.Name)


def namespace_owner(node: ast.expr) -> ast.expr | None:
    """What ``X.__dict__``, ``vars(X)`` or ``globals()`` is the namespace of."""
    if isinstance(node, ast.Attribute) and node.attr == "__dict__":
        return node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id == "vars" and node.args:
            return node.args[0]
        if node.func.id in ("globals", "locals", "vars"):
            return node
    return None


def opens_to_write(call: ast.Call) -> bool:
    """``open(name, "w")`` and the like; a computed mode counts as reading."""
    mode = mode_of(call)
    return mode is not None and any(letter in mode for letter in "wax+")


def mode_of(call: ast.Call) -> str | None:
    """The mode of an ``open(...)``; None where it is computed."""
    given = [k.value for k in call.keywords if k.arg == "mode"] or call.args[1:2]
    return folded(given[0]) if given else "r"
