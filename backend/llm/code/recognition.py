"""Whether a text is a program at all, Python beyond doubt, or only a part of a program."""

from __future__ import annotations

import ast
import re
from typing import Final

_STRONG: Final = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.For, ast.AsyncFor, ast.While,
    ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.If, ast.Match,
)  # fmt: skip
_DOES: Final = (
    *_STRONG, ast.Import, ast.ImportFrom, ast.Assign, ast.AugAssign, ast.Delete, ast.Assert,
    ast.Raise,
)  # fmt: skip
_DISPLAYS: Final = (
    ast.List, ast.Tuple, ast.Dict, ast.Set, ast.Constant, ast.Name, ast.UnaryOp, ast.JoinedStr,
)  # fmt: skip
_FOREIGN_ROOTS: Final = frozenset(
    {"console", "document", "window", "System", "fmt", "std", "puts", "echo", "library", "alert"}
)


def does_something(tree: ast.Module, *, tagged: bool) -> bool:
    """Whether a parsed text is a program: not a word, a value, a comment or a printed result.

    `tagged`: the reply itself says that it is Python, so an expression is enough.
    """
    for node in tree.body:
        if isinstance(node, _DOES) or (isinstance(node, ast.AnnAssign) and node.value is not None):
            return True
        if isinstance(node, ast.Expr):
            if isinstance(node.value, ast.Call | ast.Await):
                if _root(node.value) not in _FOREIGN_ROOTS:
                    return True
            elif tagged and not isinstance(node.value, _DISPLAYS):
                return True
    return False


def is_unmistakable(tree: ast.Module) -> bool:
    """Whether it is Python without anybody saying so: a definition, a block, or import and use."""
    imports = any(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body)
    return any(isinstance(node, _STRONG) for node in tree.body) or (imports and len(tree.body) > 1)


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Call | ast.Attribute | ast.Await | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


# --- is it only a part of one? ---------------------------------------------------------------

_DIFF_LINES: Final = re.compile(r"^(?:@@ .*@@|diff --git |--- \S.*\n\+\+\+ \S)", re.MULTILINE)
_REST: Final = re.compile(
    r"""(?ix)^\s*(?:\#|//)\s*(?:
        [.\u2026\[(<\s]* (?:keep\s+)? (?:the\s+)?
            (?:rest|remainder|remaining|other|existing|previous|original)\b [^\n]*
            \b(?:unchanged|omitted|as\s+(?:before|above)
            |(?:remains?|stays?|is|are)\s+(?:the\s+)?(?:same|unchanged))\b
        | [.\u2026\[(<\s]* (?:the\s+)? (?:rest|remainder|remaining|existing|previous|original)\b
            [^\n]* \b(?:code|program|script|functions?|methods?|class|imports|implementation|logic)\b
            [^\n]* (?:\bhere\b|\bcontinues\b|\.{3}|\u2026)
        | (?:\.{3}|\u2026) [^\n]* \b(?:rest|unchanged|same|existing|previous|remaining|omitted)\b
        | (?:the\s+)?(?:rest|remainder)\s+of\s+(?:the\s+|your\s+)?(?:\w+\s+)?
            (?:code|program|script|function|class|file|implementation)\b
        | \w+\s+(?:unchanged|omitted)\s*(?:\.{3}|\u2026)?\s*$
        | same\s+as\s+(?:before|above)
    )""",
    re.MULTILINE,
)


def is_fragment(text: str, tree: ast.Module | None) -> bool:
    """Whether it is a diff, or leaves something out ("rest unchanged")."""
    if _DIFF_LINES.search(text) or _signed_lines(text):
        return True
    if "#" in text and _REST.search(text):
        return True
    body = tree.body if tree is not None else []
    return len(body) > 1 and any(
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and node.value.value is Ellipsis
        for node in body
    )


def _signed_lines(text: str) -> bool:
    """Lines that begin with + and lines that begin with -, and hardly any others."""
    lines = [line for line in text.split("\n") if line.strip()]
    plus = sum(line[0] == "+" for line in lines)
    minus = sum(line[0] == "-" for line in lines)
    return bool(plus and minus) and (plus + minus) * 2 >= len(lines)
