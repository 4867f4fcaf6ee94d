"""How many tokens a text has, estimated without any model's tokenizer.

The estimate errs upwards: it counts pieces as a mean vocabulary would make them of text it does
not know well. ``llm.tokens`` corrects it by what servers tell.
"""

from __future__ import annotations

import re
from functools import lru_cache

_PIECES = re.compile(
    r"[A-Z]?[a-z]{1,6}"  # a word of up to seven letters; longer ones are two or more
    r"|[A-Z]{1,3}"  # abbreviations, constants and encoded bytes come apart sooner
    r"|\d"  # some vocabularies have a token for three digits, some for one
    r"|[^\S\n]{2,16}"  # indentation; a single blank belongs to the word behind it
    r"|([^\w\s]|_)\1{0,3}"  # punctuation; rules made of dashes are longer pieces
    r"|[\u00aa-\u058f]{1,2}"  # accented Latin, Greek, Cyrillic, Armenian
    r"|\S"  # all other scripts, Chinese, Japanese and Korean among them
)
_RARE = re.compile(r"[\u0590-\u1fff\U00010000-\U0010ffff]")
"""Scripts and signs that small vocabularies spell byte by byte: one token more for each."""


_KEPT_CHARS = 500
"""The count of a longer line is not kept, as the line would be with it."""


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has; rather too many than too few.

    No piece but line ends goes over a line's end, and most lines of a prompt are those of the prompt
    before: counting line by line comes to the same, sooner.
    """
    ends = text.count("\n") - text.count("\n\n")  # a piece has one or two of them
    lines = text.split("\n")
    return ends + sum(
        _kept_count(line) if len(line) <= _KEPT_CHARS else _count(line) for line in lines
    )


@lru_cache(maxsize=4096)
def _kept_count(line: str) -> int:
    return _count(line)


def _count(text: str) -> int:
    pieces = len(_PIECES.findall(text))
    return pieces if text.isascii() else pieces + len(_RARE.findall(text))
