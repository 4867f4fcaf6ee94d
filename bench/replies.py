"""How well programs are dug out of whole replies of 114 models, many of them small local ones.

Method: a reply *holds a program* when one of its closed fences is called Python, or nothing, and
parses as it stands, with more in it than words and values. Independently of `extract_code`, such
fences are found by a plain regular expression. Counted is how many of these replies give a
program that parses. The other replies are told apart by what was given: nothing, a program
(dug out by mending, or out of bare text), or a text with a syntax error, which is kept on
purpose so that the static check can name the line.
"""

from __future__ import annotations

import ast
import json
import re
import time
from collections import Counter
from pathlib import Path

from backend.foreign_code import quiet_compiler
from backend.llm.replies import extract_code

_FENCE = re.compile(r"^```(?:python3?|py)?[ \t]*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def measure(path: Path) -> Counter[str]:
    """Counts by ``"held: given"``, e.g. ``"program: program"``, and ``"replies"``."""
    counts: Counter[str] = Counter()
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            reply = json.loads(line)["reply"]
            code = extract_code(reply)
            given = "nothing" if code is None else "program" if _parses(code) else "broken"
            held = "program" if _holds_program(reply) else "none"
            counts[f"{held}: {given}"] += 1
            counts["replies"] += 1
    return counts


def _holds_program(reply: str) -> bool:
    return any(_does_something(code) for code in _FENCE.findall(reply))


def _does_something(code: str) -> bool:
    tree = _tree(code)
    return tree is not None and any(
        not isinstance(node, ast.Expr) or isinstance(node.value, ast.Call) for node in tree.body
    )


def _parses(code: str) -> bool:
    return _tree(code) is not None


def _tree(code: str) -> ast.Module | None:
    with quiet_compiler():
        try:
            return ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def main(corpora: Path) -> None:
    """Print the counts."""
    start = time.perf_counter()
    counts = measure(corpora / "model_replies.jsonl")
    seconds = time.perf_counter() - start
    held = counts["program: program"] + counts["program: broken"] + counts["program: nothing"]
    share = counts["program: program"] / max(1, held)
    print("code extraction: whole replies of 114 models")
    print(f"  {counts['replies']} replies, {held} hold a fenced program that parses")
    print(f"  {counts['program: program']} of those ({share:.2%}) give a program that parses")
    print(
        f"  of the others: {counts['none: program']} give a program (mended or without fences), "
        f"{counts['none: broken']} one with its syntax error, {counts['none: nothing']} nothing"
    )
    print(f"  {1000 * seconds / max(1, counts['replies']):.1f} ms a reply")
