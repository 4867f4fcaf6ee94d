"""Fenced blocks of Markdown as models write it: nested, unclosed, indented, quoted, mislabelled."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from backend.llm.code.parsing import Parser

PYTHON_TAGS: Final = frozenset(
    {
        "python", "py", "python3", "py3", "python2", "python3.10", "python3.11", "python3.12",
        "python3.13", "ipython", "ipython3", "pycon", "cpython", "python-repl", "pyrepl",
        "code-cell", "tool_code", "jupyter", "pyodide", "python_code", "pytest",
    }
)  # fmt: skip
_MARK: Final = re.compile(
    r"(?P<lead>[ \t>]*(?:(?:[-*+]|\d{1,3}[.)])[ \t]+)?)(?P<fence>`{3,}|~{3,})(?P<info>[^`]*)$"
)
_LATE_MARK: Final = re.compile(r"(?<!`)(?P<fence>`{3,})(?P<info>[A-Za-z][\w+#.-]{0,15})?[ \t]*$")
_ONE_LINE: Final = re.compile(r"[ \t>]*(`{3,})(?P<body>[^`\n]+)\1[ \t]*$")
_INFO_WORD: Final = re.compile(r"[{.]*([A-Za-z][\w+#.-]*)[}]?")
_STOPS_TRIED: Final = 6


@dataclass(frozen=True, kw_only=True)
class CodeBlock:
    """One fenced block."""

    language: str
    """The tag in lower case, '' where there is none."""
    code: str
    """What stands between the fences, without their indentation."""
    closed: bool = True
    """False when the reply ended before the block did."""
    end: int = 0
    """Index of the line after the block."""
    start: int = 0
    """Index of the line of its opening fence."""

    @property
    def is_python(self) -> bool:
        """Whether its tag says Python."""
        return self.language in PYTHON_TAGS


@dataclass(frozen=True, kw_only=True)
class _Mark:
    lead: str
    fence: str
    language: str
    first: str
    """Code that stands on the opening line itself."""
    tagged: bool

    def ends(self, opening: _Mark) -> bool:
        """Whether it has the kind and length that close `opening`."""
        return self.fence[0] == opening.fence[0] and len(self.fence) >= len(opening.fence)


def find_blocks(lines: Sequence[str], parser: Parser) -> Iterator[CodeBlock]:
    """The blocks of a text given as lines, in order."""
    place = 0
    while place < len(lines):
        line = lines[place]
        if "```" not in line and "~~~" not in line:
            place += 1
            continue
        if whole := _ONE_LINE.match(line):
            yield _one_line_block(whole["body"], place)
            place += 1
            continue
        opening = _mark(line) or _late_mark(line)
        if opening is None:
            place += 1
            continue
        block = _block(lines, place, opening, parser)
        yield block
        place = block.end


def _mark(line: str) -> _Mark | None:
    found = _MARK.match(line)
    if found is None:
        return None
    language, first = _language_and_code(found["info"])
    if language is None:
        return None
    tagged = bool(found["info"].strip())
    return _Mark(
        lead=found["lead"], fence=found["fence"], language=language, first=first, tagged=tagged
    )


def _language_and_code(info: str) -> tuple[str | None, str]:
    """The tag and what code follows it on the line; (None, '') when it is a sentence."""
    info = info.strip()
    word = _INFO_WORD.match(info)
    if not info:
        return "", ""
    if word is None:
        return None, ""
    language, rest = word[1].lower().rstrip("."), info[word.end() :].strip()
    if language in PYTHON_TAGS:
        return language, rest if _looks_like_code(rest) else ""
    if (
        not rest
        or re.match(r"[{\[]|[\w-]+=|\d", rest)
        or (len(rest) < 40 and rest[-1] not in ".:,")
    ):
        return ("", info) if _looks_like_code(info) else (language, "")
    return ("", info) if _looks_like_code(info) else (None, "")


def _looks_like_code(text: str) -> bool:
    return bool(
        re.match(r"(?:import|from|def|class|for|while|if|with|print)\b.*[\w):]$", text)
        or re.match(r"[\w.]+ = |[\w.]+\(.*\)$", text)
    )


def _late_mark(line: str) -> _Mark | None:
    """A fence at the end of a line of prose: ``Here it is: ```python``."""
    found = _LATE_MARK.search(line) if line.count("```") == 1 else None
    if found is None or not line[: found.start()].strip():
        return None
    return _Mark(
        lead="",
        fence=found["fence"],
        language=(found["info"] or "").lower(),
        first="",
        tagged=bool(found["info"]),
    )


