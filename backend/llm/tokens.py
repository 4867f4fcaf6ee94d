"""How many tokens a text has, estimated without any model's tokenizer, and corrected by replies.

The estimate errs upwards: it counts pieces as a mean vocabulary would make them of text it does
not know well. What a server tells of a prompt then corrects it, for each model by itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from backend.types import Message

_PIECES = re.compile(
    r"[A-Z]?[a-z]{1,6}"  # a word of up to seven letters; longer ones are two or more
    r"|[A-Z]{1,3}"  # abbreviations, constants and encoded bytes come apart sooner
    r"|\d"  # some vocabularies have a token for three digits, some for one
    r"|\n{1,2}"
    r"|[^\S\n]{2,16}"  # indentation; a single blank belongs to the word behind it
    r"|([^\w\s]|_)\1{0,3}"  # punctuation; rules made of dashes are longer pieces
    r"|[\u00aa-\u058f]{1,2}"  # accented Latin, Greek, Cyrillic, Armenian
    r"|\S"  # all other scripts, Chinese, Japanese and Korean among them
)
_RARE = re.compile(r"[\u0590-\u1fff\U00010000-\U0010ffff]")
"""Scripts and signs that small vocabularies spell byte by byte: one token more for each."""

TURN_TOKENS = 8
"""What a chat template puts around each message."""
CALL_TOKENS = 80
"""What a chat template puts in front of everything: some models' own first words."""


@lru_cache(maxsize=32)  # one prompt is looked at several times on its way
def estimate_tokens(text: str) -> int:
    """About how many tokens a text has; rather too many than too few."""
    pieces = len(_PIECES.findall(text))
    return pieces if text.isascii() else pieces + len(_RARE.findall(text))


def estimate_messages(messages: Sequence[Message]) -> int:
    """``estimate_tokens`` of a whole conversation, with what its template adds."""
    return CALL_TOKENS + sum(TURN_TOKENS + estimate_tokens(message.content) for message in messages)


_JUDGED_TOKENS = 500
"""A shorter prompt says more of the template around it than of the model's vocabulary."""
_MARGIN = 1.05
_LEAST_FACTOR, _MOST_FACTOR = 0.5, 3.0
_MEMORY = 0.7
"""Share of the former factor that is kept when a prompt had fewer tokens than it said."""


class Calibration:
    """By what each model's estimates have to be multiplied, learned from what its server tells.

    It rises at once and falls slowly: a prompt may be an easy one, and a server that leaves the
    cached beginning of a prompt out of its count tells too little, never too much.
    """

    def __init__(self) -> None:
        self._factors: dict[str, float] = {}

    def factor(self, model: str) -> float:
        """1 for a model that was not heard of yet; from 0.5 to 3."""
        return self._factors.get(model, 1.0)

    def learn(self, model: str, *, estimated: int, told: int) -> None:
        """Compare an estimate, without its factor, with the count that the server told."""
        if estimated < _JUDGED_TOKENS or told < estimated * _LEAST_FACTOR / 2:
            return
        seen = told / estimated * _MARGIN
        former = self.factor(model)
        if seen < former:
            seen = _MEMORY * former + (1 - _MEMORY) * seen
        self._factors[model] = min(max(seen, _LEAST_FACTOR), _MOST_FACTOR)
