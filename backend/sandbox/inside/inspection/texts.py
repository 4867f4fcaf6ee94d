"""Texts: the beginning of a file, decoded, and what can be said of any text."""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from typing import NamedTuple

from .facts import TEXT_BYTES, Facts, head, opened, short

_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_SAMPLE_BYTES = 65_536
_FIRST_CHARS = 1_000_000
_BREAK = re.compile("\r\n?|\n")
_STAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?")
_VARIABLE = (
    (_STAMP, "<time>"),
    (re.compile(r"\d{1,3}(?:\.\d{1,3}){3}"), "<ip>"),
    (re.compile(r"\b(?:DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL)\b"), "<level>"),
    (re.compile(r'"[^"]*"'), '"..."'),
    (re.compile(r"(?<=\s)/\S*"), "<path>"),
    (re.compile(r"\b[0-9a-fA-F]{8,}\b"), "<hex>"),
    (re.compile(r"[-+]?\d+(?:[.:]\d+)*"), "<n>"),
)
_PATTERN_LINES = 2_000


class Text(NamedTuple):
    """The beginning of a text."""

    content: str
    encoding: str
    whole: bool
    """Whether that is all of it."""

    def lines(self) -> list[str]:
        """Its lines as a file has them: other separators are signs within a line."""
        return _lines_of(self.content)

    def first_lines(self, count: int) -> list[str]:
        """So many of the first ones; one that may be cut only if there is no other."""
        beginning = self.content[:_FIRST_CHARS]
        lines = _lines_of(beginning)
        is_cut = not self.whole or len(beginning) < len(self.content)
        return (lines[:-1] if is_cut and len(lines) > 1 else lines)[:count]


def _lines_of(content: str) -> list[str]:
    unified = _BREAK.sub("\n", content) if "\r" in content else content
    return unified.removesuffix("\n").split("\n") if unified else []


def read(name: str, limit: int = TEXT_BYTES) -> Text:
    """The first ``limit`` bytes of a file as text.

    Raises:
        ValueError: it is no text.
    """
    with open(name, "rb") as file:
        raw = file.read(limit + 1)
    whole = len(raw) <= limit
    raw = raw[:limit]
    encoding = _encoding(raw, whole)
    content = raw.decode(encoding, "replace" if whole else "ignore")
    return Text(content=content, encoding=encoding, whole=whole)


def inspect(name: str) -> Facts:
    """Encoding, number of lines, first lines."""
    return describe(name, read(name))


def inspect_markdown(name: str) -> Facts:
    """The same, and the headings."""
    text = read(name)
    lines = text.lines()
    headings = [line for line in lines if re.match(r"#{1,6} \S", line)]
    return {**describe(name, text), **({"headings": head(headings)} if headings else {})}


def describe_log(name: str, text: Text) -> Facts:
    """What can be said of any text, and the patterns of most lines."""
    facts = describe(name, text)
    lines = [line for line in text.first_lines(_PATTERN_LINES) if line.strip()]
    patterns = Counter(_pattern(line) for line in lines)
    facts["line_patterns"] = [
        f"{short(pattern, 160)} ({times} of {len(lines)} lines)"
        for pattern, times in patterns.most_common(5)
        if times > 1 or len(lines) == 1
    ]
    levels = Counter(re.findall(_VARIABLE[2][0], "\n".join(lines)))
    if levels:
        facts["levels"] = dict(levels)
    stamps = [found[0] for line in lines if (found := _STAMP.search(line))]
    if stamps:
        facts["first_time"], facts["last_time"] = min(stamps), max(stamps)
    return facts


def describe(name: str, text: Text) -> Facts:
    """What can be said of any text."""
    lines = text.lines()
    facts: Facts = {"encoding": text.encoding, "lines": len(lines), "preview": head(lines)}
    facts["read_with"] = f"{opened(name, text.encoding)}.read()"
    if not text.whole:
        size = os.path.getsize(name)
        facts["note"] = f"lines counted in the first {TEXT_BYTES} of {size} bytes only"
    return facts


def _pattern(line: str) -> str:
    line = line[:500]
    for variable, sign in _VARIABLE:
        line = variable.sub(sign, line)
    words = line.split(" ")
    # What follows the head of a line is the message, which differs.
    return " ".join(words[:6]) + (" ..." if len(words) > 6 else "")


def _encoding(raw: bytes, whole: bool) -> str:
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return encoding
    sample = raw[:_SAMPLE_BYTES]
    if b"\0" in sample:
        raise ValueError("binary data, not the text that its name says")
    if _decodes(raw, "utf-8", whole):
        return "utf-8"
    control = sum(byte < 9 or 13 < byte < 32 for byte in sample)
    if control * 50 > len(sample):
        raise ValueError("binary data, not the text that its name says")
    import chardet

    guess = (chardet.detect(sample)["encoding"] or "").lower()
    guess = "cp949" if guess in ("euc-kr", "uhc", "johab") else guess
    return next((e for e in (guess, "cp949", "cp1252") if e and _decodes(raw, e, whole)), "latin-1")


def _decodes(raw: bytes, encoding: str, whole: bool) -> bool:
    """Whether it is text in that encoding; the last character of a part may be cut off."""
    for cut in range(1 if whole else 4):
        with contextlib.suppress(UnicodeDecodeError, LookupError):
            raw[: len(raw) - cut].decode(encoding)
            return True
    return False
