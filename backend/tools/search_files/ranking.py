"""Which passages speak of something: BM25, and before it what has the very words."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from backend.tools.search_files.words import normalised, words_of

_QUOTED = re.compile(
    '["\u201c\u201d\u00ab\u201e]([^"\u201c\u201d\u00bb\u201f]{2,200})["\u201c\u201d\u00bb\u201f]'
)
_EXACT = re.compile(r"(?=\S*\d)[^\s\"']*\w[^\w\s\"']+\w[^\s\"']*")
"""Numbers, dates and such: ``INV-2024-0317``, ``3.14``."""
_TRIMMED = ".,;:!?()[]{}"


@dataclass(frozen=True)
class Query:
    """What is looked for."""

    text: str

    @cached_property
    def words(self) -> list[str]:
        """Each once; those that say nothing only if there are no others."""
        from bm25s.stopwords import STOPWORDS_EN_PLUS

        words = list(dict.fromkeys(words_of(self.text)))
        telling = [word for word in words if word not in STOPWORDS_EN_PLUS]
        return telling or words

    @cached_property
    def phrases(self) -> list[str]:
        """What is to be there to the letter, if it is anywhere."""
        text = " ".join(normalised(self.text).split())
        exact = (found.strip(_TRIMMED) for found in _EXACT.findall(text))
        whole = text.strip("\"'\u201c\u201d ")
        found = [*_QUOTED.findall(text), *exact, *([whole] if " " in whole else [])]
        return [each for each in dict.fromkeys(found) if each]

    @cached_property
    def terms(self) -> list[str]:
        """One of these is in whatever can be found."""
        return list(dict.fromkeys([*self.words, *self.phrases]))


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A text that speaks of it."""

    place: int
    """Which of the texts."""
    score: float
    exact: int
    """Phrases that it has to the letter."""


class Index:
    """Texts, made ready for being searched. Making one takes a second for some million letters."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = [" ".join(normalised(text).split()) for text in texts]
        self._words: dict[str, int] = {}
        ids = [self._ids(text) for text in texts]
        self._bm25 = _bm25(ids, self._words) if self._words else None

    def _ids(self, text: str) -> list[int]:
        known = self._words
        return [known.setdefault(word, len(known)) for word in words_of(text)]

    def unknown(self, query: Query) -> list[str]:
        """The query's words that are in none of the texts."""
        return [word for word in query.words if word not in self._words]

    def search(self, query: Query) -> list[Hit]:
        """The texts that speak of it, the best first."""
        scores = self._scores(query)
        hits = []
        for place, text in enumerate(self._texts):
            exact = sum(phrase in text for phrase in query.phrases)
            if exact or scores[place] > 0:
                hits.append(Hit(place=place, score=round(scores[place], 3), exact=exact))
        return _sorted(hits or self._within_words(query))

    def _scores(self, query: Query) -> list[float]:
        known = [self._words[word] for word in query.words if word in self._words]
        if self._bm25 is None or not known:
            return [0.0] * len(self._texts)
        scores: list[float] = self._bm25.get_scores_from_ids(known).tolist()
        return scores

    def _within_words(self, query: Query) -> list[Hit]:
        """Parts of words, where no whole word is found: a number within an identifier."""
        parts = [word for word in query.words if len(word) > 1] or query.words
        counts = (sum(part in text for part in parts) for text in self._texts)
        return [
            Hit(place=place, score=float(count), exact=0)
            for place, count in enumerate(counts)
            if count
        ]


def _sorted(hits: Sequence[Hit]) -> list[Hit]:
    return sorted(hits, key=lambda hit: (-hit.exact, -hit.score, hit.place))


def _bm25(ids: list[list[int]], words: dict[str, int]) -> Any:
    import bm25s

    # It logs every index that it makes, below the level it sets itself.
    logging.getLogger("bm25s").setLevel(logging.WARNING)
    ranking = bm25s.BM25()
    ranking.index((ids, dict(words)), show_progress=False)
    return ranking
