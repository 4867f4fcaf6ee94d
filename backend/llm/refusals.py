"""Which of a server's errors mean that it does not take a question in the form it was put in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from backend.types import Rung

_STATUSES: Final = frozenset({400, 404, 422, 500, 501})
_WORDS: Final[Mapping[Rung, str]] = {
    # A template that was not written for tools fails when it is given some.
    "tools": r"\btools?\b|tool.?choice|tool.?call|function.?call|\btemplate\b|jinja",
    "schema": r"response.?format|json.?schema|\bschema\b|\bgrammar\b|\bformat\b",
}


def complains_of(rung: Rung, *, status: int | None, words: str) -> bool:
    """Whether a refusal is one of the form.

    Args:
        rung: the form.
        status: HTTP; None for an error in the middle of a reply, which is no refusal.
        words: the server's, without the model's name, which may speak of tools.
    """
    if rung not in _WORDS or status not in _STATUSES:
        return False
    return re.search(_WORDS[rung], words, re.IGNORECASE) is not None
