"""Python that stands in a reply without fences: the whole reply, an indented block, lines in prose."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from backend.llm.code.choice import Candidate
from backend.llm.code.mending import mend
from backend.llm.code.parsing import Parser
from backend.llm.code.recognition import does_something, is_fragment, is_unmistakable

_PROSE: Final = re.compile(
    r"[ \t]*(?:[-*\u2022>|]|\d+[.)])?[ \t]*\**[A-Z][\w'\u2019-]*,?(?: [\w'\u2019`\"(),;/-]+){3,}[.:!?,]?\**[ \t]*$"
)
_NOT_CODE = (ast.Constant, ast.Name, ast.Tuple, ast.BinOp, ast.Compare, ast.UnaryOp, ast.BoolOp)
_TRIES: Final = 8
_REGION_LINES: Final = 2000


def whole_text(text: str, parser: Parser) -> Candidate | None:
    """The reply as a program, when it is one from its first to its last line."""
    code = mend(text, parser)
    tree = parser.tree(code) if code is not None else None
    if code is None or tree is None or is_fragment(code, tree):
        return None
    return Candidate(code, tree) if _is_bare_program(tree) else None


def _is_bare_program(tree: ast.Module) -> bool:
    """Stricter than for a fenced block: words and equations parse, too."""
    if is_unmistakable(tree):
        return True
    if not does_something(tree, tagged=False):
        return False
    calls = any(isinstance(node, ast.Call | ast.Import) for node in ast.walk(tree))
    return calls and all(_is_plainly_code(node) for node in tree.body)


def _is_plainly_code(node: ast.stmt) -> bool:
    """Not a word, not an equation; ``print(1)``, ``x.sort()``, ``y = f(2)``, ``import z``."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = node.value.func
        return isinstance(called, ast.Attribute) or getattr(called, "id", "") == "print"
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return not isinstance(node, ast.AnnAssign) or node.value is not None


def candidates_in(lines: Sequence[str], parser: Parser) -> list[Candidate]:
    """Runs of lines that are Python beyond doubt, in order."""
    found = []
    for first, last, code in _runs(lines, parser):
        tree = parser.tree(code)
        if tree is None or is_fragment(code, tree) or _goes_on(lines, last):
            continue
        height = sum(1 for line in code.split("\n") if line.strip())
        indented = lines[first][:4] in ("    ", "\t") or lines[first].startswith("\t")
        foreign = any(line.rstrip().endswith((";", "{")) for line in code.split("\n"))
        if foreign or not _is_bare_program(tree):
            continue
        if is_unmistakable(tree) or indented or height >= 3:
            found.append(Candidate(code, tree))
    return found


def _goes_on(lines: Sequence[str], place: int) -> bool:
    """Whether code follows that does not parse: then what was found is only a part."""
    follows = next((line for line in lines[place:] if line.strip()), "")
    return bool(follows) and not _is_left_over(follows)


def _runs(lines: Sequence[str], parser: Parser) -> Iterator[tuple[int, int, str]]:
    place = 0
    while place < len(lines) and not parser.spent:
        line = lines[place]
        if not line.strip() or _PROSE.match(line):
            place += 1
            continue
        end = _region_end(lines, place)
        region = textwrap.dedent("\n".join(lines[place:end]))
        parser.charge(len(region) // 2)
        height = _longest_prefix(region, parser)
        code = _without_edges("\n".join(region.split("\n")[:height]), parser) if height else ""
        if code:
            yield place, place + height, code
        place += max(1, height)


def _region_end(lines: Sequence[str], start: int) -> int:
    """Where lines become less indented than the first, or prose begins."""
    width = _indent(lines[start])
    for place in range(start + 1, min(len(lines), start + _REGION_LINES)):
        line = lines[place]
        if line.strip() and (_indent(line) < width or _PROSE.match(line)):
            return place
    return min(len(lines), start + _REGION_LINES)


def _indent(line: str) -> int:
    expanded = line.expandtabs(4)
    return len(expanded) - len(expanded.lstrip())


def _longest_prefix(region: str, parser: Parser) -> int:
    """How many lines from the start are Python, as far as a few tries tell."""
    lines = region.split("\n")
    height = len(lines)
    for _ in range(_TRIES):
        if height <= 0:
            return 0
        wrong = parser.error_line("\n".join(lines[:height]))
        if wrong is None:
            return height
        height = min(height - 1, wrong - 1)
    return 0


def _without_edges(code: str, parser: Parser) -> str:
    """Without words and values at both ends that only happen to parse."""
    tree = parser.tree(code)
    if tree is None:
        return ""
    body = list(tree.body)
    while body and _is_word(body[0]):
        body.pop(0)
    while body and _is_word(body[-1]):
        body.pop()
    if not body:
        return ""
    lines = code.split("\n")
    first = 0 if body[0] is tree.body[0] else body[0].lineno - 1
    last = len(lines) if body[-1] is tree.body[-1] else body[-1].end_lineno
    return "\n".join(lines[first:last]).strip("\n")


def _is_word(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, _NOT_CODE)


def without_prose(text: str, parser: Parser) -> str | None:
    """A fenced block's program when prose or printed output was fenced in with it."""
    lines = text.split("\n")
    runs = list(_runs(lines, parser))
    if not runs:
        return None
    code = "\n".join(code for _, _, code in runs)
    kept = {line.strip() for line in code.split("\n")}
    left = [line for line in lines if line.strip() and line.strip() not in kept]
    tree = parser.tree(code)
    if tree is None or not is_unmistakable(tree) or not all(map(_is_left_over, left)):
        return None
    return code


def _is_left_over(line: str) -> bool:
    """Prose or output, not a line of code that was lost."""
    if _PROSE.match(line):
        return True
    return not re.search(
        r"[=(){}\[\]]|^\s*(?:def|class|if|for|while|return|import|from|elif|else|try)\b", line
    )
