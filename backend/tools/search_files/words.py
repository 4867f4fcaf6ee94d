"""Words, as texts and queries are compared by them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_WORD = re.compile(r"\w+")
_UNSPACED = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\u1100-\u11ff\uf900-\ufaff"
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\U00020000-\U0003ffff]+"
)
"""Scripts whose words do not end at spaces, or carry particles: they are told by pairs of letters."""
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_PLURAL = re.compile(r"(?<=[a-z]{2}[b-rt-z])s$")


def normalised(text: str) -> str:
    """A text as texts are compared: capitals, widths and ways to write an accent do not count."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def words_of(text: str) -> Iterator[str]:
    """The words of a text, in its order, also the parts that names are made of."""
    for found in _WORD.finditer(text if text.isascii() else unicodedata.normalize("NFKC", text)):
        word = found[0]
        folded = word.casefold()
        if not word.isascii():
            yield from filter(None, _in_pairs(folded))
            continue
        yield _PLURAL.sub("", folded)
        plain = word.isdigit() or (word.isalpha() and f"a{word[1:]}".islower())
        for part in () if plain else _PARTS.findall(word):
            if part.lower() != folded:
                yield _PLURAL.sub("", part.lower())


def _in_pairs(word: str) -> Iterator[str]:
    place = 0
    for found in _UNSPACED.finditer(word):
        yield from word[place : found.start()].split("_")
        run = found[0]
        yield from (run[at : at + 2] for at in range(max(1, len(run) - 1)))
        place = found.end()
    yield from word[place:].split("_")
