"""Source files: what a Python module has to offer to one that imports it."""

from __future__ import annotations

import ast
import os

from . import texts
from .facts import ENTRIES, Facts, short


def inspect(name: str) -> Facts:
    """Text facts, imports, functions and classes; nothing of it is run."""
    text = texts.read(name)
    facts = texts.describe(name, text)
    try:
        tree = ast.parse(text.content)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        where = f" (line {line})" if line else ""
        return {**facts, "note": f"no Python that can be parsed: {short(str(error))}{where}"}
    defined = [_signature(node) for node in tree.body if isinstance(node, _DEFINITIONS)]
    facts["imports"] = _imports(tree)[:ENTRIES]
    facts["defines"] = defined[:ENTRIES]
    if about := ast.get_docstring(tree):
        facts["docstring"] = short(about, 300)
    base = os.path.basename(name)
    if base.removesuffix(".py").isidentifier() and "/" not in name:
        facts["import_with"] = f"import {base.removesuffix('.py')}"
    return facts


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _signature(node: ast.stmt) -> str:
    if isinstance(node, ast.ClassDef):
        methods = [part.name for part in node.body if isinstance(part, _DEFINITIONS)]
        return short(f"class {node.name}: {', '.join(methods)}".removesuffix(": "), 200)
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return short(f"def {node.name}({ast.unparse(node.args)}){returns}", 200)


def _imports(tree: ast.Module) -> list[str]:
    found: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(dict.fromkeys(alias.name for alias in node.names))
        elif isinstance(node, ast.ImportFrom):
            found["." * node.level + (node.module or "")] = None
    return list(found)
