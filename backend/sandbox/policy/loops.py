"""Loops that nothing in them can end."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from backend.sandbox.policy.bans import words
from backend.sandbox.policy.findings import Finding, Surroundings, finding
from backend.sandbox.policy.walk import Program

_LEAVING = (ast.Return, ast.Raise, ast.Yield, ast.YieldFrom, ast.Await, ast.Assert)
_FAILING = (ast.Subscript, ast.Div, ast.FloorDiv, ast.Mod, ast.Delete, ast.Import, ast.ImportFrom)
"""What may raise, and so end the loop."""
_LASTING = words(
    "range enumerate zip print sleep len str repr abs min max sum round append add time perf_counter format"
)
"""Calls that neither raise nor end anything, as they are commonly used."""
_INTERRUPTING = words("signal threading asyncio multiprocessing concurrent.futures tkinter")
"""Modules by which a loop may be ended, or its names changed, from elsewhere."""
_INNER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_REMEDY: Final = "Give it a condition that becomes false, or a break."


def endless_loops(program: Program, around: Surroundings) -> Iterator[Finding]:
    """Loops without end; certain only where nothing in them could raise either."""
    if program.members & _INTERRUPTING:
        return
    for loop in program.loops:
        found = _judge_while(loop) if isinstance(loop, ast.While) else _judge_for(loop, program)
        if found is None:
            continue
        what, sure = found
        certain = around.foresee and sure and id(loop) in program.certain
        yield finding(
            "endless_loop",
            f"{what} {_REMEDY}",
            loop.lineno,
            severity="error" if certain else "advice",
        )


def _judge_while(loop: ast.While) -> tuple[str, bool] | None:
    body = _Body(loop)
    if body.leaves:
        return None
    shown = _shown(loop.test)
    if _is_true(loop.test):
        return f"Nothing in this `while {shown}` loop ends it.", body.lasts
    names = _plain_names(loop.test)
    if not names or not body.lasts or names & body.bound:
        return None
    return f"Nothing in this loop changes what `while {shown}` asks for.", False


def _judge_for(loop: ast.For, program: Program) -> tuple[str, bool] | None:
    call = loop.iter
    if not isinstance(call, ast.Call):
        return None
    path = program.path(call.func)
    if path not in ("itertools.count", "itertools.cycle", "itertools.repeat"):
        return None
    if path == "itertools.repeat" and (len(call.args) > 1 or call.keywords):
        return None
    body = _Body(loop)
    if body.leaves:
        return None
    return f"{path}() has no end, and nothing in this loop ends it.", body.lasts and path.endswith(
        "count"
    )


class _Body:
    """What is in a loop's body."""

    def __init__(self, loop: ast.While | ast.For) -> None:
        self.leaves = False
        """Something in it is written to end the loop."""
        self.lasts = True
        """Nothing in it could raise or end the program either."""
        self.bound: set[str] = set()
        """Names that are given a new meaning in it."""
        stack: list[tuple[ast.AST, bool]] = [(node, False) for node in loop.body]
        if isinstance(loop, ast.While):
            stack.append((loop.test, False))
        while stack:
            node, in_loop = stack.pop()
            self._look(node, in_loop)
            if isinstance(node, _INNER):
                continue
            is_loop = isinstance(node, ast.For | ast.AsyncFor | ast.While)
            for field, value in ast.iter_fields(node):
                inner = in_loop or (is_loop and field == "body")
                children = value if isinstance(value, list) else [value]
                stack.extend((child, inner) for child in children if isinstance(child, ast.AST))

    def _look(self, node: ast.AST, in_loop: bool) -> None:
        if isinstance(node, _LEAVING) or (isinstance(node, ast.Break) and not in_loop):
            self.leaves = True
        elif isinstance(node, _FAILING):
            self.lasts = False
        elif isinstance(node, ast.Call):
            called = node.func
            name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
            if name in ("exit", "quit", "_exit", "abort"):
                self.leaves = True
            elif name not in _LASTING:
                self.lasts = False
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            self.bound.add(node.id)
        elif isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            self.lasts = False


def _shown(test: ast.expr) -> str:
    try:
        return ast.unparse(test)[:60]
    except RecursionError:  # it is nested deeply enough for the compiler, not for this
        return "..."


def _is_true(test: ast.expr) -> bool:
    return isinstance(test, ast.Constant) and bool(test.value)


def _plain_names(test: ast.expr) -> set[str]:
    """The names in a condition of names, numbers and comparisons; nothing for any other."""
    names = set()
    for node in ast.walk(test):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Call | ast.Attribute | ast.Subscript | ast.NamedExpr):
            return set()
    return names
