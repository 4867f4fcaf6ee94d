"""What a caller says must hold: told to the model, and checked in the sandbox where that is possible."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from backend.foreign_code import parse
from backend.tools.coder.proof.contract import OutputSpec
from backend.tools.coder.proof.plain_words import read_words
from backend.types import CheckResult, Issue

MOST_CHECKS: Final = 60
"""Of one program; what is beyond is told to the model only."""
_MOST_CHARS: Final = 1000
_MODULES: Final = frozenset({"np", "numpy", "pd", "pandas", "math", "re", "datetime"})
_ASKING: Final = frozenset({"all", "any", "isinstance", "bool", "callable", "hasattr"})
_ASKING_METHODS: Final = (
    "all", "any", "equals", "startswith", "endswith", "issubset", "issuperset", "isdisjoint", "exists",
    "allclose", "isclose", "array_equal", "fullmatch", "match",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """One thing that must hold."""

    said: str
    """In the caller's words."""
    checks: tuple[str, ...] = ()
    """The expressions that say the same; none where it is told to the model only."""
    is_read: bool = False
    """The expressions are our reading of words, not the caller's own."""


@dataclass(frozen=True, kw_only=True)
class Constraints:
    """All that must hold."""

    items: tuple[Constraint, ...]

    @property
    def checks(self) -> tuple[str, ...]:
        """What to give an execution as its ``checks``."""
        return tuple(dict.fromkeys(check for each in self.items for check in each.checks))

    def describe(self) -> str:
        """For a prompt: every constraint, and which expression it is held against."""
        lines = []
        for each in self.items:
            told = f"- {each.said}"
            if each.is_read:
                told += f" (checked as: {'; '.join(each.checks)})"
            lines.append(told)
        return "\n".join(lines)

    @property
    def remarks(self) -> tuple[str, ...]:
        """For the caller: which of them nothing is held against."""
        return tuple(
            f"The constraint `{each.said}` is told to the model, and not checked: it is neither "
            "an expression over the declared outputs nor words that are known."
            for each in self.items
            if not each.checks
        )

    def judge(self, results: Sequence[CheckResult]) -> tuple[Issue, ...]:
        """What does not hold, in words for a model.

        A reading of words that could not be evaluated is advice: it may be the reading that is wrong.
        """
        known = {result.check: result for result in results}
        found = []
        for each in self.items:
            for check in each.checks:
                issue = _issue(each, check, known.get(check))
                found += [issue] if issue else []
        return tuple(found)


def _issue(constraint: Constraint, check: str, result: CheckResult | None) -> Issue | None:
    if result is not None and result.holds:
        return None
    read = f" (checked as `{check}`)" if constraint.is_read else ""
    said = f"The constraint `{constraint.said}`{read}"
    if result is None:
        return Issue(kind="constraint", message=f"{said} could not be checked.", severity="advice")
    if result.holds is None:
        message = f"{said} cannot be evaluated: {result.error or 'it raised'}."
        if constraint.is_read:
            return Issue(kind="constraint", message=message, severity="advice")
        return Issue(kind="constraint", message=message)
    values = ", ".join(f"{what} is {value}" for what, value in result.values.items())
    return Issue(kind="constraint", message=f"{said} does not hold: {values or 'it is false'}.")


def read_constraints(
    texts: Iterable[str], spec: OutputSpec, known: Iterable[str] = ()
) -> Constraints:
    """Read what a caller says must hold.

    Args:
        texts: expressions over the declared outputs, or words.
        spec: the declared outputs.
        known: other names that expressions may use, such as those of the inputs.

    Raises:
        ValueError: one that is no text.
    """
    items = []
    room = MOST_CHECKS
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(f"The constraint {text!r} is no text.")
        if not text.strip():
            continue
        one = _read(" ".join(text.split()), spec, frozenset(known))
        room -= len(one.checks)
        items.append(one if room >= 0 else Constraint(said=one.said))
    return Constraints(items=tuple(items))


def _read(said: str, spec: OutputSpec, known: frozenset[str]) -> Constraint:
    if len(said) > _MOST_CHARS:
        return Constraint(said=said)
    expression = as_expression(said, spec.names, known)
    if expression:
        return Constraint(said=said, checks=(expression,))
    checks = read_words(said, spec.kinds)
    if any(len(check) > _MOST_CHARS for check in checks):
        checks = ()
    return Constraint(said=said, checks=checks, is_read=bool(checks))


def as_expression(text: str, names: Iterable[str], known: Iterable[str] = ()) -> str:
    """The text, if it is a test over these names; else ''.

    Args:
        text: it may be in backticks; ``a = 5`` is taken for ``a == 5``.
        names: those of which at least one must occur.
        known: others that may.
    """
    plain = text.strip().strip("`").rstrip(".;").strip()
    tree = parse(plain)
    match [] if tree is None else tree.body:
        case [ast.Expr(value=node)] if _is_test(node):
            found = plain
        case [ast.Assign(targets=[ast.Name() as target], value=node)]:
            found = f"{target.id} == ({ast.unparse(node)})"
            node = ast.Tuple(elts=[target, node], ctx=ast.Load())
        case _:
            return ""
    used = _free_names(node)
    allowed = {*names, *known, *_MODULES, *vars(builtins)}
    return found if used & set(names) and used <= allowed else ""


def _is_test(node: ast.expr) -> bool:
    match node:
        case ast.Compare():
            return True
        case ast.BoolOp(values=values):
            return all(map(_is_test, values))
        case ast.UnaryOp(op=ast.Not()):
            return True
        case ast.BinOp(op=ast.BitAnd() | ast.BitOr(), left=left, right=right):
            return _is_test(left) and _is_test(right)
        case ast.Call(func=ast.Name(id=name)):
            return name in _ASKING
        case ast.Call(func=ast.Attribute(attr=name)):
            return name in _ASKING_METHODS or name.startswith("is")
        case ast.Attribute(attr=name):
            return name.startswith("is_")
    return False


def _free_names(node: ast.AST) -> set[str]:
    found = [each for each in ast.walk(node) if isinstance(each, ast.Name)]
    bound = {each.id for each in found if isinstance(each.ctx, ast.Store)}
    arguments = {each.arg for each in ast.walk(node) if isinstance(each, ast.arg)}
    inside = bound | arguments
    if isinstance(node, ast.Tuple):  # an assignment: its target is a name like any other
        inside -= {each.id for each in node.elts if isinstance(each, ast.Name)}
    return {each.id for each in found} - inside
