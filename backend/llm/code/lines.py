"""The indentation of lines."""

from __future__ import annotations


def indent_of(line: str) -> int:
    """How many blanks a line begins with."""
    return len(line) - len(line.lstrip())


def dedent(text: str) -> str:
    """The text without the indentation that all its lines share.

    Unlike ``textwrap.dedent`` it compiles no pattern out of the text.
    """
    lines = text.split("\n")
    margin = _common_start([line[: indent_of(line)] for line in lines if line.strip()])
    if not margin:
        return text
    return "\n".join(line.removeprefix(margin) if line.strip() else "" for line in lines)


def _common_start(texts: list[str]) -> str:
    first, last = min(texts, default=""), max(texts, default="")
    length = min(len(first), len(last))
    differs = (place for place in range(length) if first[place] != last[place])
    return first[: next(differs, length)]
