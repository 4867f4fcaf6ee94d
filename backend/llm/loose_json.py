"""A JSON reader for what models write instead of JSON.

It takes single quotes, Python's ``True``/``None``, triple quotes, raw line breaks in texts,
unescaped quotes inside texts, bare keys, comments and trailing commas. Closing brackets that were
forgotten are put where nothing else can be missing: at the end after a closing bracket, or after a
whole text in the outermost object; and before the bracket that closes what is around. Otherwise it
does not guess the end of what was cut off.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from backend.llm.letters import whole_letters

MAX_DEPTH: Final = 64
_BLANK: Final = re.compile(r"(?:\s+|//[^\n]*|#[^\n]*|/\*(?:[^*]|\*(?!/)){0,2000}+\*/)*", re.DOTALL)
_SPACE: Final = re.compile(r"\s*")
_KEY_AHEAD: Final = re.compile(
    r"\s*(?:\"(?:[^\"\\\n]|\\.){0,200}\"|'(?:[^'\\\n]|\\.){0,200}'|[\u201c\u2018`]?[\w $.-]{1,60}[\u201d\u2019`]?)"
    r"\s*[:=]"
)
_NOTHING_AHEAD: Final = re.compile(r"\s*(?:[}\])]|//|#|/\*|\Z)")
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

    def value(self, place: int, depth: int, close: str = "}") -> tuple[Any, int]:
        """The value at `place`, in something that `close` closes."""
        place = self._skip(place)
        letter = self._text[place]
        if depth > MAX_DEPTH:
            raise NotAnObject(place, cut_off=True)
        if letter == "{":
            return self._object(place + 1, depth)
        if letter in "[(":
            return self._array(place + 1, depth, "]" if letter == "[" else ")")
        if letter in _QUOTES:
            return self._joined_texts(place, close)
        return self._scalar(place)

    def _object(self, place: int, depth: int) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        place = self._skip(place)
        while not self._is_over(place) and self._text[place] not in "}]":
            key, place = self._key(place)
            place = self._skip(place)
            if self._text[place] not in ":=":
                raise NotAnObject(place)
            found[key], place = self.value(place + 1, depth + 1)
            place = self._comma(place, "}", depth)
        return found, self._closed(place, "}", depth)

    def _array(self, place: int, depth: int, close: str) -> tuple[list[Any], int]:
        found: list[Any] = []
        place = self._skip(place)
        while not self._is_over(place) and self._text[place] not in (close, "}"):
            value, place = self.value(place, depth + 1, close)
            found.append(value)
            place = self._comma(place, close, depth)
        return found, self._closed(place, close, depth)

    def _closed(self, place: int, close: str, depth: int) -> int:
        """The place after the closing bracket, which may have been forgotten before another one."""
        if self._is_over(place):
            return place
        if self._text[place] == close:
            return place + 1
        if depth == 0:
            raise NotAnObject(place)
        return place

    def _comma(self, place: int, close: str, depth: int) -> int:
        """The place of what follows a value: the next one, or a closing bracket."""
        blank = _BLANK.match(self._text, place)
        after = blank.end() if blank else place
        if self._is_over(after):
            last = self._text[place - 1]
            if last in "}]" or (depth == 0 and last in _STOPS):
                return after
            raise NotAnObject(after, cut_off=True)
        if self._text[after] == ",":
            return self._skip(after + 1)
        if self._text[after] not in (close, "}", "]") and self._text[after] not in _QUOTES:
            raise NotAnObject(after)
        return after

    def _is_over(self, place: int) -> bool:
        """Whether the text, or the fence or tag that it stands in, ends here."""
        return place >= len(self._text) or self._text.startswith(("```", "</"), place)

    def _key(self, place: int) -> tuple[str, int]:
        if self._text[place] in _QUOTES:
            return self._quoted(place, ":=")
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

    def _joined_texts(self, place: int, close: str) -> tuple[str, int]:
        """A text; Python joins texts that stand side by side, and models use that."""
        text, place = self._quoted(place, close)
        parts = [text]
        while True:
            blank = _BLANK.match(self._text, place)
            after = blank.end() if blank else place
            if self._is_over(after) or self._text[after] not in "\"'":
                return "".join(parts), place
            if close == "}" and _KEY_AHEAD.match(self._text, after):
                return "".join(parts), place
            text, place = self._quoted(after, close)
            parts.append(text)

    def _quoted(self, place: int, close: str) -> tuple[str, int]:
        quote = self._text[place]
        if self._text.startswith(quote * 3, place):
            return self._until(place + 3, quote * 3, None)
        return self._until(place + 1, _QUOTES[quote], close)

    def _until(self, place: int, quote: str, close: str | None) -> tuple[str, int]:
        """The text up to `quote`; where `close` is given, only where the text can end there."""
        text, parts, start = self._text, [], place
        stops = _STOPS[quote[0]]
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
            elif text.startswith(quote, place) and (
                close is None or self._ends_text(place + 1, close)
            ):
                parts.append(text[start:place])
                return whole_letters("".join(parts)), place + len(quote)
            else:
                place += 1

    def _ends_text(self, place: int, close: str) -> bool:
        """A quote ends a text only before what may follow a text; else it was not escaped.

        `close`: what closes that in which the text stands, or the signs after a key.
        """
        after = _SPACE.match(self._text, place)
        place = after.end() if after else place
        if self._is_over(place):
            return True
        letter = self._text[place]
        if close == ":=":
            return letter in close
        if letter == "," and close == "}":
            rest = place + 1
            return bool(
                _KEY_AHEAD.match(self._text, rest) or _NOTHING_AHEAD.match(self._text, rest)
            )
        return letter in close or letter in ",}]\"'#/"

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
