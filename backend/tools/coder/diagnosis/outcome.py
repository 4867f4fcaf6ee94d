"""Programs that were not run, that ran and did not do what was asked, or that left by themselves."""

from __future__ import annotations

import ast
import re

from backend.foreign_code import parse
from backend.sandbox.policy import blocking
from backend.tools.coder.diagnosis.case import Case, Diagnosis
from backend.tools.coder.diagnosis.signatures import signature_of
from backend.types import DiagnosisKind, ExecutionResult, Language

_SHOWN = 3
_CHARS = 300
_NO_REASON = "no reason was given"
_OF_THE_TEST = re.compile(r"\b(NameError|SyntaxError|ImportError|ModuleNotFoundError|fixture)\b")


def refused(case: Case) -> Diagnosis | None:
    """The static check let it not run."""
    against = blocking(case.result.issues)
    if case.result.returncode is not None or not against:
        return None
    kinds = sorted({issue.kind for issue in against})
    kind: DiagnosisKind = "syntax" if kinds == ["syntax"] else "policy"
    first = against[0]
    where = f" (line {first.line})" if first.line else ""
    return Diagnosis(
        kind=kind,
        root_cause=f"The static check refuses it{where}: {first.message}",
        advice=tuple(issue.message for issue in against[1 : 1 + _SHOWN]),
        signature=f"{kind}: {', '.join(kinds)}",
    )


def tests(case: Case) -> Diagnosis | None:
    """Its tests failed."""
    if not case.failed_tests and not (case.type == "AssertionError" and _in_a_test(case)):
        return None
    failed = list(case.failed_tests) or [case.message or "an assertion does not hold"]
    theirs = all(_OF_THE_TEST.search(each) for each in failed)
    whose = (
        "The test itself cannot run" if theirs else "The program does not do what a test expects"
    )
    advice = (
        ("Mend the test: define or import what it uses. Keep what it expects.",)
        if theirs
        else ("Mend the program, not the expectation.",)
    )
    return Diagnosis(
        kind="test",
        root_cause=f"{whose}: {failed[0][:_CHARS]}",
        advice=(*(each[:_CHARS] for each in failed[1:_SHOWN]), *advice),
        signature=signature_of("test", case, about="; ".join(sorted(map(_heading, failed)))),
        certain=True,
    )


def _in_a_test(case: Case) -> bool:
    frames = case.failure.frames if case.failure else ()
    return any(frame.function.startswith("test_") for frame in frames)


def _heading(failed: str) -> str:
    return failed.strip().partition("\n")[0][:60]


def ran(case: Case) -> Diagnosis | None:
    """It ran to its end, and that was not enough."""
    if not case.result.success:
        return None
    silent = not case.result.stdout.strip() and case.result.value is None
    nothing = f"It ran and printed nothing.{_never_called(case)}"
    if silent and not case.result.artifacts and case.shortfall in ("", _NO_REASON, nothing):
        return Diagnosis(
            kind="output",
            root_cause=nothing,
            advice=("Print every result that was asked for, with a label.",),
            signature="output: nothing",
        )
    known = bool(case.shortfall) and case.shortfall != _NO_REASON
    said = case.shortfall.strip() or _NO_REASON
    told = " It printed nothing." if not case.result.stdout.strip() else ""
    return Diagnosis(
        kind="logic",
        root_cause=f"It ran, but its output does not answer the request: {said}{told}",
        advice=("Read the request again, and check each number against the data.",),
        signature=signature_of("logic", case, about="wrong output"),
        certain=known,
    )


def did_nothing(result: ExecutionResult, code: str, language: Language) -> str:
    """Why nothing came of a run that succeeded: no output, no value, no file; else ''."""
    if result.stdout.strip() or result.value is not None or result.artifacts:
        return ""
    idle = _never_called(Case(result=result, code=code, language=language))
    return f"It ran and printed nothing.{idle}"


def _never_called(case: Case) -> str:
    tree = parse(case.code) if case.language == "python" else None
    if tree is None:
        return ""
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    idle = [name for name in defined if name not in used]
    return f" Its function {idle[-1]}() is never called." if idle else ""


def left(case: Case) -> Diagnosis | None:
    """It ended itself with a status of its own."""
    if case.failure is not None or case.result.returncode in (None, 0):
        return None
    said = case.last_line or case.result.stdout[-_CHARS:].strip().rpartition("\n")[2]
    return Diagnosis(
        kind="runtime",
        root_cause=f"It ended itself with exit status {case.result.returncode}: {said[:_CHARS] or 'without a word'}",
        advice=("Leave out sys.exit() and the except that hides the error: let it be raised.",),
        signature=signature_of("runtime", case),
        certain="exit" in case.code,
    )
