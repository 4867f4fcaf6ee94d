"""Lines that lost their place: bodies without indentation, levels that do not match, torn statements.

Each function gives the text as it may have been meant; the caller keeps it only if it parses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from backend.llm.code.lines import indent_of

_HEAD: Final = re.compile(
    r"(?:async |def |class |if |elif |else\b|for |while |with |try\b|except\b|finally\b).*:[ \t]*(?:#.*)?$"
)
_FUNCTION: Final = re.compile(r"(?:async )?def \w.*:[ \t]*(?:#.*)?$")
_NEXT_PART: Final = re.compile(r"(?:async )?def |class |@\w|if __name__")
_LEAVES: Final = re.compile(r"(?:return|break|continue|raise|pass)\b")
_GOES_ON: Final = re.compile(r"(?:\.[A-Za-z_]\w*|[-+*/%|&]|==|(?:and|or|if|else|in|not|is) )")
_TEXT_BEGINS: Final = re.compile(r"[rbfuRBFU]{0,2}[\"']")
_COMMENT: Final = re.compile(r"(?<![ \t])[ \t]+#[^\"'#]*$")
_WAITS: Final = re.compile(r"(?:\b(?:and|or|not|in|is)|[-+*/%|&=])$")
_ESCAPED: Final = re.compile(r"\\([_*\[\]#<>])")


def without_escapes(text: str) -> str:
    r"""``is\_prime`` as Markdown shows it."""
    return _ESCAPED.sub(r"\1", text)


def indented_bodies(text: str) -> str:
    """Bodies that stand at their header's level, as far as it is plain where they end.

    A function's reaches to the last ``return`` of that level: it cannot stand outside of one. That
    of any other header is the one statement that leaves it.
    """
    lines = text.split("\n")
    for place, line in enumerate(lines):
        if not _HEAD.match(line.lstrip()):
            continue
        width = indent_of(line)
        first = _next_code(lines, place + 1)
        if first is None or indent_of(lines[first]) != width:
            continue
        last = first if _LEAVES.match(lines[first].lstrip()) else None
        if _FUNCTION.match(line.lstrip()):
            last = _last_return(lines, first, width)
        for inner in range(place + 1, 0 if last is None else last + 1):
            lines[inner] = "    " + lines[inner] if lines[inner].strip() else lines[inner]
    return "\n".join(lines)


def _next_code(lines: Sequence[str], start: int) -> int | None:
    code = (
        place
        for place in range(start, min(len(lines), start + 40))
        if lines[place].strip() and not lines[place].lstrip().startswith("#")
    )
    return next(code, None)


def _last_return(lines: Sequence[str], start: int, width: int) -> int | None:
    last = None
    for place in range(start, min(len(lines), start + 400)):
        line = lines[place].lstrip()
        if not line:
            continue
        level = indent_of(lines[place])
        if level < width or (level == width and _NEXT_PART.match(line)):
            break
        if level == width and line.startswith("return"):
            last = place
    return last


def matching_levels(text: str) -> str:
    """Lines that step back to a level that there is not, at the nearest one that there is.

    Where two are equally near nothing is said about which one was meant, and nothing is changed.
    """
    levels, opens, lines = [0], False, []
    for line in text.split("\n"):
        bare = line.lstrip()
        if not bare or bare.startswith("#"):
            lines.append(line)
            continue
        width = indent_of(line)
        if opens and width > levels[-1]:
            levels.append(width)
        elif width < levels[-1]:
            nearest, *others = sorted(levels, key=lambda level: abs(level - width))
            if others and abs(others[0] - width) == abs(nearest - width):
                return text
            levels = [level for level in levels if level <= nearest]
            line = " " * nearest + bare
        opens = _HEAD.match(bare) is not None
        lines.append(line)
    return "\n".join(lines)


def joined_statements(text: str) -> str:
    r"""Statements torn into two lines, with the ``\`` that they need."""
    lines = text.split("\n")
    joined: list[str] = []
    width, going_on = 0, False
    for line, follows in pairwise((*lines, "")):
        width = width if going_on else indent_of(line)
        bare = _COMMENT.sub("", line).rstrip()
        going_on = indent_of(follows) > width and _is_torn(bare, follows.lstrip())
        joined.append(f"{bare} \\" if going_on else line)
    return "\n".join(joined)


def _is_torn(line: str, follows: str) -> bool:
    """Whether `follows` can only be the rest of the statement in `line`."""
    if not line.strip() or line.endswith(("\\", ":")):
        return False
    texts = line.endswith(('"', "'")) and _TEXT_BEGINS.match(follows)
    return bool(_GOES_ON.match(follows) or _WAITS.search(line) or texts)