def _one_line_block(body: str, place: int) -> CodeBlock:
    word, _, rest = body.strip().partition(" ")
    language = word.lower() if word.lower() in PYTHON_TAGS and rest else ""
    code = rest.strip() if language else body.strip()
    return CodeBlock(language=language, code=code, start=place, end=place + 1)


@dataclass(frozen=True, kw_only=True)
class _Stop:
    """A line where a block may end."""

    place: int
    last: str = ""
    """Code before a closing fence that stands at the end of a line of code."""
    implied: bool = False
    """Another block begins there and this one was not closed."""


def _block(lines: Sequence[str], start: int, opening: _Mark, parser: Parser) -> CodeBlock:
    pythonic = opening.language in PYTHON_TAGS or not opening.language
    stops = _stops(lines, start, opening) if pythonic else _nested_stops(lines, start, opening)
    chosen: _Stop | None = None
    first_bare: _Stop | None = None
    for tried, stop in enumerate(stops):
        if tried >= _STOPS_TRIED:
            break
        if not stop.implied and first_bare is None:
            first_bare = stop
        if not pythonic or parser.tree(_content(lines, start, opening, stop)) is not None:
            chosen = stop
            break
    chosen = chosen or first_bare
    end = chosen or _Stop(place=len(lines))
    return CodeBlock(
        language=opening.language,
        code=_content(lines, start, opening, end),
        closed=chosen is not None,
        start=start,
        end=end.place + (0 if end.implied else 1),
    )


def _stops(lines: Sequence[str], start: int, opening: _Mark) -> Iterator[_Stop]:
    for place in range(start + 1, len(lines)):
        line = lines[place]
        if opening.fence[:3] not in line:
            continue
        mark = _mark(line)
        if mark is not None and mark.ends(opening):
            yield _Stop(place=place, implied=mark.tagged)
        elif line.rstrip().endswith(opening.fence) and line.count(opening.fence) == 1:
            yield _Stop(place=place, last=line.rstrip()[: -len(opening.fence)])


def _nested_stops(lines: Sequence[str], start: int, opening: _Mark) -> Iterator[_Stop]:
    """Where a block of another language ends: its own fence, inner pairs skipped."""
    depth = 0
    for place in range(start + 1, len(lines)):
        mark = _mark(lines[place]) if opening.fence[:3] in lines[place] else None
        if mark is None or not mark.ends(opening):
            continue
        if mark.tagged:
            if opening.language not in ("markdown", "md", "rst", "text", "html"):
                yield _Stop(place=place, implied=True)
            depth += 1
        elif depth:
            depth -= 1
        else:
            yield _Stop(place=place)


def _content(lines: Sequence[str], start: int, opening: _Mark, stop: _Stop) -> str:
    inner = list(lines[start + 1 : stop.place])
    if stop.last:
        inner.append(stop.last)
    if ">" in opening.lead:
        inner = [re.sub(r"^[ \t]*>[ \t]?", "", line) for line in inner]
    width = len(opening.lead) - len(opening.lead.lstrip())
    if width and ">" not in opening.lead:
        inner = [line[min(width, len(line) - len(line.lstrip())) :] for line in inner]
    if opening.first:
        inner.insert(0, opening.first)
    return "\n".join(inner)
