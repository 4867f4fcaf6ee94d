"""What to do about a failure: the first time, when it comes again, and when nothing helps."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from backend.foreign_code import parse
from backend.tools.coder.diagnosis import Diagnosis
from backend.types import DiagnosisKind, Language

Action = Literal["repair", "install", "fix_test", "end"]

_MOST_TIMES = 5
"""A failure that has come so often comes again, whatever is asked for."""
_TRIED_CHARS = 300


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """How to go on after a failed run."""

    action: Action
    """``install`` where it is allowed, else a repair with the same instruction."""
    instruction: str
    """For the model, beside what went wrong."""
    fresh: bool = False
    """Begin again from the request, without the program that failed."""


_FIRST: Mapping[DiagnosisKind, str] = {
    "syntax": "Write the whole program again as plain Python; change nothing else.",
    "import": "Correct the import or the member; keep the rest of the program.",
    "policy": "Do the same without what is refused.",
    "runtime": "Mend the cause at its line, not with a try/except around it.",
    "data": "Go by the data as it is: the exact names, types and formats above. Do not invent values.",
    "logic": "The program runs: change what it computes or prints, so that the request is answered.",
    "environment": "Do it with what is there.",
    "timeout": "Do the same with less work; keep what it prints.",
    "memory": "Do the same with less memory; keep what it prints.",
    "output": "Give exactly the results that were asked for, in the form that was asked for.",
    "test": "Change the program so that what the test expects holds. Do not touch the tests.",
}
_AGAIN: Mapping[DiagnosisKind, str] = {
    "syntax": "Write it again in short, simple statements: no nested quotes, no long expressions.",
    "import": "Do without that module or member: use another one, or write the few lines yourself.",
    "policy": "Solve it in another way that has no need of what is refused.",
    "runtime": "Print the type and the value of what is used in this line before it, then choose "
    "another way to compute it.",
    "data": "Look before you use: print(df.columns.tolist()), df.dtypes and df.head() first, and "
    "choose by what is really there, in the program (for instance by comparing names without case "
    "and blanks).",
    "logic": "Compute the result in a second way and compare the two before printing.",
    "environment": "Leave out whatever needs it, and use the standard library or pandas.",
    "timeout": "Another algorithm: whole columns or sorted data in place of loops in loops, or a "
    "sample of the data, and say so in the output.",
    "memory": "Work in chunks, or on a sample of the data, and say so in the output.",
    "output": "Collect the results first, and give only those, in the last lines of the program.",
    "test": "Read what the test calls and compares: write the function anew from that, with the same "
    "name and arguments.",
}
_ANEW = (
    "Begin anew from the request, with another approach and the simplest program that can do it; "
    "do not return to the former programs."
)


def strategy(diagnosis: Diagnosis, history: Sequence[Mapping[str, Any]]) -> Strategy:
    """What to do about a failure.

    Args:
        diagnosis: what went wrong now.
        history: the programs that were given up before this one, oldest first, each with its
            ``code``, its ``diagnosis`` in words and the ``signature`` of it.
    """
    before = [each for each in history if each.get("signature") == diagnosis.signature]
    times = len(before) + 1
    if times > _MOST_TIMES:
        return Strategy(action="end", instruction=f"The same failure came {times} times.")
    if times == 1:
        return _first(diagnosis)
    action: Action = "fix_test" if _is_the_tests_own(diagnosis) else "repair"
    if times == 2:
        told = (
            "The same failure came twice: the last change did not touch its cause. "
            f"Take another approach. {_AGAIN[diagnosis.kind]}"
        )
        return Strategy(action=action, instruction=told)
    tried = "; ".join(_tried(each) for each in before[-2:])
    told = f"The same failure came {times} times. {_ANEW} {_AGAIN[diagnosis.kind]}"
    return Strategy(
        action=action,
        instruction=f"{told} Tried in vain: {tried}." if tried else told,
        fresh=action == "repair",
    )


def _first(diagnosis: Diagnosis) -> Strategy:
    if diagnosis.packages:
        names = ", ".join(diagnosis.packages)
        told = f"Without {names}: {' '.join(diagnosis.advice) or 'use what is installed.'}"
        return Strategy(action="install", instruction=told)
    if _is_the_tests_own(diagnosis):
        told = "The test itself cannot run: mend it, and keep what it expects."
        return Strategy(action="fix_test", instruction=told)
    return Strategy(action="repair", instruction=_FIRST[diagnosis.kind])


def _is_the_tests_own(diagnosis: Diagnosis) -> bool:
    return diagnosis.kind == "test" and diagnosis.root_cause.startswith("The test itself")


def _tried(former: Mapping[str, Any]) -> str:
    """The line of a former program that its failure was about, or how that began."""
    words = str(former.get("diagnosis", ""))
    marked = [line for line in words.splitlines() if line.startswith("> ")]
    shown = marked[-1].partition("|")[2].strip() if marked else words.partition("\n")[0]
    return f"`{shown[:_TRIED_CHARS]}`"


# --- programs that say the same


def unchanged(old: str, new: str, *, language: Language = "python") -> bool:
    """Whether a rewrite changed nothing but layout, comments and docstrings."""
    return _essence(old, language) == _essence(new, language)


def seen_before(
    code: str, former: Sequence[Mapping[str, Any]], *, language: Language = "python"
) -> int | None:
    """Which of the programs that were given up says the same, from 0; the newest one of them."""
    essence = _essence(code, language)
    for number in range(len(former) - 1, -1, -1):
        if _essence(str(former[number].get("code", "")), language) == essence:
            return number
    return None


def _essence(code: str, language: Language) -> str:
    tree = parse(code) if language == "python" else None
    if tree is not None:
        with suppress(RecursionError):  # nested deeply enough for the parser, not for this
            return ast.dump(_without_docstrings(tree))
    lines = (line.strip() for line in code.splitlines())
    return "\n".join(" ".join(line.split()) for line in lines if line and line[0] != "#")


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        match node.body:
            case [ast.Expr(value=ast.Constant(value=str())), _, *_]:
                del node.body[0]
    return tree
