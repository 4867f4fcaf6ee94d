"""A JSON reader for what models write instead of JSON.

It takes single quotes, Python's ``True``/``None``, triple quotes, raw line breaks in texts,
unescaped quotes inside texts, bare keys, comments and trailing commas. It does not guess the end
of what was cut off.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from backend.llm.letters import whole_letters

MAX_DEPTH: Final = 64
_BLANK: Final = re.compile(r"(?:\s+|//[^\n]*|#[^\n]*|/\*.*?\*/)*", re.DOTALL)
_SPACE: Final = re.compile(r"\s*")
_NUMBER: Final = re.compile(r"[-+]?(?:\d[\d_]*)?\.?\d+(?:[eE][-+]?\d+)?")
_WORD: Final = re.compile(r"[A-Za-z_][\w-]*")
_WORDS: Final[dict[str, Any]] = {
    "true": True, "false": False, "null": None, "none": None, "undefined": None, "nan": None,
}  # fmt: skip
_QUOTES: Final = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019", "`": "`"}
_STOPS: Final = {close: re.compile(rf"[\\{close}]") for close in _QUOTES.values()}
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\n": ""}
_STRICT: Final = json.JSONDecoder(strict=False)


class NotAnObject(Exception):
    """This is no object. `cut_off`: the text ended inside it."""

    def __init__(self, place: int, *, cut_off: bool = False) -> None:
        super().__init__(place)
        self.place = place
        self.cut_off = cut_off


def parse_object(text: str, start: int) -> tuple[dict[str, Any], int]:
    """The object whose ``{`` stands at `start`, and the place after it.

    Raises:
        NotAnObject: there is none, or it was cut off.
    """
    try:
        value, end = _STRICT.raw_decode(text, start)
    except (ValueError, RecursionError):
        value, end = _Reader(text).value(start, 0)
    if not isinstance(value, dict):
        raise NotAnObject(start)
    return _tidy(value, start), end


def _tidy(value: Any, place: int, depth: int = 0) -> Any:
    """No deeper than others can follow, and no text that cannot be written down."""
    if depth > MAX_DEPTH:
        raise NotAnObject(place, cut_off=True)
    if isinstance(value, str):
        return whole_letters(value)
    if isinstance(value, list):
        return [_tidy(entry, place, depth + 1) for entry in value]
    if isinstance(value, dict):
        return {_tidy(key, place): _tidy(entry, place, depth + 1) for key, entry in value.items()}
    return value


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text

    def value(self, place: int, depth: int) -> tuple[Any, int]:
        place = self._skip(place)
        letter = self._text[place]
        if depth > MAX_DEPTH:
            raise NotAnObject(place, cut_off=True)
        if letter == "{":
            return self._object(place + 1, depth)
        if letter in "[(":
            return self._array(place + 1, depth, "]" if letter == "[" else ")")
        if letter in _QUOTES:
            return self._joined_texts(place)
        return self._scalar(place)

    def _object(self, place: int, depth: int) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        place = self._skip(place)
        while self._text[place] != "}":
            key, place = self._key(place)
            place = self._skip(place)
            if self._text[place] not in ":=":
                raise NotAnObject(place)
            found[key], place = self.value(place + 1, depth + 1)
            place = self._comma(place, "}")
        return found, place + 1

    def _array(self, place: int, depth: int, close: str) -> tuple[list[Any], int]:
        found: list[Any] = []
        place = self._skip(place)
        while self._text[place] != close:
            value, place = self.value(place, depth + 1)
            found.append(value)
            place = self._comma(place, close)
        return found, place + 1

    def _comma(self, place: int, close: str) -> int:
        place = self._skip(place)
        if self._text[place] == ",":
            return self._skip(place + 1)
        if self._text[place] != close and self._text[place] not in _QUOTES:
            raise NotAnObject(place)
        return place

    def _key(self, place: int) -> tuple[str, int]:
        if self._text[place] in _QUOTES:
            return self._quoted(place)
        word = _WORD.match(self._text, place)
        if word is None:
            raise NotAnObject(place)
        return word[0], word.end()

    def _scalar(self, place: int) -> tuple[Any, int]:
        if word := _WORD.match(self._text, place):
            if word[0].lower() not in _WORDS:
                raise NotAnObject(place)
            return _WORDS[word[0].lower()], word.end()
        number = _NUMBER.match(self._text, place)
        if number is None or len(number[0]) > 400:
            raise NotAnObject(place)
        digits = number[0].replace("_", "")
        whole = re.fullmatch(r"[-+]?\d+", digits)
        return (int(digits) if whole else float(digits)), number.end()

    def _joined_texts(self, place: int) -> tuple[str, int]:
        """A text; Python joins texts that stand side by side, and models use that."""
        text, place = self._quoted(place)
        parts = [text]
        while True:
            after = self._skip(place)
            if self._text[after] not in "\"'":
                return "".join(parts), place
            follows = self._quoted_then_colon(after)
            if follows:
                return "".join(parts), place
            text, place = self._quoted(after)
            parts.append(text)

    def _quoted_then_colon(self, place: int) -> bool:
        """Whether the text at `place` is the next key, after a forgotten comma."""
        _, end = self._quoted(place)
        return self._text[self._skip(end)] == ":"

    def _quoted(self, place: int) -> tuple[str, int]:
        quote = self._text[place]
        if self._text.startswith(quote * 3, place):
            return self._until(place + 3, quote * 3, exact=True)
        return self._until(place + 1, _QUOTES[quote], exact=False)

    def _until(self, place: int, close: str, *, exact: bool) -> tuple[str, int]:
        text, parts, start = self._text, [], place
        stops = _STOPS[close[0]]
        while True:
            stop = stops.search(text, place)
            if stop is None:
                raise NotAnObject(len(text), cut_off=True)
            place = stop.start()
            if text[place] == "\\":
                parts.append(text[start:place])
                letter, place = self._escape(place + 1)
                parts.append(letter)
                start = place
            elif text.startswith(close, place) and (exact or self._ends_text(place + 1)):
                parts.append(text[start:place])
                return whole_letters("".join(parts)), place + len(close)
            else:
                place += 1

    def _ends_text(self, place: int) -> bool:
        """A quote ends a text only before what may follow a text; else it was not escaped."""
        after = _SPACE.match(self._text, place)
        place = after.end() if after else place
        if place >= len(self._text):
            raise NotAnObject(place, cut_off=True)
        return self._text[place] in ",}]:)\"'#/"

    def _escape(self, place: int) -> tuple[str, int]:
        if place >= len(self._text):
            raise NotAnObject(place, cut_off=True)
        letter = self._text[place]
        if letter == "u":
            digits = self._text[place + 1 : place + 5]
            if re.fullmatch(r"[0-9a-fA-F]{4}", digits):
                return chr(int(digits, 16)), place + 5
        if letter in "\"'\\/`":
            return letter, place + 1
        return _ESCAPES.get(letter, "\\" + letter), place + 1

    def _skip(self, place: int) -> int:
        blank = _BLANK.match(self._text, place)
        place = blank.end() if blank else place
        if place >= len(self._text):
            raise NotAnObject(place, cut_off=True)
        return place
