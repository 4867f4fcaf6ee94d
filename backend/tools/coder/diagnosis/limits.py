"""Programs that a limit ended, or that ran into one themselves."""

from __future__ import annotations

import ast

from backend.foreign_code import parse
from backend.tools.coder.diagnosis.case import Case, Diagnosis
from backend.types import DiagnosisKind

_LESS_WORK = (
    "Do the same with less work: whole columns in place of loops over rows, a better algorithm, "
    "a sample of the data.",
)
_LESS_MEMORY = (
    "Read only the columns that are needed (usecols=), in chunks (chunksize=), with smaller dtypes.",
    "Do not build large intermediate lists or arrays, and no copies.",
)
_LESS_PRINT = ("Print only the results that were asked for: totals, or the first rows (head()).",)
_LOOPS = ast.For | ast.While | ast.AsyncFor
_MOST_LOOPS = 3


def stopped(case: Case) -> Diagnosis | None:
    """A limit ended it."""
    by = case.result.stopped_by
    if by in ("timeout", "cpu"):
        where = _loops(case.code) if case.language == "python" else ""
        cause = (
            "It was not done when its time was out"
            if by == "timeout"
            else "It used too much CPU time"
        )
        return _limit("timeout", by="timeout", cause=f"{cause}.{where}", advice=_LESS_WORK)
    if by == "memory":
        return _limit(
            "memory", by=by, cause="It used more memory than it may.", advice=_LESS_MEMORY
        )
    if by == "output":
        return _limit("output", by=by, cause="It printed without end.", advice=_LESS_PRINT)
    if by == "disk":
        cause = "It wrote more than it may to files."
        return _limit("output", by=by, cause=cause, advice=("Write less, and only results.",))
    if by == "processes":
        cause = "It started more processes or threads than it may."
        return _limit(
            "environment", by=by, cause=cause, advice=("Use one process and one thread.",)
        )
    if by == "killed":
        cause = f"It was ended by a signal (exit status {case.result.returncode}): a library crashed, or it killed itself."
        advice = ("Call the library in another way, or use another one.",)
        return _limit("runtime", by=by, cause=cause, advice=advice)
    if by == "cancelled":
        return _limit("runtime", by=by, cause="It was cancelled.", advice=())
    return None


def _limit(kind: DiagnosisKind, *, by: str, cause: str, advice: tuple[str, ...]) -> Diagnosis:
    return Diagnosis(kind=kind, root_cause=cause, advice=advice, signature=f"{kind}: {by}")


def out_of_memory(case: Case) -> Diagnosis | None:
    """It asked for memory and did not get it."""
    if case.type != "MemoryError":
        return None
    cause = f"There is not enough memory for what it does. {case.message}".rstrip()
    return Diagnosis(
        kind="memory", root_cause=cause, advice=_LESS_MEMORY, signature="memory: memory"
    )


def _loops(code: str) -> str:
    """Which loops may have taken the time: those without a way out, else the innermost ones."""
    tree = parse(code)
    if tree is None:
        return ""
    try:
        loops = [(node, _depth(node)) for node in ast.walk(tree) if isinstance(node, _LOOPS)]
    except RecursionError:  # nested deeply enough for the parser, not for this
        return ""
    endless = [
        node.lineno for node, _ in loops if isinstance(node, ast.While) and _no_way_out(node)
    ]
    if endless:
        return f" The loop in line {endless[0]} has no way out."
    deepest = max((depth for _, depth in loops), default=0)
    lines = sorted(node.lineno for node, depth in loops if depth == deepest)[:_MOST_LOOPS]
    if not lines:
        return ""
    listed = ", ".join(map(str, lines))
    nested = f", {deepest} deep" if deepest > 1 else ""
    return f" Its longest loop may be the one that begins in line {listed}{nested}."


def _depth(loop: ast.AST) -> int:
    """How many loops stand in one another from here on."""
    inner = [_depth(child) for child in ast.iter_child_nodes(loop)]
    return isinstance(loop, _LOOPS) + max(inner, default=0)


def _no_way_out(loop: ast.While) -> bool:
    always = isinstance(loop.test, ast.Constant) and bool(loop.test.value)
    ways = ast.Break | ast.Return | ast.Raise
    leaves = any(isinstance(node, ways) for node in ast.walk(loop))
    return always and not leaves and "exit(" not in ast.unparse(loop)
