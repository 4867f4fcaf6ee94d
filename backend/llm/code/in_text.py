"""Python that stands in a reply without fences: the whole reply, an indented block, lines in prose."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from backend.llm.code.choice import Candidate
from backend.llm.code.lines import dedent
from backend.llm.code.mending import mend
from backend.llm.code.parsing import Parser
from backend.llm.code.recognition import (
    does_something,
    is_calculation,
    is_fragment,
    is_unmistakable,
)

_BULLET: Final = re.compile(r"[ \t]*(?:[-*+\u2022>|]|\d{1,3}[.)]|#{1,6})?[ \t]+")
_WORD: Final = re.compile(
    r"[*_\"'(\[`]*[^\W\d_]+(?:['\u2019/-][^\W\d_]+)*[*_\"')\]`]*[.,:;!?]?[*_\"']*"
)
_CODE_AHEAD: Final = re.compile(
    r"[ \t]*(?:#|@|(?:def|class|import|return|yield|raise|assert|del|global|pass|break|continue)\b"
    r"|(?:for|while|if|elif|with|except)\b.*:(?:[ \t]*(?:#.*)?$|[ \t]+\w+[.(=])|from[ \t]+[\w.]+[ \t]+import\b"
    r"|\w+(?:[.\[]\S*)?[ \t]*[-+*/%|&]?=[^=]|[\w.]+\([^)]*\)[ \t]*(?:#.*)?$|[\w.]+\([\"'])"
)
_KEYWORD: Final = re.compile(
    r"[ \t]*(?:def|class|if|for|while|return|import|from|elif|else|try)\b(?!.*[.!?]$)"
)
_OPENS: Final = re.compile(
    r"[ \t]*(?:async |def |class |if |elif |else|for |while |with |try|except|finally).*:[ \t]*$"
)
_PROSE_CHARS: Final = 400
"""What is looked at of a line to tell whether it is prose."""
_NOT_CODE = (ast.Constant, ast.Name, ast.Tuple, ast.BinOp, ast.Compare, ast.UnaryOp, ast.BoolOp)
_LONG_TEXTS: Final = ('"""', "'''")
_TRIES: Final = 8
_REGION_LINES: Final = 2000


def is_prose(line: str) -> bool:
    """Whether a line is of plain language: four words or more, and hardly anything else."""
    start = line[:_PROSE_CHARS].partition("  #")[0].partition(" # ")[0]
    if _CODE_AHEAD.match(start) or any(mark in start for mark in _LONG_TEXTS):
        return False
    bullet = _BULLET.match(start)
    words = start[bullet.end() if bullet else 0 :].split()
    plain = [_WORD.fullmatch(word) is not None for word in words]
    sentence = line.rstrip().endswith((".", ":", "!", "?")) and len(words) > 5 and all(plain[:4])
    return sum(plain) >= 4 and (sentence or sum(plain) * 4 >= len(words) * 3)


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
    if is_calculation(tree):
        return True
    calls = any(isinstance(node, ast.Call | ast.Import) for node in ast.walk(tree))
    return calls and all(_is_plainly_code(node) for node in tree.body)


def _is_equations(tree: ast.Module) -> bool:
    """Whether it may as well be mathematics: no call, and no name such as ``unit_price``."""
    nodes = list(ast.walk(tree))
    names = [node.id for node in nodes if isinstance(node, ast.Name)]
    called = any(isinstance(node, ast.Call) for node in nodes)
    return not called and not any("_" in name for name in names)


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
        if tree is None or is_fragment(code, tree) or _is_part(lines, first, last):
            continue
        height = sum(1 for line in code.split("\n") if line.strip())
        indented = lines[first][:4] in ("    ", "\t") or lines[first].startswith("\t")
        foreign = any(line.rstrip().endswith((";", "{")) for line in code.split("\n"))
        if foreign or not _is_bare_program(tree):
            continue
        told = (height >= 3 or is_calculation(tree)) and not _is_equations(tree)
        if is_unmistakable(tree) or indented or told:
            found.append(Candidate(code, tree))
    return found


def _is_part(lines: Sequence[str], first: int, last: int) -> bool:
    """Whether code stands around it that does not parse."""
    before = next(
        (line for line in reversed(lines[max(0, first - 20) : first]) if line.strip()), ""
    )
    if _OPENS.match(before) and _indent(before) < _indent(lines[first]):
        return True
    follows = next((line for line in lines[last:] if line.strip()), "")
    return bool(follows) and not _is_left_over(follows)


def _runs(lines: Sequence[str], parser: Parser) -> Iterator[tuple[int, int, str]]:
    looks = [_look(line) for line in lines]
    place = 0
    while place < len(lines) and not parser.spent:
        if looks[place].blank or looks[place].prose:
            place += 1
            continue
        end = _region_end(looks, place)
        region = "\n".join(lines[place:end])
        region = dedent(region) if looks[place].width else region
        parser.charge(len(region) // 2 + 50 * (end - place))
        height = _longest_prefix(region, parser)
        code = _without_edges("\n".join(region.split("\n")[:height]), parser) if height else ""
        if code:
            yield place, place + height, code
        place += max(1, height)


class _Look(NamedTuple):
    """What is asked of a line again and again."""

    width: int
    blank: bool
    prose: bool
    turns: bool
    """Whether a long text begins in it and does not end, or the other way round."""


def _look(line: str) -> _Look:
    marks = sum(line.count(mark) for mark in _LONG_TEXTS)
    return _Look(_indent(line), not line.strip(), is_prose(line), bool(marks % 2))


def _region_end(looks: Sequence[_Look], start: int) -> int:
    """Where lines become less indented than the first, or prose begins that is in no long text."""
    width, last = looks[start].width, min(len(looks), start + _REGION_LINES)
    in_text, opened = False, last
    for place in range(start, last):
        look = looks[place]
        outside = not look.blank and not in_text and place > start
        if outside and (look.width < width or look.prose):
            return place
        if look.turns:
            in_text, opened = not in_text, place
    return opened + 1 if in_text else last


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
    return "\n".join(lines[first:last]).strip("\n").rstrip()


def _is_word(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, _NOT_CODE)


def without_prose(text: str, parser: Parser) -> str | None:
    """A fenced block's program when prose or printed output was fenced in with it."""
    lines = text.split("\n")
    runs = list(_runs(lines, parser))
    if len({_indent(lines[first]) for first, _, _ in runs}) != 1:
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
    if _KEYWORD.match(line):
        return False
    return is_prose(line) or not any(sign in line for sign in "=(){}[]")
