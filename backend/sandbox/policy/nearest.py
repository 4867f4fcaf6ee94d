"""Which of the names that exist was meant by one that does not."""

from __future__ import annotations

import difflib
import itertools
import unicodedata
from collections.abc import Collection

_MAX_CANDIDATES = 600
_MAX_CHARS = 100
_SEPARATORS = str.maketrans("", "", " _-\t\u00a0")


def folded_name(name: str) -> str:
    """A name without what is easily got wrong: case, spaces, underscores, hyphens."""
    return unicodedata.normalize("NFC", name).casefold().translate(_SEPARATORS)


def slip_of(name: str, candidates: Collection[str]) -> str | None:
    """The one candidate that differs by case, spaces, underscores or hyphens alone."""
    wanted = folded_name(name)
    found = {each for each in candidates if folded_name(each) == wanted}
    return found.pop() if len(found) == 1 and wanted else None


def nearest(name: str, candidates: Collection[str], *, n: int = 3) -> list[str]:
    """Up to `n` candidates that look like `name`, best first."""
    if len(name) > _MAX_CHARS:
        return []
    if (slip := slip_of(name, candidates)) is not None:
        return [slip]
    by_fold = {
        folded_name(each): each
        for each in itertools.islice(candidates, _MAX_CANDIDATES)
        if len(each) <= _MAX_CHARS
    }
    near = difflib.get_close_matches(folded_name(name), by_fold, n=n, cutoff=0.7)
    return [by_fold[each] for each in near]


def did_you_mean(name: str, candidates: Collection[str]) -> str:
    """``Did you mean 'price'?`` with a space in front, or nothing."""
    near = nearest(name, candidates)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
