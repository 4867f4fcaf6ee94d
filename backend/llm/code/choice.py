"""Which of a reply's blocks are the program: the last whole one, with the blocks that it needs."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from backend.llm.code.names import Names, names_of


@dataclass(frozen=True)
class Candidate:
    """A text that parses and does something."""

    code: str
    tree: ast.Module

    @cached_property
    def names(self) -> Names:
        """What it needs and gives."""
        return names_of(self.tree)

    @cached_property
    def acts(self) -> bool:
        """Whether it defines, imports and uses, or calls; settings alone are no program."""
        body = self.tree.body
        defines = any(
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in body
        )
        others = [node for node in body if not isinstance(node, ast.Import | ast.ImportFrom)]
        calls = any(isinstance(node, ast.Call) for one in others for node in ast.walk(one))
        return defines or calls or (bool(others) and len(others) < len(body))

    @property
    def is_remark(self) -> bool:
        """A single expression that needs nothing: an example by the way."""
        body = self.tree.body
        return len(body) == 1 and isinstance(body[0], ast.Expr) and not self.names.needs


def choose(candidates: Sequence[Candidate]) -> str | None:
    """The program, or None when there are no candidates.

    The last candidate that is whole, together with the earlier ones that define what it uses.
    Two whole alternatives are never joined. Where none is whole, the one that lacks least.
    """
    if len(candidates) < 2:
        return candidates[0].code if candidates else None
    largest = max(len(one.tree.body) for one in candidates)
    best: tuple[int, str] | None = None
    for last in range(len(candidates) - 1, -1, -1):
        parts, missing = _with_providers(candidates, last)
        one = candidates[last]
        settled = one.acts and not (one.is_remark and largest > 2)
        code = "\n\n\n".join(candidates[part].code for part in parts)
        if settled and not missing:
            return code
        lacks = len(missing) + (0 if settled else 1000)
        if best is None or lacks < best[0]:
            best = (lacks, code)
    return best[1] if best else None


def _with_providers(candidates: Sequence[Candidate], last: int) -> tuple[list[int], set[str]]:
    """The candidates to join so that `last` finds its names, in order, and what stays missing."""
    needed = set(candidates[last].names.needs)
    parts = [last]
    for place in range(last - 1, -1, -1):
        names = candidates[place].names
        if not needed.isdisjoint(names.binds) or not needed.isdisjoint(names.changes):
            parts.append(place)
            needed = (needed - names.binds) | names.needs
    return parts[::-1], needed
