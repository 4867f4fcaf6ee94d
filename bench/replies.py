"""How well programs are dug out of replies: real ones of 114 models, and real programs in many wrappings.

What a reply holds is found here, by plain means and without `extract_code`.
"""

from __future__ import annotations

import ast
import json
import random
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from backend.foreign_code import parse, quiet_compiler
from backend.llm.replies import extract_code
from bench.wrappings import WRAPPINGS

Kind = Literal["whole", "part", "other language", "explains", "unclear"]

METHOD: Final = """\
A reply holds a program when a fence called Python, or nothing, parses and does more than name words and values; or when
a fence of another name, or a run of three lines or more (blank ones not counted) anywhere, parses and has a def, class,
import, for, while, if, with or try. It holds only part of one when all such runs lie in fences that do not parse: the
program around them has an error, or the reply ended in it. Those are counted, though giving a part of a program would
be wrong. A program was asked for when the request says so (implement, create a script, write a program, fix bugs, ...).
Right is: the text parses and does something. First fence: the first one as it stands. Joined: all fences, one after
the other. Another language: fences, none of them, nor any within them, called Python or nothing, and no program as
above. Explains: no fence, no program as above, and no line that begins as a line of Python does. Nothing is right for
both; what is unclear is neither (a signature, a lone expression, a program with an error)."""

