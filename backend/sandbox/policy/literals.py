"""The texts that expressions stand for, as far as they are put together from literals."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator


def folded(node: ast.expr) -> str | None:
    """The text that a literal, a sum of literals or an f-string of literals stands for."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _joined(_operands(node))
    if isinstance(node, ast.JoinedStr):
        return _joined(
            part.value if isinstance(part, ast.FormattedValue) else part for part in node.values
        )
    return None


def _operands(node: ast.expr) -> Iterator[ast.expr]:
    """Operands of a sum, left to right, without recursion: sums can be very long."""
    stack = [node]
    while stack:
        part = stack.pop()
        if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Add):
            stack += (part.right, part.left)
        else:
            yield part


def _joined(parts: Iterable[ast.expr]) -> str | None:
    texts: list[str] = []
    for part in parts:
        if not (isinstance(part, ast.Constant) and isinstance(part.value, str)):
            return None
        texts.append(part.value)
    return "".join(texts)
