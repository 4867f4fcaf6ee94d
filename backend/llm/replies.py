"""Code and JSON out of what models really answer. Pure functions; a reply is never trusted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from backend.llm.code.blocks import PYTHON_TAGS, CodeBlock, find_blocks
from backend.llm.code.choice import Candidate, choose
from backend.llm.code.in_text import candidates_in, whole_text, without_prose
from backend.llm.code.mending import mend
from backend.llm.code.parsing import Parser
from backend.llm.code.recognition import (
    argument_that_is_code,
    does_something,
    is_foreign,
    is_fragment,
    is_unmistakable,
    looks_like_python,
)
from backend.llm.code.shell import extract_other
from backend.llm.loose_json import NotAnObject, parse_object
from backend.llm.thinking import strip_thinking

__all__ = ["CodeBlock", "code_blocks", "extract_code", "extract_json", "strip_thinking"]

_CODE_KEYS: Final = (
    "code", "python_code", "python", "program", "script", "source", "source_code", "fixed_code",
    "final_code", "solution", "snippet", "python_script", "script_code", "code_block", "code_string",
)  # fmt: skip
_HOLDER_KEYS: Final = (
    "arguments", "parameters", "args", "kwargs", "input", "action_input", "function", "tool_input",
    "tool_calls", "tool_call", "result", "answer", "response", "content", "output", "params",
    "payload", "data",
)  # fmt: skip
_TAGGED: Final = re.compile(
    r"<\|python_tag\|>(?P<a>.*?)(?=<\||\Z)"
    r"|<(?P<tag>code|python|py|tool_code|execute|execute_python|python_code|code_interpreter|program)>"
    r"(?P<b>.*?)(?:</(?P=tag)>?|\Z)"
    r"|<parameter(?:=|\s+name=[\"'])(?:code|python_code|script|source)[\"']?>(?P<c>.*?)(?:</parameter>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_ACTION_INPUT: Final = re.compile(
    r"^[ \t>*#]*(?:Action[ _]Input|Tool[ _]Input)\**[ \t]*:\**[ \t]*"
    r"(?P<input>.*?)(?=^[ \t>*#]*(?:Observation|Thought|Action|Final Answer)\**[ \t]*:|\Z)",
    re.DOTALL | re.IGNORECASE | re.MULTILINE,
)
_WRITTEN: Final = re.compile(
    r"^[ \t]*(?:(?:def|class|import|from|for|while|if|with|try|return|async|lambda|raise|print)\b"
    r"|@\w|[A-Za-z_][\w.]*(?:\[[^\]\n]*\])?[ \t]*[-+*/%|&^]?=|[A-Za-z_][\w.]*\()",
    re.MULTILINE,
)
_BLOCKS_READ: Final = 500
_OBJECTS_TRIED: Final = 200
_OBJECT_CHARS: Final = 4_000_000
_NOT_PROGRAMS: Final = frozenset({"diff", "patch", "output", "console", "stdout"})


def extract_code(reply: str, language: str = "python") -> str | None:
    """The program that a reply holds, or None when it holds none; never ''.

    Looked for, in this order: a JSON object that is the whole reply, fenced blocks, tool-call
    markup, a JSON object with a code field anywhere, the bare text. The last block that is a
    whole program wins; blocks that it takes names from come with it. A closed block that says
    it is Python is given even when it does not parse, so that the static check can tell the
    model where; every other text must parse. Only what does not parse is mended.

    Args:
        reply: as the model wrote it, thoughts included.
        language: "python", "bash", or another fence tag, which is then taken as it is.
    """
    text = strip_thinking(reply.replace("\0", ""))  # no program of any language holds one
    if not text:
        return None
    if language != "python":
        said = next(_objects(text), None) if text.startswith(("{", "[", "<")) else None
        return extract_other(text, language.lower(), said)
    return _Python().program(text)


class _Python:
    """The search through one reply, with one parsing budget."""

    def __init__(self) -> None:
        self._parser = Parser()

    def program(self, text: str, depth: int = 0) -> str | None:
        if depth > 3:
            return None
        if text[0] in "{[" and (code := self._in_json(text, depth)):
            return code
        lines = text.split("\n")
        blocks = list(islice(find_blocks(lines, self._parser), _BLOCKS_READ))
        return (
            self._in_blocks(blocks, depth)
            or self._in_tags(text, depth)
            or self._in_action(text)
            or self._in_json(text, depth)
            or self._in_bare_text(text, lines, blocks)
            or self._broken(blocks)
        )

    # --- fenced blocks -----------------------------------------------------------------------

    def _in_blocks(self, blocks: list[CodeBlock], depth: int) -> str | None:
        told = [one for block in blocks if (one := self._candidate(block))]
        if told:
            return choose(told)
        nested = [
            block.code
            for block in blocks
            if block.language in ("markdown", "md", "") and "```" in block.code
        ]
        for inner in reversed(nested):
            if inner.strip() and (code := self.program(inner.strip(), depth + 1)):
                return code
        return choose([one for block in blocks if (one := self._mislabelled(block))])

    def _candidate(self, block: CodeBlock) -> Candidate | None:
        """The block's program, if it says Python or says nothing."""
        if block.language and not block.is_python:
            return None
        code = mend(block.code, self._parser)
        if code is None and not is_fragment(block.code, None):
            code = without_prose(block.code, self._parser)
        return self._judged(code, tagged=block.is_python)

    def _mislabelled(self, block: CodeBlock) -> Candidate | None:
        """A block under another language's name that can only be Python."""
        prompted = ">>>" in block.code
        if block.language in _NOT_PROGRAMS and not prompted:
            return None
        one = self._judged(mend(block.code, self._parser), tagged=False)
        return one if one is not None and (prompted or is_unmistakable(one.tree)) else None

    def _judged(self, code: str | None, *, tagged: bool) -> Candidate | None:
        tree = self._parser.tree(code) if code else None
        if code is None or tree is None or not does_something(tree, tagged=tagged):
            return None
        if is_fragment(code, tree):
            return None
        if (inner := argument_that_is_code(tree)) and (inner_tree := self._parser.tree(inner)):
            return Candidate(inner, inner_tree)
        return Candidate(code, tree)

    def _broken(self, blocks: list[CodeBlock]) -> str | None:
        """The last closed Python block as it is, so that somebody is told its syntax error."""
        for block in reversed(blocks):
            code = block.code.strip("\n").rstrip()
            told = block.is_python or not block.language
            if told and block.closed and self._is_broken_program(code, tagged=block.is_python):
                return code
        return None

    def _is_broken_program(self, code: str, *, tagged: bool) -> bool:
        if self._parser.tree(code) is not None or is_fragment(code, None):
            return False
        if not tagged:
            return looks_like_python(code)
        return bool(_WRITTEN.search(code)) and not is_foreign(code)

    # --- markup, JSON, bare text -------------------------------------------------------------

    def _in_tags(self, text: str, depth: int) -> str | None:
        found = []
        for match in islice(_TAGGED.finditer(text), _BLOCKS_READ):
            inner = (match["a"] or match["b"] or match["c"] or "").strip("\n")
            if "```" in inner and (code := self.program(inner.strip(), depth + 1)):
                return code
            if one := self._judged(mend(inner, self._parser), tagged=True):
                found.append(one)
        return choose(found)

    def _in_action(self, text: str) -> str | None:
        """The input of the first action: what stands after it was made up."""
        found = _ACTION_INPUT.search(text)
        code = mend(found["input"], self._parser) if found else None
        one = self._judged(code, tagged=False)
        return one.code if one is not None else None

    def _in_json(self, text: str, depth: int) -> str | None:
        for value in _objects(text):
            for code in _code_fields(value):
                if found := self._field(code, depth):
                    return found
            for code in _texts(value):
                one = self._judged(mend(code, self._parser), tagged=False)
                if one is not None and is_unmistakable(one.tree):
                    return one.code
        return None

    def _field(self, code: str, depth: int) -> str | None:
        if not code.strip():
            return None
        if "```" in code and (inner := self.program(code.strip(), depth + 1)):
            return inner
        one = self._judged(mend(code, self._parser), tagged=True)
        return one.code if one else None

    def _in_bare_text(self, text: str, lines: list[str], blocks: list[CodeBlock]) -> str | None:
        if not blocks and (one := whole_text(text, self._parser)):
            return one.code
        if blocks and any(block.is_python for block in blocks):
            return None
        inside = {place for block in blocks for place in range(block.start, block.end)}
        outside = ["" if place in inside else line for place, line in enumerate(lines)]
        return choose(candidates_in(outside, self._parser))


