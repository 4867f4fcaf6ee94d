"""What is said of a subject in plain words, as an expression: one form of words a function."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from backend.tools.coder.proof.kinds import (
    DictOf,
    Either,
    File,
    Kind,
    ListOf,
    Tagged,
)

Shape = Literal["scalar", "text", "many", "dict", "series", "array", "frame", "file"]

Verb = Literal["is", "has", ""]
"""What stood before the words; '' for nothing."""

_NUMBER_WORDS = {
    word: str(number)
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve".split()
    )
}
_N: Final = r"-?\d+(?:\.\d+)?"
_COMPARISONS: Final = (
    (r"(?:greater than or equal to|at least|no less than|not less than|not below|>=|min(?:imum)?)", ">="),
    (r"(?:less than or equal to|at most|no more than|not more than|not above|up to|<=|max(?:imum)?)", "<="),
    (r"(?:greater than|more than|larger than|bigger than|above|over|>)", ">"),
    (r"(?:less than|fewer than|smaller than|lower than|below|under|<)", "<"),
    (r"(?:equal to|equals|exactly|=|==)", "=="),
)  # fmt: skip
_SIGNS: Final = {
    "positive": ">",
    "negative": "<",
    "non-negative": ">=",
    "nonnegative": ">=",
    "not negative": ">=",
    "non-positive": "<=",
    "not positive": "<=",
    "zero": "==",
    "non-zero": "!=",
    "nonzero": "!=",
    "not zero": "!=",
}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a condition is about."""

    expression: str
    shape: Shape
    may_be_none: bool = False


def shape_of(kind: Kind) -> Shape | None:
    """What can be said of a value of this type; None where that is not known."""
    if isinstance(kind, Either):
        shapes = {shape_of(option) for option in kind.options if option.text != "None"}
        return shapes.pop() if len(shapes) == 1 and "None" in kind.text else None
    if isinstance(kind, File):
        return "file"
    if isinstance(kind, ListOf | Tagged):
        return "many"
    if isinstance(kind, DictOf):
        return "dict"
    shapes_by_text: dict[str, Shape] = {
        "int": "scalar",
        "float": "scalar",
        "Decimal": "scalar",
        "str": "text",
        "Series": "series",
        "ndarray": "array",
        "DataFrame": "frame",
    }
    return shapes_by_text.get(kind.text)


def expression_of(subject: Subject, predicate: str, kinds: Mapping[str, Kind], verb: Verb) -> str:
    """The condition as an expression; '' where the words are of no form that is known."""
    for verbs, pattern, make in _PREDICATES:
        if verb and verb not in verbs.split():
            continue
        if found := re.fullmatch(pattern, predicate.strip(), re.IGNORECASE):
            expression = make(subject, found, kinds)
            if not expression:
                continue
            if subject.may_be_none:
                return f"{subject.expression} is None or ({expression})"
            return expression
    return ""


def _each(subject: Subject, condition: str) -> str:
    """A condition on ``{}``, a number or a text, for the subject or for all that is in it."""
    it = subject.expression
    match subject.shape:
        case "scalar" | "text":
            return condition.format(it)
        case "many":
            return f"all({condition.format('each')} for each in {it})"
        case "dict":
            return f"all({condition.format('each')} for each in {it}.values())"
        case "series" | "array":
            parts = " & ".join(f"({part.format(it)})" for part in condition.split(" and "))
            return f"({parts}).all()"
    return ""


def _value(text: str, kinds: Mapping[str, Kind]) -> str:
    """A number, or another output; '' for anything else."""
    word = _NUMBER_WORDS.get(text.lower(), text)
    if re.fullmatch(_N, word) or (word in kinds and shape_of(kinds[word]) == "scalar"):
        return word
    return ""


def _sign(subject: Subject, found: re.Match[str], kinds: Mapping[str, Kind]) -> str:
    return (
        "" if subject.shape == "text" else _each(subject, f"{{}} {_SIGNS[found['sign'].lower()]} 0")
    )


def _between(subject: Subject, found: re.Match[str], kinds: Mapping[str, Kind]) -> str:
    low, high = _value(found["low"], kinds), _value(found["high"], kinds)
    if not low or not high or subject.shape == "text":
        return ""
    return _each(subject, f"{{}} >= {low} and {{}} <= {high}".replace("{}", "{0}"))


def _comparison(sign: str) -> Callable[[Subject, re.Match[str], Mapping[str, Kind]], str]:
    def compare(subject: Subject, found: re.Match[str], kinds: Mapping[str, Kind]) -> str:
        value = _value(found["value"], kinds)
        return _each(subject, f"{{}} {sign} {value}") if value and subject.shape != "text" else ""

    return compare


