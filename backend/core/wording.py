"""What stands in a request: the table's terms, what its steps are counted by, its enumerations.

Everything is found in one pass over the request's words; patterns and the table are compiled when the
first request comes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from backend.core.terms import (
    DEEDS,
    EXPLAINING,
    NEGATIONS,
    NO_RESULTS,
    NUMBERED,
    QUESTIONS,
    TERMS,
    WORDING,
    StepFeature,
    TermClass,
)

_READ_CHARS = 20_000
"""A request is routed by its first characters; pasted data behind them says nothing."""
_NEGATED_WORDS = 3
"""How many words behind a negation are negated, as long as no punctuation comes between."""


@dataclass(frozen=True, kw_only=True)
class Wording:
    """What the router knows of a request."""

    terms: Mapping[TermClass, Mapping[str, float]]
    """By class: the terms found, with their weights."""
    steps: Mapping[StepFeature, float]
    words: int
    """Outside of quotations."""
    items: float
    """Of its longest enumeration, if more than two; else 0."""
    files: Sequence[str]
    """Names of files in it."""
    arithmetic: bool
    numbers: bool
    """A number that is no year."""
    code: bool
    """Code was pasted."""
    question: bool
    works: int
    """Different deeds of which more than words come."""
    asks_to_know: bool
    """Begins like a question and asks for nothing to be done."""

    @property
    def is_material(self) -> bool:
        """Whether it holds something to work with."""
        return self.arithmetic or self.numbers or self.code or bool(self.files)


@dataclass(frozen=True, slots=True)
class _Term:
    term: str
    kind: TermClass
    weight: float
    rest: tuple[str, ...]
    """The words behind its first one."""


@dataclass(frozen=True, kw_only=True)
class _Patterns:
    token: re.Pattern[str]
    quoted: re.Pattern[str]
    file_name: re.Pattern[str]
    arithmetic: re.Pattern[str]
    digit: re.Pattern[str]
    number: re.Pattern[str]
    code: re.Pattern[str]
    numbered: re.Pattern[str]


def read_wording(query: str) -> Wording:
    """Read a request's first characters."""
    patterns = _patterns()
    text = query[:_READ_CHARS]
    said = patterns.quoted.sub(" ", text)
    tokens = patterns.token.findall(said.lower().replace("\u2019", "'"))
    if not tokens:  # it is in quotation marks as a whole
        said = text
        tokens = patterns.token.findall(said.lower())
    counts = Counter(tokens)
    deeds = DEEDS & counts.keys()
    words = sum(map(counts.__getitem__, filter(str.isalnum, counts)))
    first = next(filter(str.isalpha, tokens), "")
    has_digits = patterns.digit.search(text) is not None
    return Wording(
        terms=_terms(tokens),
        steps=_steps(counts, words, len(deeds)),
        words=words,
        items=_items(text, tokens, patterns),
        files=_files(text, patterns) if "." in text else (),
        arithmetic=has_digits and patterns.arithmetic.search(text) is not None,
        numbers=has_digits and patterns.number.search(said) is not None,
        code=any(map(text.__contains__, _MARKS_OF_CODE)) and patterns.code.search(text) is not None,
        question=first in QUESTIONS or text.rstrip().endswith("?"),
        works=len(deeds - WORDING),
        asks_to_know=first in QUESTIONS and deeds <= EXPLAINING,
    )


_MARKS_OF_CODE = "=(`\n"
"""Without any of them, nothing that was pasted is code."""


def _terms(tokens: Sequence[str]) -> dict[TermClass, dict[str, float]]:
    exact, stems = _table()
    found: dict[TermClass, dict[str, float]] = {kind: {} for kind in TERMS}
    negated = 0
    for place, token in enumerate(tokens):
        if token in NEGATIONS:
            negated = _NEGATED_WORDS + 1
        elif token in _ENDS:
            negated = 0
            continue
        if token in exact or token[:2] in stems:
            for term in _terms_at(place, tokens):
                if not (negated and term.kind in _NEGATED):
                    found[term.kind][term.term] = term.weight
        if negated:
            negated -= 1
    return found


def _terms_at(place: int, tokens: Sequence[str]) -> Iterator[_Term]:
    """The longest term of each class that begins there, and those with any ending."""
    exact, stems = _table()
    token = tokens[place]
    taken: list[TermClass] = []
    for term in exact.get(token, ()):
        rest = term.rest
        if term.kind not in taken and (
            not rest or tuple(tokens[place + 1 : place + 1 + len(rest)]) == rest
        ):
            taken.append(term.kind)
            yield term
    for stem, term in stems.get(token[:2], ()):
        if token.startswith(stem):
            yield term


_ENDS = frozenset(".,;:!?")
_NEGATED = frozenset({"code", "data"})


