"""Texts: the beginning of a file, decoded, and what can be said of any text."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

from .facts import TEXT_BYTES, Facts, head

_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_SAMPLE_BYTES = 65_536


class Text(NamedTuple):
    """The beginning of a text."""

    content: str
    encoding: str
    whole: bool
    """Whether that is all of it."""

    def lines(self) -> list[str]:
        """Its lines as a file has them: other separators are signs within a line."""
        unified = self.content.replace("\r\n", "\n").replace("\r", "\n")
        return unified.removesuffix("\n").split("\n") if unified else []


def read(name: str) -> Text:
    """The first ``TEXT_BYTES`` of a file as text.

    Raises:
        ValueError: it is no text.
    """
    with open(name, "rb") as file:
        raw = file.read(TEXT_BYTES + 1)
    whole = len(raw) <= TEXT_BYTES
    encoding = _encoding(raw)
    content = raw.decode(encoding, "replace" if whole else "ignore")
    return Text(content=content, encoding=encoding, whole=whole)


def inspect(name: str) -> Facts:
    """Encoding, number of lines, first lines."""
    return describe(read(name))


def describe(text: Text) -> Facts:
    """What can be said of any text."""
    lines = text.lines()
    facts: Facts = {"encoding": text.encoding, "lines": len(lines), "preview": head(lines)}
    if not text.whole:
        facts["note"] = f"lines counted in the first {TEXT_BYTES} bytes only"
    return facts


def _encoding(raw: bytes) -> str:
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return encoding
    sample = raw[:_SAMPLE_BYTES]
    if b"\0" in sample:
        raise ValueError("binary data, not the text that its name says")
    if _decodes(raw, "utf-8"):
        return "utf-8"
    control = sum(byte < 9 or 13 < byte < 32 for byte in sample)
    if control * 50 > len(sample):
        raise ValueError("binary data, not the text that its name says")
    import chardet

    guess = (chardet.detect(sample)["encoding"] or "").lower()
    guess = "cp949" if guess in ("euc-kr", "uhc", "johab") else guess
    return next((e for e in (guess, "cp949", "cp1252") if e and _decodes(raw, e)), "latin-1")


def _decodes(raw: bytes, encoding: str) -> bool:
    """Whether it is text in that encoding; the last character of a part may be cut off."""
    for cut in range(4 if len(raw) > TEXT_BYTES else 1):
        with contextlib.suppress(UnicodeDecodeError, LookupError):
            raw[: len(raw) - cut].decode(encoding)
            return True
    return False
