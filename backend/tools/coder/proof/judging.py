"""Whose the mistake is when tests fail: the program's or, of a test that the model wrote, the test's.

A caller's test is never at fault here: what it expects is the bar, and only the program is changed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from backend.foreign_code import parse
from backend.tools.coder.proof.expectations import Expected
from backend.tools.coder.proof.testing import CaseResult, TestReport
from backend.tools.coder.proof.texts_of_tests import SuiteText, without

Verdict = Literal["passed", "code_at_fault", "test_at_fault", "unclear"]

_OWN_ERRORS: Final = ("NameError", "ImportError", "ModuleNotFoundError")
_WRONG_CALL: Final = re.compile(
    r"positional argument|unexpected keyword|takes (?:no|from|\d+)|missing \d+ required"
)
_NAMED: Final = re.compile(
    r"name '(\w+)' is not defined|cannot import name '(\w+)'"
    r"|module 'solution' has no attribute '(\w+)'"
)
_MOST_CANDIDATES: Final = 2
"""Programs that a test has failed for, each different, before it is held to be wrong itself."""


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A test of the model's that is wrong itself."""

    module: int
    function: str
    """'' for the module as a whole."""
    why: str

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"module": self.module, "function": self.function, "why": self.why}


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What follows from a report."""

    verdict: Verdict
    mistakes: tuple[Mistake, ...] = ()
    """Tests to be fixed or dropped, with the reason that is kept."""
    problem: str = ""
    """What a repair of the program has to put right, in words for a model; '' for nothing."""


def judge(
    report: TestReport,
    tests: Sequence[SuiteText],
    *,
    declared: Collection[str] = (),
    checks: Collection[str] = (),
    earlier: Sequence[TestReport] = (),
) -> Judgement:
    """Tell whose the mistake is.

    Args:
        report: of the session.
        tests: what was run, in the same order.
        declared: names that the program has to define, such as its outputs.
        checks: the caller's constraints as expressions, all of which hold.
        earlier: reports of the same tests on former programs.
    """
    if report.passed:
        return Judgement(verdict="passed")
    if report.program_error:
        problem = f"When the tests ran the program, it failed: {report.program_error}"
        return Judgement(verdict="code_at_fault", problem=problem)
    if report.trouble or report.stopped_by:
        why = report.trouble or f"they were stopped by the {report.stopped_by} limit"
        return Judgement(verdict="unclear", problem=f"The tests could not be run to the end: {why}")
    if not report.failing:
        return _nothing_run(tests)
    return _judge_cases(report, Expected(tests, checks), declared, earlier)


def _nothing_run(tests: Sequence[SuiteText]) -> Judgement:
    """The program is not to blame for written tests that leave or skip before the first of them."""
    if not tests or any(each["by"] == "caller" for each in tests):
        return Judgement(verdict="unclear", problem="No test was run.")
    mistakes = (Mistake(module=n, function="", why="none is run") for n in range(len(tests)))
    return Judgement(verdict="test_at_fault", mistakes=tuple(mistakes))


def _judge_cases(
    report: TestReport,
    expected: Expected,
    declared: Collection[str],
    earlier: Sequence[TestReport],
) -> Judgement:
    mistakes: dict[Mistake, None] = {}
    wrong: list[CaseResult] = []
    doubtful: list[CaseResult] = []
    for case in report.failing:
        why = ""
        if case.by == "model":
            why = _own_mistake(case, report, declared) or expected.contradicted_by(case)
            why = why or _never_passes(case, report, earlier)
        if why:
            mistakes[Mistake(module=case.module, function=case.function, why=why)] = None
        elif case.by == "model" and _is_hopeless(case, report, earlier):
            doubtful.append(case)
        else:
            wrong.append(case)
    found = tuple(mistakes)
    if wrong:
        return Judgement(verdict="code_at_fault", mistakes=found, problem=_problem(wrong))
    if doubtful:
        return Judgement(verdict="unclear", mistakes=found, problem=_problem(doubtful))
    return Judgement(verdict="test_at_fault", mistakes=found)


def drop_mistakes(
    tests: Sequence[SuiteText], mistakes: Sequence[Mistake]
) -> tuple[list[SuiteText], list[Mistake]]:
    """The tests without those that are wrong, and what was dropped; a caller's stay untouched."""
    kept: list[SuiteText] = []
    dropped = []
    for number, text in enumerate(tests):
        own = [each for each in mistakes if each.module == number and text["by"] == "model"]
        if not own:
            kept.append(text)
            continue
        dropped += own
        names = {each.function for each in own}
        left = "" if "" in names else without(text["source"], _definitions(text["source"], names))
        if left:
            kept.append(SuiteText(by="model", source=left))
    return kept, dropped