_SIZES: Final[Mapping[str, tuple[str, tuple[Shape, ...]]]] = {
    "row": ("len({})", ("frame", "series", "array", "many")),
    "column": ("{}.shape[1]", ("frame",)),
    "item": ("len({})", ("many", "dict", "series", "array")),
    "element": ("len({})", ("many", "dict", "series", "array")),
    "entry": ("len({})", ("many", "dict", "series", "array")),
    "entrie": ("len({})", ("many", "dict", "series", "array")),
    "value": ("len({})", ("many", "dict", "series", "array")),
    "key": ("len({})", ("dict",)),
    "character": ("len({})", ("text",)),
    "letter": ("len({})", ("text",)),
    "word": ("len({}.split())", ("text",)),
    "line": ("len({}.splitlines())", ("text",)),
}


def _size(subject: Subject, found: re.Match[str], kinds: Mapping[str, Kind]) -> str:
    how, shapes = _SIZES[found["what"].lower()]
    number = _value(found["number"], {})
    if subject.shape not in shapes or not number:
        return ""
    sign = "=="
    for pattern, each in _COMPARISONS:
        if found["how"] and re.fullmatch(pattern, found["how"].strip(), re.IGNORECASE):
            sign = each
    return f"{how.format(subject.expression)} {sign} {number}"


def _filled(subject: Subject, found: re.Match[str], kinds: Mapping[str, Kind]) -> str:
    if subject.shape == "file":
        return f"len(open({subject.expression}, 'rb').read(1)) == 1"
    return "" if subject.shape == "scalar" else f"len({subject.expression}) > 0"


def _rounded(subject: Subject, found: re.Match[str], kinds: Mapping[str, Kind]) -> str:
    digits = _value(found["digits"], {})
    it = subject.expression
    if not digits.isdigit() or subject.shape == "text":
        return ""
    if subject.shape == "frame":
        numbers = f"{it}.select_dtypes('number')"
        return f"{numbers}.round({digits}).equals({numbers})"
    if subject.shape == "series":
        return f"(({it}.round({digits}) == {it}) | {it}.isna()).all()"
    if subject.shape == "array":
        return f"({it}.round({digits}) == {it}).all()"
    return _each(subject, f"round({{0}}, {digits}) == {{0}}")


def _whole(subject: Subject, found: re.Match[str], kinds: Mapping[str, Kind]) -> str:
    return "" if subject.shape == "text" else _each(subject, "{} % 1 == 0")


def _one_of(subject: Subject, found: re.Match[str], kinds: Mapping[str, Kind]) -> str:
    values = list(_literals(found["values"]))
    parts = re.split(r",| or ", found["values"].strip(" []{}()"))
    if len(values) < 2 or any(_is_prose(part.strip().removeprefix("or ")) for part in parts):
        return ""
    if subject.shape == "series":
        return f"{subject.expression}.isin({values!r}).all()"
    return "" if subject.shape == "array" else _each(subject, f"{{}} in {values!r}")


def _is_prose(text: str) -> bool:
    """Words that are no single name or value: the sentence goes on otherwise than was thought."""
    return text[:1] not in ("'", '"') and (" " in text or text.lower() in _FILLERS)


def _literals(text: str) -> Iterator[str | int | float]:
    for part in re.split(r",\s*(?:or |and )?| or ", text.strip(" []{}()")):
        word = part.strip()
        try:
            value = ast.literal_eval(word)
        except (ValueError, SyntaxError):
            value = word
        if word:
            yield value if isinstance(value, str | int | float) else word


def _sorted(subject: Subject, found: re.Match[str], kinds: Mapping[str, Kind]) -> str:
    falls = bool(re.search("desc|decreas", found[0], re.IGNORECASE))
    by, it = found["by"], subject.expression
    if subject.shape == "frame" and by:
        it = f"{it}[{by.strip(chr(39) + chr(34))!r}]"
    elif by or subject.shape not in ("many", "series", "array"):
        return ""
    if subject.shape in ("frame", "series"):
        return f"{it}.is_monotonic_{'de' if falls else 'in'}creasing"
    return f"list({it}) == sorted({it}{', reverse=True' if falls else ''})"


def _unique(subject: Subject, found: re.Match[str], kinds: Mapping[str, Kind]) -> str:
    it = subject.expression
    forms: dict[Shape, str] = {
        "many": f"len(set({it})) == len({it})",
        "array": f"len(set({it}.ravel().tolist())) == {it}.size",
        "series": f"{it}.is_unique",
        "frame": f"not {it}.duplicated().any()",
    }
    return forms.get(subject.shape, "")


