"""What everyone goes by who parses a program that somebody else wrote."""

from __future__ import annotations

import ast
import asyncio
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

T = TypeVar("T")

MAX_CODE_CHARS: Final = 262_144
"""Characters a program may have. Parsing that much takes well under two seconds; a program
that is longer holds data, which belongs into a file."""

LONG_CHARS: Final = 20_000
"""A text of more than this can take long enough to be noticed by others who wait."""

_DECEIVING: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)
"""What hides or moves other letters where it is shown: a lone CR ends a comment, unseen."""

# Filters of `warnings` belong to the whole process; two threads must not restore each other's.
_LOCK: Final = threading.Lock()


@contextmanager
def quiet_compiler() -> Iterator[None]:
    """Keep the compiler's warnings about somebody else's text from becoming ours."""
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def parse(code: str) -> ast.Module | None:
    """The syntax tree of a Python program; None where it is none, or longer than one may be."""
    if len(code) > MAX_CODE_CHARS:
        return None
    with quiet_compiler():
        try:
            return ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
            return None


async def in_turn(text: str, work: Callable[[], T]) -> T:
    """Do what takes the longer the longer a text is, in a thread where it is long.

    Raises:
        Exception: what ``work`` raises.
    """
    return work() if len(text) < LONG_CHARS else await asyncio.to_thread(work)


def in_plain_sight(code: str) -> str:
    """A program as whoever decides about it should see it: nothing in it hides or moves a part."""
    return _DECEIVING.sub(_escaped, code.replace("\r\n", "\n"))


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