def _definitions(text: str, functions: Collection[str]) -> set[str]:
    """The functions, or the classes that they are in."""
    tree = parse(text)
    found = set()
    for node in tree.body if tree is not None else []:
        inner = {getattr(each, "name", "") for each in ast.walk(node)}
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found |= {node.name} if inner & set(functions) else set()
    return found


def _problem(cases: Sequence[CaseResult]) -> str:
    lines = [f"- {case.describe()}" for case in cases[:10]]
    more = [f"- and {len(cases) - 10} more"] if len(cases) > 10 else []
    head = f"{len(cases)} test{'s' if len(cases) > 1 else ''} of the program failed:"
    return "\n".join([head, *lines, *more])


# --- mistakes that show in the failure itself


def _own_mistake(case: CaseResult, report: TestReport, declared: Collection[str]) -> str:
    """Why a test is wrong whatever the program does; '' where that cannot be told."""
    if case.through_program:
        return ""
    error = f"{case.type}: {case.message.partition(chr(10))[0]}"
    named = _NAMED.search(case.message)
    if case.type in _OWN_ERRORS or (case.type == "AttributeError" and named):
        name = next((each for each in named.groups() if each), "") if named else ""
        if name in declared:
            return ""
        if name and name not in report.program_names:
            return f"it uses {name!r}, which the program does not have and was not asked for"
        return f"it fails by itself: {error}" if case.place == "test" else ""
    if case.phase == "collect":
        return f"it cannot be imported: {error}"
    if case.phase == "setup":
        return f"what it needs cannot be set up: {error}"
    if case.type == "TypeError" and case.place == "test" and _WRONG_CALL.search(case.message):
        return f"it calls a function in a way that nobody asked for: {error}"
    return ""


# --- mistakes that show against other programs


def _never_passes(case: CaseResult, report: TestReport, earlier: Sequence[TestReport]) -> str:
    """Why a test is wrong that fails for every program while all that the caller expects is so."""
    programs = _programs_failed(case, report, earlier)
    if len(programs) < _MOST_CANDIDATES or not _caller_is_content(report):
        return ""
    return f"it failed for {len(programs)} different programs, all of which pass the caller's tests"


def _is_hopeless(case: CaseResult, report: TestReport, earlier: Sequence[TestReport]) -> bool:
    """It fails for one program after the other, and nothing of the caller's tells who is right."""
    return len(_programs_failed(case, report, earlier)) > _MOST_CANDIDATES


def _programs_failed(
    case: CaseResult, report: TestReport, earlier: Sequence[TestReport]
) -> set[str]:
    """Programs, each with the same failure of this test; none once it has passed for one."""
    failed = {report.code_hash}
    for former in earlier:
        same = [each for each in former.cases if _is_same(each, case)]
        if any(each.outcome == "passed" for each in same):
            return set()
        # A caller's test that failed then says that the program was wrong, not this test.
        if any(each.outcome in ("failed", "error") for each in same) and _has_no_caller_failure(
            former
        ):
            failed.add(former.code_hash)
    return failed


def _is_same(one: CaseResult, other: CaseResult) -> bool:
    return (one.name, one.by, one.text_hash) == (other.name, other.by, other.text_hash)


def _caller_is_content(report: TestReport) -> bool:
    return _has_no_caller_failure(report) and any(
        case.by == "caller" and case.outcome == "passed" for case in report.cases
    )


def _has_no_caller_failure(report: TestReport) -> bool:
    return not any(case.by == "caller" for case in report.failing)