def _complete(subject: Subject, found: re.Match[str], kinds: Mapping[str, Kind]) -> str:
    it = subject.expression
    if subject.shape == "frame":
        return f"not {it}.isna().any().any()"
    if subject.shape == "series":
        return f"not {it}.isna().any()"
    if subject.shape == "array":
        return f"({it} == {it}).all()"
    return _each(subject, "{0} is not None and {0} == {0}")


def _columns(subject: Subject, found: re.Match[str], kinds: Mapping[str, Kind]) -> str:
    if subject.shape != "frame":
        return ""
    names = [str(name) for name in re.split(r",\s*(?:and )?| and ", found["names"])]
    names = [name.strip() for name in names if name.strip()]
    if any(_is_prose(name) for name in names):
        return ""
    names = [name.strip("'\"") for name in names]
    if found["exactly"]:
        return f"list({subject.expression}.columns) == {names!r}"
    return f"set({names!r}) <= set({subject.expression}.columns)"


def _sum(subject: Subject, found: re.Match[str], kinds: Mapping[str, Kind]) -> str:
    value, it = _value(found["value"], kinds), subject.expression
    sums: dict[Shape, str] = {
        "many": f"sum({it})",
        "dict": f"sum({it}.values())",
        "series": f"{it}.sum()",
        "array": f"{it}.sum()",
    }
    total = sums.get(subject.shape)
    return f"abs({total} - {value}) < 1e-6" if total and value else ""


def _edge(subject: Subject, found: re.Match[str], kinds: Mapping[str, Kind]) -> str:
    method = "startswith" if found["edge"].lower().startswith("start") else "endswith"
    text = found["text"].strip("'\"")
    if subject.shape == "file":
        return f"str({subject.expression}).{method}({text!r})"
    return f"{subject.expression}.{method}({text!r})" if subject.shape == "text" else ""


_FILLERS: Final = frozenset(
    "that which with for named called in of the a an and or to as by from like such".split()
)
_HOW: Final = "|".join(pattern for pattern, _ in _COMPARISONS)
_VALUE: Final = r"(?P<value>[\w.-]+)"
_MISSING: Final = r"(?:missing(?: values| entries)?|nans?|nulls?(?: values)?|none(?: values)?)"
_PREDICATES: Final = (
    ("is", rf"(?:a )?(?P<sign>{'|'.join(sorted(_SIGNS, key=len, reverse=True))})(?: numbers?)?", _sign),
    ("is", r"(?:a (?:number|value) )?(?:between|from|in the range(?: of| from)?) \[?(?P<low>[\w.-]+)(?:,| and| to) (?P<high>[\w.-]+)\]?(?: \(?inclusive\)?)?", _between),
    *(("is", rf"(?:a (?:number|value) )?{pattern} {_VALUE}", _comparison(sign)) for pattern, sign in _COMPARISONS),
    ("has", rf"(?P<how>(?:{_HOW}) )?(?P<number>\w+) (?P<what>{'|'.join(_SIZES)})s?", _size),
    ("is", r"(?:not empty|non-?empty)", _filled),
    ("is", r"rounded to (?P<digits>\w+) (?:decimals?|decimal places?|digits|places)(?: after the (?:decimal )?point)?", _rounded),
    ("is", r"(?:an? )?(?:integers?|whole numbers?)", _whole),
    ("is", r"(?:one|any|either)(?: of)?:? (?P<values>.+)", _one_of),
    ("is", r"(?:sorted|ordered)(?: by (?:the )?(?:column )?(?P<by>'[^']+'|\"[^\"]+\"|\w+))?,?(?: in)?(?: (?:ascending|increasing|descending|decreasing)(?:ly)?)?(?: order)?", _sorted),
    ("is", r"(?:in )?(?:ascending|increasing|descending|decreasing)(?: order)?(?P<by>(?!))?", _sorted),
    ("is has", r"(?:all )?(?:unique|distinct|(?:no|without|free of|not(?: any)?) duplicates?(?: rows| values| entries)?)(?: values)?", _unique),
    ("is has", rf"(?:no|without|free of|not(?: any)?) {_MISSING}", _complete),
    ("has", r"(?P<exactly>exactly )?(?:the |a )?columns?:? (?P<names>.+)", _columns),
    ("is", rf"(?:sums?|adds?) (?:up )?to {_VALUE}", _sum),
    ("is", r"(?P<edge>starts?|ends?|starting|ending) with (?P<text>\S+)", _edge),
)  # fmt: skip
