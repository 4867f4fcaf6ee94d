"""Conditions in plain words, as expressions: a few forms that people write, and only as a whole.

What is not one of these forms to its last word is not read at all: a condition that is checked
otherwise than it was meant would be worse than one that is not checked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from backend.tools.coder.proof.forms_of_words import Subject, Verb, expression_of, shape_of
from backend.tools.coder.proof.kinds import Either, Kind

_JOINED_CHARS: Final = 300
_VERB: Final = (
    r"(?P<verb>(?:must|should|shall|has to|have to|needs? to|is to|are to)(?P<no1> not)? (?:be|have|contain)"
    r"|(?:is|are|has|have|contains?)(?P<no2> not)?)"
)
_UNSAID: Final = re.compile(
    r"^(?:(?:must|should) (?:be|have)|is|are|has|have|contains?) (?!not )", re.IGNORECASE
)
_HAVING: Final = re.compile("ha(?:s|ve)$|contains?$", re.IGNORECASE)
_WHOLE: Final = re.compile(rf"(?P<subject>.+?) {_VERB} (?P<predicate>.+)", re.IGNORECASE)
_BARE: Final = re.compile(
    r"(?P<subject>.+?) (?:must |should )?(?P<predicate>(?:sums?|adds?) (?:up )?to .+|(?:starts?|ends?) with .+|equals? .+)",
    re.IGNORECASE,
)
_ALL_OF: Final = re.compile(
    r"(?:all|every|each|any)(?: of)?(?: the)? (?:values?|items?|elements?|entries|numbers?) (?:of|in) ",
    re.IGNORECASE,
)
_COLUMN_OF: Final = re.compile(
    r"(?:the )?column (?P<column>'[^']+'|\"[^\"]+\"|\w+) (?:of|in) (?P<frame>\w+)", re.IGNORECASE
)


def read_words(text: str, kinds: Mapping[str, Kind]) -> tuple[str, ...]:
    """The expressions that a condition means; none when it is of no form that is known.

    Args:
        text: the condition.
        kinds: the declared outputs.
    """
    plain = " ".join(text.replace("`", "").split()).rstrip(".!;")
    return _read(plain, kinds) or _read_joined(plain, kinds)


def _read(text: str, kinds: Mapping[str, Kind]) -> tuple[str, ...]:
    for pattern in (_WHOLE, _BARE):
        if found := pattern.fullmatch(text):
            subjects = _subjects(found["subject"], kinds)
            groups = found.groupdict()
            negated = "not " if groups.get("no1") or groups.get("no2") else ""
            verb: Verb = "has" if _HAVING.search(groups.get("verb") or "") else "is"
            if read := _of_all(subjects, negated + found["predicate"], kinds, verb):
                return read
    return _of_all(_only(kinds), _UNSAID.sub("", text), kinds, "")


def _read_joined(text: str, kinds: Mapping[str, Kind]) -> tuple[str, ...]:
    """Two conditions in one sentence; the second one may leave out whom it speaks of."""
    if len(text) > _JOINED_CHARS:
        return ()
    for place in re.finditer(r"(?:,? and|,|;) ", text):
        first, second = text[: place.start()], text[place.end() :]
        left = _read(first, kinds)
        subject = _WHOLE.fullmatch(first)
        if not left or subject is None:
            continue
        name = subject["subject"]
        right = _read(second, kinds) or _read(f"{name} {second}", kinds)
        right = right or _read(f"{name} is {second}", kinds)
        if right:
            return left + right
    return ()


def _of_all(
    subjects: list[Subject], predicate: str, kinds: Mapping[str, Kind], verb: Verb
) -> tuple[str, ...]:
    found = [expression_of(subject, predicate, kinds, verb) for subject in subjects]
    return tuple(each for each in found if each) if all(found) else ()


def _only(kinds: Mapping[str, Kind]) -> list[Subject]:
    """Where nobody is named, the one output is meant that there is."""
    return _subjects(next(iter(kinds)), kinds) if len(kinds) == 1 else []


def _subjects(text: str, kinds: Mapping[str, Kind]) -> list[Subject]:
    rest = _ALL_OF.sub("", text.strip())
    rest = re.sub(
        r"^(?:both|the(?: value(?: of)?)?|value of|output) ", "", rest, flags=re.IGNORECASE
    )
    found = [_subject(part.strip(), kinds) for part in re.split(r",? and |, ", rest)]
    known = [each for each in found if each is not None]
    return known if len(known) == len(found) else []


def _subject(text: str, kinds: Mapping[str, Kind]) -> Subject | None:
    if text in kinds:
        kind = kinds[text]
        shape = shape_of(kind)
        return shape and Subject(expression=text, shape=shape, may_be_none=isinstance(kind, Either))
    if found := _COLUMN_OF.fullmatch(text):
        frame, column = found["frame"], found["column"].strip("'\"")
    elif found := re.fullmatch(r"(\w+)\[(['\"])(.+?)\2\](?: column| values)?", text):
        frame, column = found[1], found[3]
    else:
        return None
    if frame not in kinds or kinds[frame].text != "DataFrame":
        return None
    return Subject(expression=f"{frame}[{column!r}]", shape="series")
