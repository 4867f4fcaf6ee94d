"""What a failed run said, in one shape, whether as a ``Failure`` or as the text on stderr."""

from __future__ import annotations

import re

from backend.types import Failure, FailureFrame

_LAST = re.compile(
    r"^([A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit|Warning|Iteration)): ?(.*)", re.M
)
_FRAME = re.compile(r'^\s*(?:File "[^"\n]*", )?line (\d{1,7})\b', re.M)
_MAX_TEXT = 100_000


def read_failure(said: Failure | str) -> Failure | None:
    """The failure that a text on stderr tells of; one that is a ``Failure`` is left as it is."""
    if isinstance(said, Failure):
        return said
    text = said[-_MAX_TEXT:]
    found = [*_LAST.finditer(text)]
    if not found:
        return None
    last = found[-1]
    frames = tuple(
        FailureFrame(line=int(each[1]), function="", source="") for each in _FRAME.finditer(text)
    )
    message = last[2] if "\n" not in text[last.end() :].strip() else text[last.start(2) :].strip()
    return Failure(type=last[1], message=message, frames=frames)
