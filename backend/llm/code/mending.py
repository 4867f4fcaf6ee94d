"""Making a program of what is almost one: entities, quotes, prompts, numbers, shell lines.

Nothing is touched in a text that parses. Each mend is tried alone, then together with the ones
before it, and kept only when the result parses.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from typing import Final

from backend.foreign_code import MAX_CODE_CHARS
from backend.llm.code.layout import (
    indented_bodies,
    joined_statements,
    matching_levels,
    without_escapes,
)
from backend.llm.code.lines import dedent, indent_of
from backend.llm.code.parsing import Parser

_QUOTES: Final = str.maketrans(
    {
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"'),
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u00b4\u2032", "'"),
    }
)
_SIGNS: Final = str.maketrans(
    {
        **dict.fromkeys("\u00a0\u2007\u202f\u3000", " "),
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", ""),
        **dict.fromkeys("\u2028\u2029", "\n"),
        **dict.fromkeys("\u2010\u2011\u2013\u2212", "-"),
        "\u060c": ",",
        **{chr(code + 0xFEE0): chr(code) for code in range(0x21, 0x7F)},  # full-width forms
    }
)
_PROMPT: Final = re.compile(r"[ \t]*(?:>>>|\.\.\.|In \[\d*\]:|\.{3}:)(?: |$)")
_NUMBERED: Final = re.compile(r"[ \t]*(\d{1,5})(?:[.:|)]|[ \t]+\||(?=[ \t]|$))")
_SHELL: Final = re.compile(
    r"([ \t]*)(?:[!%?]{1,2}[\w(].*|(?:\$ )?(?:python3? -m )?(?:pip3?|conda) install .*|\w+\?{1,2}[ \t]*)$"
)
_OPENS_BODY: Final = re.compile(
    r"[ \t]*(?:async |def |class |if |elif |else\b|for |while |with |try\b|except\b|finally\b).*:[ \t]*(?:#.*)?$"
)
_BODY_LINES: Final = 200
"""Of a body that may hold nothing but comments, so many are looked at."""
_HEADER: Final = re.compile(
    r"\A\s*(?:copy code|python3?|code|edit|run|copy)[ \t]*\n", re.IGNORECASE
)


def mend(text: str, parser: Parser) -> str | None:
    """The program that `text` is meant to be, or None when no mend makes it parse."""
    text = text.strip("\n").rstrip()
    if parser.tree(text) is not None:
        return text
    if len(text) > MAX_CODE_CHARS:
        return None
    so_far = text
    for step in _STEPS:
        alone, together = step(text), step(so_far)
        for mended in dict.fromkeys((alone, together)):
            if mended not in (text, so_far) and parser.tree(mended) is not None:
                return mended.strip("\n").rstrip()
        so_far = together
    return None


def _dedented(text: str) -> str:
    return dedent(text.expandtabs(4) if "\t" in text else text).strip("\n")


def _rest_dedented(text: str) -> str:
    """All lines but the first share an indentation: the first one lost its own."""
    first, newline, rest = text.partition("\n")
    return first.lstrip() + newline + dedent(rest)


def _without_header(text: str) -> str:
    return _HEADER.sub("", text)


def _tabs_as_spaces(text: str) -> str:
    return text.expandtabs(4)


def _tabs_as_eight(text: str) -> str:
    return text.expandtabs(8)


def _plain_signs(text: str) -> str:
    return text.translate(_SIGNS)


def _plain_quotes(text: str) -> str:
    return text.translate(_QUOTES)


def _without_prompts(text: str) -> str:
    """Only what was typed after ``>>>``, without what was printed."""
    if ">>>" not in text and "In [" not in text:
        return text
    typed = [line[found.end() :] for line in text.split("\n") if (found := _PROMPT.match(line))]
    return "\n".join(typed)


def _without_numbers(text: str) -> str:
    """Numbers before the lines, if every line that is not blank has the next one."""
    stripped: list[str] = []
    expected: int | None = None
    for line in text.split("\n"):
        found = _NUMBERED.match(line)
        if found is None:
            if line.strip():
                return text
            stripped.append("")
            continue
        if expected is not None and int(found[1]) != expected:
            return text
        expected = int(found[1]) + 1
        stripped.append(line[found.end() :])
    return dedent("\n".join(stripped))


def _without_shell_lines(text: str) -> str:
    """Notebook magics and installations as comments; ``pass`` keeps a block from being empty."""
    lines = []
    for line in text.split("\n"):
        found = _SHELL.match(line)
        if found is None:
            lines.append(line)
        elif found[1]:
            lines.append(f"{found[1]}pass  # {line.strip()}")
        else:
            lines.append(f"# {line}")
    return "\n".join(lines)


def _foreign_comments(text: str) -> str:
    """Comments after ``//`` as Python writes them."""
    return re.sub(r"(?m)(^|\s)//(?= ?[A-Z])", r"\1#", text)


def _passing_bodies(text: str) -> str:
    """``pass`` where a body holds nothing but comments; a body that lost its indent is no such."""
    lines = text.split("\n")
    mended: list[str] = []
    for place, line in enumerate(lines):
        mended.append(line)
        if _OPENS_BODY.match(line) and _only_comments_below(lines, place):
            mended.append(" " * (indent_of(line) + 4) + "pass")
    return "\n".join(mended)


def _only_comments_below(lines: Sequence[str], place: int) -> bool:
    width, comments = indent_of(lines[place]), 0
    for line in lines[place + 1 : place + _BODY_LINES]:
        if not line.strip():
            continue
        if indent_of(line) <= width:
            break
        if not line.lstrip().startswith("#"):
            return False
        comments += 1
    return comments > 0


def _real_line_breaks(text: str) -> str:
    r"""A whole program on one line, its line breaks written as ``\n``."""
    if "\n" in text.strip() or "\\n" not in text:
        return text
    return text.replace("\\n", "\n").replace("\\t", "\t").replace('\\"', '"').replace("\\'", "'")


_STEPS: Final[tuple[Callable[[str], str], ...]] = (
    _dedented,
    _without_header,
    _without_shell_lines,
    _without_prompts,
    html.unescape,
    _plain_signs,
    _plain_quotes,
    _foreign_comments,
    _passing_bodies,
    without_escapes,
    _without_numbers,
    _real_line_breaks,
    _rest_dedented,
    _tabs_as_spaces,
    _tabs_as_eight,
    joined_statements,
    indented_bodies,
    matching_levels,
)