def _code_fields(value: Any, depth: int = 0) -> Iterator[str]:
    """The texts in `value` that are said to be code, nearest first."""
    if depth > 6:
        return
    if isinstance(value, str):
        for inner in _objects(value) if value.lstrip()[:1] in ("{", "[") else ():
            yield from _code_fields(inner, depth + 1)
    elif isinstance(value, list):
        for item in value[:50]:
            yield from _code_fields(item, depth + 1)
    elif isinstance(value, Mapping):
        if str(value.get("language") or "python").lower() not in PYTHON_TAGS:
            return
        for key in _CODE_KEYS:
            yield from _said_to_be_code(value.get(key), depth)
        for key in _HOLDER_KEYS:
            yield from _code_fields(value.get(key), depth + 1)


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    """All texts in `value` that have a line or a call: a program can stand under any name."""
    if isinstance(value, str):
        if "\n" in value or "(" in value:
            yield value
    elif isinstance(value, list | Mapping) and depth <= 6:
        for item in islice(value.values() if isinstance(value, Mapping) else value, 50):
            yield from _texts(item, depth + 1)


def _said_to_be_code(field: Any, depth: int) -> Iterator[str]:
    if isinstance(field, str):
        yield field
    elif isinstance(field, list) and field and all(isinstance(line, str) for line in field):
        yield "\n".join(field)
    else:
        yield from _code_fields(field, depth + 1)