def _steps(counts: Mapping[str, int], words: int, deeds: int) -> dict[StepFeature, float]:
    results = sum(
        n
        for token, n in counts.items()
        if token.endswith("ed") and len(token) > 4 and token not in NO_RESULTS
    )
    return {
        "length": min(words, 80) / 10,
        "commas": min(_sum(counts, ",", ";"), 6),
        "ands": min(_sum(counts, "and"), 4),
        "deeds": min(deeds, 7),
        "results": min(results, 4),
        "new things": min(_sum(counts, "a", "an"), 5),
        "places": min(_sum(counts, "in", "from", "into", "with", "about"), 6),
        "had": min(_sum(counts, "have", "has", "i've"), 3),
        "used": min(_sum(counts, "using", "based"), 2),
    }


def _sum(counts: Mapping[str, int], *tokens: str) -> int:
    return sum(counts.get(token, 0) for token in tokens)


def _files(text: str, patterns: _Patterns) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.lower() for name in patterns.file_name.findall(text)))


def _items(text: str, tokens: Sequence[str], patterns: _Patterns) -> float:
    """The items of the longest enumeration: numbered, in a row with commas, or orders."""
    orders = 0  # clauses that begin with a deed
    longest = 0
    row = _Row()
    begins = True
    for token in tokens:
        if token == ",":
            row.end_item()
        elif token in _ROW_ENDS:
            longest = max(longest, row.length())
            row = _Row()
            begins = True
        elif token[0].isalpha():
            row.joined |= token == "and" and row.words > 0
            row.words += 1
            if begins:
                orders += token in DEEDS
                begins = False
    longest = max(longest, row.length())
    numbered = len(patterns.numbered.findall(text))
    items = max(NUMBERED * max(numbered, orders), float(longest))
    return items if items > 2 else 0.0


class _Row:
    """Items with commas between."""

    __slots__ = ("items", "joined", "of_words", "words")

    def __init__(self) -> None:
        self.items = 0
        self.of_words = 0
        """Those of several words."""
        self.words = 0
        """Of the item that is read."""
        self.joined = False
        """An ``and`` stands within it."""

    def end_item(self) -> None:
        self.items += self.words > 0
        self.of_words += self.words > 1
        self.words = 0
        self.joined = False

    def length(self) -> int:
        """Of a finished row. Single words are values more often than tasks: ``banana, fig, apple``."""
        last = self.joined
        self.end_item()
        return self.items + last if 2 * self.of_words > self.items > 2 else 0


_ROW_ENDS = frozenset(".;:!?(-*•")


@cache
def _table() -> tuple[dict[str, list[_Term]], dict[str, list[tuple[str, _Term]]]]:
    """The terms by their first word, longest first; and those with any ending, by two letters."""
    exact: dict[str, list[_Term]] = {}
    stems: dict[str, list[tuple[str, _Term]]] = {}
    token = _patterns().token
    for kind, by_weight in TERMS.items():
        for weight, line in by_weight.items():
            for name in " ".join(line.split()).split(", "):
                words = token.findall(name.removesuffix("*"))
                term = _Term(name, kind, weight, tuple(words[1:]))
                if name.endswith("*"):
                    stems.setdefault(words[0][:2], []).append((words[0], term))
                else:
                    exact.setdefault(words[0], []).append(term)
    for terms in exact.values():
        terms.sort(key=lambda term: len(term.rest), reverse=True)
    return exact, stems


@cache
def _patterns() -> _Patterns:
    return _Patterns(
        token=re.compile(r"\w+(?:'\w+)?|[^\w\s]"),
        quoted=re.compile(
            r"```.*?(?:```|\Z)"
            r"""|(?<!\w)(?:'[^'\n]{0,5000}(?:'\w[^'\n]{0,5000}){0,30}'|"[^"\n]{0,5000}"|“[^“”\n]{0,5000}”|\u2018[^\u2018\u2019\n]{0,5000}\u2019)(?!\w)""",
            re.DOTALL,
        ),
        file_name=re.compile(
            r"(?<![\w-])[\w-]{1,80}\.(?:csv|tsv|xlsx?|json|parquet|txt|pdf|docx|png|jpe?g|gif|svg|py|ipynb|sh"
            r"|md|log|xml|html?|ya?ml|zip|db|sqlite|wav|mp[34])\b",
            re.IGNORECASE,
        ),
        arithmetic=re.compile(
            r"\d\s?(?:[-+*/^%<>=]|\*\*)\s?\d|\d\s?[+*^=<>]|[=<>^]\s?\d|\b0x[0-9a-f]|\[\s?-?\d",
            re.IGNORECASE,
        ),
        digit=re.compile(r"\d"),
        number=re.compile(r"(?<!\w)(?!(?:19|20)\d\d(?!\w))\d"),
        code=re.compile(
            r"^[ \t]{0,40}(?:def |class |import |from \w+ import|(?:for|while|if) [^\n]*:$|return "
            r"|\w{1,60}\([^\n]*\)$)|```|\b\w{1,60} = [\w\[{(]|`[^`\n]{1,200}\(",
            re.MULTILINE,
        ),
        numbered=re.compile(r"(?:^|(?<=\s))(?:\d{1,2}[.)]|\(?(?:\d|[a-h]|i{1,3})\)|[-*•])(?=\s)"),
    )