_FENCE: Final = re.compile(
    r"^[ \t]*(?P<fence>`{3,}|~{3,})[ \t]*(?P<tag>[^`\n]*)\n(?P<code>.*?)(?:^[ \t]*(?P=fence)[ \t]*$|\Z)",
    re.DOTALL | re.MULTILINE,
)
_PYTHON: Final = re.compile(r"(?:|python[\d.]*|py\d?)", re.IGNORECASE)
_NESTED: Final = re.compile(r"^[ \t]*[`~]{3,}[ \t]*py", re.MULTILINE | re.IGNORECASE)
_PROGRAM_ASKED: Final = re.compile(
    r"\b(?:implement an?|create an? \w+ script|write (?:me|a) (?:script|program)|fix bugs|function to"
    r"|project in|code snippet)\b",
    re.IGNORECASE,
)
_BEGINS_AS_CODE: Final = re.compile(
    r"^[ \t]*(?:>>> |@\w|(?:def|class) \w.*:|import \w|from [\w.]+ import|(?:for|while|if|with) .*:[ \t]*$"
    r"|[\w.\[\]]+ *=[^=]|[\w.]+\(.*\)[ \t]*$)",
    re.MULTILINE,
)
_MAY_BE_CODE: Final = re.compile(
    r"^[ \t]*(?:async |def |class |import |from |for |while |if |with |try)", re.MULTILINE
)
_PROGRAM_ONLY: Final = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.For, ast.While,
    ast.If, ast.With, ast.Try,
)  # fmt: skip
_LONGEST_RUN: Final = 200
_WRAPPED: Final = 1500


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One reply and what was made of it."""

    asked: bool
    """Whether its request asks for a program."""
    kind: Kind
    given: Literal["program", "broken", "nothing"]
    first: bool
    """Whether its first fence alone is a program."""
    joined: bool
    """Whether all its fences together are one."""

    @property
    def holds(self) -> bool:
        """Whether it holds a program, be it a part of one."""
        return self.kind in ("whole", "part")


def measure(path: Path) -> list[Reply]:
    """What is in each reply of a file, and what `extract_code` gives."""
    with path.open(encoding="utf-8") as lines:
        return [_reply(**json.loads(line)) for line in lines]


def _reply(*, instruction: str, reply: str, **_: str) -> Reply:
    code = extract_code(reply)
    fences = list(_FENCE.finditer(reply))
    return Reply(
        asked=_PROGRAM_ASKED.search(instruction) is not None,
        kind=_kind(reply, fences),
        given="nothing" if code is None else "program" if _is_program(code) else "broken",
        first=bool(fences) and _is_program(fences[0]["code"]),
        joined=bool(fences) and _is_program("\n".join(one["code"] for one in fences)),
    )


def _kind(reply: str, fences: Sequence[re.Match[str]]) -> Kind:
    ours = [one for one in fences if _PYTHON.fullmatch(one["tag"].strip())]
    if any(_is_program(one["code"]) for one in ours):
        return "whole"
    if any(_is_only_a_program(one["code"]) for one in fences):
        return "whole"
    outside = _FENCE.sub("\n", reply)
    if any(_runs(outside)):
        return "whole"
    if any(_runs(reply)):
        return "part"
    if fences:
        return "unclear" if ours or _NESTED.search(reply) else "other language"
    return "unclear" if _BEGINS_AS_CODE.search(reply) else "explains"


def _runs(text: str) -> Iterator[str]:
    """Runs of three lines or more that are a program, longest first from each line on."""
    lines = text.split("\n") if _MAY_BE_CODE.search(text) else []
    start = 0
    while start < len(lines):
        run = _longest_run(lines[start : start + _LONGEST_RUN])
        if sum(bool(line.strip()) for line in run) >= 3 and _is_only_a_program("\n".join(run)):
            yield "\n".join(run)
            start += len(run)
        else:
            start += 1


def _longest_run(lines: Sequence[str]) -> Sequence[str]:
    """The most lines from the first one on that parse; where an error is, no more lines help."""
    while lines and lines[0].strip():
        with quiet_compiler():
            try:
                ast.parse(textwrap.dedent("\n".join(lines)))
                return lines
            except SyntaxError as error:
                lines = lines[: min(len(lines), error.lineno or 1) - 1]
            except (ValueError, RecursionError, MemoryError):
                return []
    return []


def _is_program(code: str) -> bool:
    tree = _tree(code)
    return tree is not None and any(
        not isinstance(node, ast.Expr) or isinstance(node.value, ast.Call) for node in tree.body
    )


def _is_only_a_program(code: str) -> bool:
    tree = _tree(code)
    return tree is not None and any(isinstance(node, _PROGRAM_ONLY) for node in tree.body)


def _tree(code: str) -> ast.Module | None:
    return parse(textwrap.dedent(code))


def measure_wrapped(path: Path, count: int = _WRAPPED) -> dict[str, tuple[int, int]]:
    """How many of some real programs come back with the same syntax tree, by wrapping.

    Returns:
        Wrapping -> (came back, programs).
    """
    with path.open(encoding="utf-8") as lines:
        programs = [json.loads(line)["code"] for line in lines]
    usable = [code for code in programs if _is_program(code) and not code[0].isspace()]
    chosen = random.Random(path.name).sample(usable, min(count, len(usable)))
    return {name: (_came_back(chosen, wrap), len(chosen)) for name, wrap in WRAPPINGS.items()}


def _came_back(programs: Iterable[str], wrap: Callable[[str], str]) -> int:
    return sum(_same(extract_code(wrap(code)), code) for code in programs)


def _same(found: str | None, code: str) -> bool:
    one, other = _tree(found or ""), _tree(code)
    return one is not None and other is not None and ast.dump(one) == ast.dump(other)


def _row(name: str, replies: Sequence[Reply]) -> str:
    def share(of: Callable[[Reply], bool]) -> str:
        return f"{sum(map(of, replies)) / max(1, len(replies)):.2%}"

    ours = share(lambda one: one.given == "program")
    return f"{name:<44} {len(replies):>6} {ours:>13} {share(lambda one: one.first):>12} {share(lambda one: one.joined):>8}"


def main(corpora: Path) -> None:
    """Print the table, what was missed, what was given wrongly, and the wrapped programs."""
    replies = measure(corpora / "model_replies.jsonl")
    held = [one for one in replies if one.holds]
    asked = [one for one in held if one.asked]
    print(METHOD)
    print(f"\n{'replies that hold a program':<44} {'':>6} extract_code  first fence   joined")
    print(_row("where one was asked for", asked))
    print(_row("  as a whole", [one for one in asked if one.kind == "whole"]))
    print(_row("all", held))
    print(_row("  as a whole", [one for one in held if one.kind == "whole"]))
    print(_row("  only a part of one", [one for one in held if one.kind == "part"]))
    print("\nmissed, by what it holds and what was given:")
    for (kind, given), count in _missed(held):
        print(f"  {kind}: {given:<8} {count}")
    for kind in ("other language", "explains", "unclear"):
        of_kind = Counter(one.given for one in replies if one.kind == kind)
        print(f"{kind}: {of_kind.total()} replies, nothing given for {of_kind['nothing']}", end="")
        print(f", a program for {of_kind['program']}, a broken one for {of_kind['broken']}")
    print(f"\n{_WRAPPED} programs that models wrote, wrapped; back with the same syntax tree:")
    for name, (back, count) in measure_wrapped(corpora / "pot_llm_programs.jsonl").items():
        print(f"  {name:<44} {back:>5} of {count} ({back / count:.2%})")


def _missed(held: Iterable[Reply]) -> list[tuple[tuple[str, str], int]]:
    missed = Counter((one.kind, one.given) for one in held if one.given != "program")
    return sorted(missed.items())
