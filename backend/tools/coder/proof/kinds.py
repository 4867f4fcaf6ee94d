"""Types that a caller may declare, and what of a program's value each of them takes."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from backend.tools.coder.proof import conversions
from backend.tools.coder.proof.encoded import (
    FILE,
    TAG,
    elements,
    labels,
    nested,
    scalar_of,
    shape_of,
    tag_of,
)

Files = Mapping[str, Mapping[str, Any]]
"""Name of a file that the program wrote -> what is known of it."""

_SHOWN_CHARS = 60
_ARTICLES = re.compile(r"[aeioAEIO]|int\b")


class Mismatch(Exception):
    """A value is not of the type; the message is a sentence for whoever wrote the program."""


@dataclass(frozen=True, kw_only=True)
class Kind(ABC):
    """A type."""

    text: str
    """As it is written in Python."""
    advice: str = ""
    """What to assign, as the rest of a sentence that says what should be there."""

    @abstractmethod
    def take(self, raw: Any, where: str, files: Files) -> Any:
        """The value in this type's own form.

        Raises:
            Mismatch: it is none; says where it was found and what is there.
        """

    def refuse(self, raw: Any, where: str) -> Mismatch:
        """The sentence about a value that is of another type."""
        advice = f": {self.advice}" if self.advice else ""
        return Mismatch(
            f"`{where}` should be {with_article(self.text)}{advice}; it is {told(raw)}."
        )


def with_article(text: str) -> str:
    """``a float``, ``an int``."""
    return f"{'an' if _ARTICLES.match(text) else 'a'} {text}"


def told(raw: Any) -> str:
    """An encoded value in a few words: its type, and how it is or how large."""
    if raw is None or tag_of(raw) == "missing":
        return "None"
    tag = tag_of(raw)
    if tag == "unavailable":
        return f"{with_article(str(raw.get('is'))[:100])}, which is {str(raw.get('why'))[:200]}"
    if tag == "path":
        return f"a path naming {str(raw.get('value'))[:_SHOWN_CHARS]!r}"
    name = tag or type(raw).__name__
    try:
        shape = "" if isinstance(raw, str) else shape_of(raw)
    except (LookupError, TypeError, ValueError):
        shape = ""
    if shape:
        return f"{with_article(name)} of {shape}"
    shown = str(raw.get("value", raw.get("hex", "")) if tag else raw)[:_SHOWN_CHARS]
    return (
        f"{with_article(name)}, {shown!r}" if type(raw) is str else f"{with_article(name)}, {shown}"
    )


@dataclass(frozen=True, kw_only=True)
class Simple(Kind):
    """One of Python's own types, or of a library's, without parts."""

    convert: Callable[[Any], Any]
    """Gives the value's form, or None for what is not of the type."""

    def take(self, raw: Any, where: str, files: Files) -> Any:
        """See ``Kind.take``."""
        found = self.convert(raw)
        if found is None:
            found = self.convert(scalar_of(raw))
        if found is None:
            raise self.refuse(raw, where)
        return found


@dataclass(frozen=True, kw_only=True)
class File(Kind):
    """A file that the program wrote, by its path."""

    def take(self, raw: Any, where: str, files: Files) -> Any:
        """See ``Kind.take``."""
        path = raw.get("value") if tag_of(raw) == "path" else raw
        if not isinstance(path, str):
            raise self.refuse(raw, where)
        name = _file_named(path, files)
        if name is None:
            kind = "a str" if raw is path else "a path"
            raise Mismatch(
                f"`{where}` should be a File: {self.advice}; it is {kind} naming "
                f"{path[:_SHOWN_CHARS]!r}, which was not written."
            )
        return {**files[name], TAG: FILE, "name": name}


def _file_named(path: str, files: Files) -> str | None:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if "/".join(parts) in files and not path.startswith("/"):
        return "/".join(parts)
    # The working directory has another name here: whichever file the path ends with.
    ends = [name for name in files if path.startswith("/") and path.endswith(f"/{name}")]
    return max(ends, key=len, default=None)


@dataclass(frozen=True, kw_only=True)
class ListOf(Kind):
    """A list; with a type for what is in it or without."""

    item: Kind | None = None

    def take(self, raw: Any, where: str, files: Files) -> Any:
        """See ``Kind.take``."""
        found = _as_list(raw)
        if found is None:
            raise self.refuse(raw, where)
        if self.item is None:
            return found
        return [self.item.take(each, f"{where}[{at}]", files) for at, each in enumerate(found)]


def _as_list(raw: Any) -> list[Any] | None:
    """A list's, a tuple's, an array's or a plainly numbered Series' values."""
    if isinstance(raw, list):
        return raw
    tag = tag_of(raw)
    if tag == "tuple":
        return list(raw["items"])
    if tag == "ndarray" and raw["shape"]:
        return list(nested(raw))
    if tag == "Index":
        return labels(raw["index"])
    if tag == "Series" and "range" in raw["index"]:
        return elements(raw)
    return None