def code_blocks(reply: str) -> tuple[CodeBlock, ...]:
    """Every fenced block of a reply in order, each with its language as the fence names it.

    A fence inside a block (Markdown within Markdown, a program that writes Markdown) belongs to
    the block. A block that is not closed reaches to the end and says so. Blocks in thoughts are
    passed over; nothing is mended or judged.
    """
    return tuple(find_blocks(strip_thinking(reply).split("\n"), Parser()))


def extract_json(reply: str) -> dict[str, Any] | None:
    """The first JSON object of a reply, or None when there is none or it was cut off.

    Thoughts, fences and prose around it are passed over. Trailing commas, single quotes,
    Python literals, bare keys, comments and raw line breaks inside texts are understood; so are
    forgotten closing brackets, unless more than those may be missing (`parse_object`).

    Of several objects the first one that is not empty wins: a model that writes on after its
    object makes up what comes next. An object inside another one is never taken for it.
    """
    return next(_objects(strip_thinking(reply)), None)


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The outermost objects of a text, in order; none after one that was cut off."""
    place, spent = text.find("{"), 0
    for _ in range(_OBJECTS_TRIED):
        if place < 0 or spent > _OBJECT_CHARS:
            return
        try:
            value, end = parse_object(text, place)
        except NotAnObject as error:
            if error.cut_off and re.match(r"\{\s*[\"'“]", text[place : place + 80]):
                return
            spent += max(0, error.place - place)
            end = place + 1
        else:
            spent += end - place
            if value:
                yield value
        place = text.find("{", end)
