"""A result as Markdown, JSON or plain text, with the sections that are wanted."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import quote

from backend.errors import RequestError
from backend.prompts.fences import fenced
from backend.tools.coder.blocks import Block, FileLink, Line, Prose, Table, Title
from backend.tools.coder.plain_text import aligned, visible, words_of
from backend.tools.coder.report import Section, report

if TYPE_CHECKING:
    from markdown_it.token import Token

Form = Literal["markdown", "json", "plain"]

DEFAULT_SECTIONS: tuple[Section, ...] = ("answer", "code", "files")

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!&$])")
_LIST_MARK = re.compile(r"^(\d*)(?=[-+=]|(?<=\d)[.)])")
_URL = re.compile(r"https?://")
_PROBE = "end of the answer"
_KEYS: dict[Section, frozenset[str]] = {
    "answer": frozenset({"answer", "text", "output", "value", "outputs", "notes"}),
    "code": frozenset({"code", "plan", "tests", "packages"}),
    "files": frozenset({"artifacts", "facts"}),
    "steps": frozenset({"steps", "scores", "matched_terms"}),
    "history": frozenset({"modifications", "attempts", "improvement", "installed"}),
    "verification": frozenset({"verification_history", "assessment", "test_report"}),
    "timings": frozenset({"timings", "execution_time"}),
    "usage": frozenset({"usage", "calls"}),
    "isolation": frozenset({"isolation"}),
}
"""What belongs to a section is left out with it; what belongs to none is always told."""
_USES_FOR: frozenset[Section] = frozenset({"code", "history", "verification"})


def choose_sections(
    *, with_: Sequence[str] = (), without: Sequence[str] = ()
) -> tuple[Section, ...]:
    """The default sections and those named, but not those that are not wanted.

    Raises:
        RequestError: there is no such section.
    """
    known: tuple[Section, ...] = get_args(Section)
    if unknown := [name for name in (*with_, *without) if name not in (*known, "all")]:
        raise RequestError(
            f"There is no section {unknown[0]!r}.", f"Use some of: {', '.join(known)}, or all."
        )
    wanted = {*known} if "all" in with_ else {*DEFAULT_SECTIONS, *with_}
    return tuple(section for section in known if section in wanted and section not in without)


def format_result(
    result: Mapping[str, Any], form: Form, sections: Collection[Section] = DEFAULT_SECTIONS
) -> str:
    """A result as text, ending with a newline.

    Args:
        result: the dict of ``execute_code_task``, or the document of an agent's answer. Files
            are linked by their ``url`` or ``path``.
        form: ``markdown`` (CommonMark with tables; what programs print stays inside its fence),
            ``json`` (one document, ASCII) or ``plain`` (no markup, nothing that steers a terminal).
        sections: what is told.
    """
    if form == "json":
        return json.dumps(_document(result, sections), indent=2, allow_nan=False) + "\n"
    write = _markdown if form == "markdown" else _plain
    texts = [text for block in report(result, sections) if (text := write(block))]
    return "\n\n".join(texts) + "\n"


def _document(result: Mapping[str, Any], sections: Collection[Section]) -> dict[str, Any]:
    left_out = {key for section, keys in _KEYS.items() if section not in sections for key in keys}
    document = {key: _finite(value) for key, value in result.items() if key not in left_out}
    if "python_coder_results" in document:
        uses = document.pop("python_coder_results")
        if not _USES_FOR.isdisjoint(sections):
            document["python_coder_results"] = [_document(use, sections) for use in uses]
    return document


def _finite(value: Any) -> Any:
    """A value as JSON has it: a model's JSON may hold NaN."""
    if isinstance(value, Mapping):
        return {str(key): _finite(inside) for key, inside in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inside) for inside in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _markdown(block: Block) -> str:
    if isinstance(block, Title):
        return f"## {_escaped(block.text)}"
    if isinstance(block, Prose):
        return closed(visible(block.text).strip())
    if isinstance(block, Line):
        return f"- {_escaped(block.text)}"
    if isinstance(block, Table):
        head, *rows = [[_escaped(cell) for cell in row] for row in block.rows]
        lines = [head, ["---"] * len(head), *rows]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    if isinstance(block, FileLink):
        mark = "!" if block.is_picture else ""
        return f"{mark}[{_escaped(block.name)}]({_destination(block.target)})"
    return fenced(visible(block.text), block.language)


def _plain(block: Block) -> str:
    if isinstance(block, Title):
        return f"{visible(block.text)}:"
    if isinstance(block, Prose):
        return words_of(block.text).strip()
    if isinstance(block, Line):
        return _one_line(block.text)
    if isinstance(block, Table):
        return aligned([[_one_line(cell) for cell in row] for row in block.rows])
    if isinstance(block, FileLink):
        name, target = _one_line(block.name), _one_line(block.target)
        return name if name == target else f"{name}: {target}"
    return visible(block.text).rstrip("\n")


def _one_line(text: str) -> str:
    return " ".join(visible(text).split())


def _escaped(text: str) -> str:
    return _LIST_MARK.sub(r"\1\\", _SPECIAL.sub(r"\\\1", _one_line(text)))


def _destination(target: str) -> str:
    safe = "/:?#@!$&'*+,;=%~" if _URL.match(target) else "/"
    return quote(target.encode("utf-8", "backslashreplace"), safe=safe)


def closed(markdown: str) -> str:
    """A Markdown text such that what follows it is not swallowed by a fence or comment left open."""
    open_block = _swallowing(markdown)
    if open_block is None:
        return markdown
    if open_block.type == "fence":
        return f"{markdown}\n{open_block.markup}"
    return closed(markdown.replace("<", "&lt;"))  # then there is no HTML in it at all


def _swallowing(markdown: str) -> Token | None:
    """The block that a paragraph after the text would be a part of."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").parse(f"{markdown}\n\n{_PROBE}")
    if tokens[-1].type == "paragraph_close" and tokens[-2].content == _PROBE:
        return None
    return next(token for token in reversed(tokens) if token.type in ("fence", "html_block"))
