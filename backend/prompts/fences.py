"""Code blocks of Markdown that what is in them cannot end."""

from __future__ import annotations

import re

_BACKTICKS = re.compile(r"`{3,}")


def fenced(text: str, language: str = "") -> str:
    """The text in a code block, whose fence is longer than any run of backticks in it."""
    longest = max((len(run) for run in _BACKTICKS.findall(text)), default=2)
    fence = "`" * (longest + 1)
    end = "" if text.endswith("\n") or not text else "\n"
    return f"{fence}{language}\n{text}{end}{fence}"