@dataclass(frozen=True, kw_only=True)
class Tagged(Kind):
    """A tuple or a set; with a type for what is in it or without."""

    tag: str
    item: Kind | None = None

    def take(self, raw: Any, where: str, files: Files) -> Any:
        """See ``Kind.take``."""
        if tag_of(raw) != self.tag:
            raise self.refuse(raw, where)
        items = raw["items"]
        if self.item is not None:
            items = [self.item.take(each, f"{where}[{at}]", files) for at, each in enumerate(items)]
        return {TAG: self.tag, "items": items}


@dataclass(frozen=True, kw_only=True)
class DictOf(Kind):
    """A dict; with types for its keys and values or without."""

    key: Kind | None = None
    item: Kind | None = None

    def take(self, raw: Any, where: str, files: Files) -> Any:
        """See ``Kind.take``."""
        pairs = _as_pairs(raw)
        if pairs is None:
            raise self.refuse(raw, where)
        taken = []
        for key, value in pairs:
            spot = f"{where}[{key!r:.40}]"
            its_key = self.key.take(key, f"key {key!r:.40} of {where}", files) if self.key else key
            taken.append((its_key, self.item.take(value, spot, files) if self.item else value))
        if all(isinstance(key, str) for key, _ in taken) and all(key != TAG for key, _ in taken):
            return dict(taken)
        return {TAG: "dict", "items": [list(pair) for pair in taken]}


def _as_pairs(raw: Any) -> list[tuple[Any, Any]] | None:
    """A dict's items, or those of a Series whose labels are all different."""
    tag = tag_of(raw)
    if isinstance(raw, dict) and not tag:
        return list(raw.items())
    if tag == "dict":
        return [(key, value) for key, value in raw["items"]]
    if tag == "Series":
        keys = labels(raw["index"])
        if len({repr(key) for key in keys}) == len(keys):
            return list(zip(keys, elements(raw), strict=True))
    return None


@dataclass(frozen=True, kw_only=True)
class Either(Kind):
    """Any of several types: the first that takes the value."""

    options: tuple[Kind, ...]

    def take(self, raw: Any, where: str, files: Files) -> Any:
        """See ``Kind.take``."""
        own = tag_of(raw) or type(raw).__name__
        reasons = {}
        # What is of a type already is not made one of another.
        for option in sorted(self.options, key=lambda option: option.text != own):
            try:
                return option.take(raw, where, files)
            except Mismatch as reason:
                reasons[option.text] = str(reason)
        reasons.pop("None", None)
        if len(reasons) == 1 and len(self.options) == 2:
            raise Mismatch(next(iter(reasons.values())).replace("; it is", ", or None; it is", 1))
        raise self.refuse(raw, where)


@dataclass(frozen=True, kw_only=True)
class Choice(Kind):
    """One of the values that are listed."""

    values: tuple[str | int | float | bool | None, ...]

    def take(self, raw: Any, where: str, files: Files) -> Any:
        """See ``Kind.take``."""
        value = scalar_of(raw)
        for each in self.values:
            if type(each) is type(value) and each == value:
                return value
        listed = ", ".join(map(repr, self.values))
        raise Mismatch(f"`{where}` should be one of {listed}; it is {told(raw)}.")


@dataclass(frozen=True, kw_only=True)
class Anything(Kind):
    """Whatever can be handed out, None too."""

    def take(self, raw: Any, where: str, files: Files) -> Any:
        """See ``Kind.take``."""
        if tag_of(raw) == "unavailable":
            raise Mismatch(f"`{where}` cannot be handed out; it is {told(raw)}.")
        return raw


@dataclass(frozen=True, kw_only=True)
class Nothing(Kind):
    """None."""

    def take(self, raw: Any, where: str, files: Files) -> Any:
        """See ``Kind.take``."""
        value = scalar_of(raw)
        if value is None or tag_of(value) == "missing":
            return None
        raise self.refuse(raw, where)


INT = Simple(text="int", advice="assign a whole number", convert=conversions.to_int)
FLOAT = Simple(text="float", advice="assign a number", convert=conversions.to_float)
STR = Simple(text="str", advice="assign text", convert=conversions.to_str)
BOOL = Simple(
    text="bool",
    advice="assign True or False",
    convert=lambda raw: raw if raw in (True, False) and isinstance(raw, bool) else None,
)
DATE = Simple(text="date", advice="assign a datetime.date", convert=conversions.to_date)
DATETIME = Simple(
    text="datetime", advice="assign a datetime.datetime", convert=conversions.to_datetime
)
DECIMAL = Simple(text="Decimal", advice="assign a decimal.Decimal", convert=conversions.to_decimal)
FRAME = Simple(
    text="DataFrame", advice="assign a pandas DataFrame", convert=conversions.tagged("DataFrame")
)
SERIES = Simple(
    text="Series", advice="assign a pandas Series", convert=conversions.tagged("Series")
)
ARRAY = Simple(text="ndarray", advice="assign a numpy array", convert=conversions.tagged("ndarray"))
A_FILE = File(text="File", advice="assign the path of a file that the program wrote")
ANYTHING = Anything(text="Any")
NOTHING = Nothing(text="None")
