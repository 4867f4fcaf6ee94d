"""Tests of a program, run inside the sandbox: the caller's own, and those that the model wrote."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, get_args

from backend.foreign_code import parse
from backend.tools.coder.proof.texts_of_tests import By, SuiteText, is_test
from backend.tools.python_executor_engine import PythonExecutor
from backend.types import ExecutionRequest, ExecutionResult, StoppedBy

Outcome = Literal["passed", "failed", "error", "skipped"]

MOST_MODULES: Final = 20
_TASK = "python_coder_tests"
_SESSION: Final = f"""\
from inside.testing import run
report = run({_TASK}, {{name: globals()[name] for name in {_TASK}["inputs"]}})
"""
_TESTS_FOLLOW: Final = "\n# --- tests\n"
_SECONDS: Final = 30.0
_OF_A_RUN: Final = 3
"""One test may take this part of the time of all."""
_MESSAGE_CHARS: Final = 800
_NAME_CHARS: Final = 200


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """What became of one test; of a module that could not be imported, ``name`` is ''."""

    name: str
    """With its parameters, ``test_a[1]``."""
    function: str
    """Without them."""
    by: By
    module: int
    """Which of the texts it is from."""
    outcome: Outcome
    phase: Literal["collect", "setup", "call", "teardown"] = "call"
    type: str = ""
    """Of the exception that ended it."""
    message: str = ""
    """With the values that an ``assert`` compared."""
    line: int | None = None
    """Of the test's text, from 1."""
    place: Literal["test", "solution", "library"] = "test"
    """Whose the innermost of the frames was, a library's not counted where there are others."""
    through_program: bool = False
    """The program was running when it was raised."""
    text_hash: str = ""
    """Tells the test's text from others: it may be written anew under the same name."""

    def describe(self) -> str:
        """For a prompt or a person: name, line, error."""
        where = f" (line {self.line} of the tests)" if self.line else ""
        what = f"{self.type}: {self.message}".strip(": ") or self.outcome
        who = "the caller's" if self.by == "caller" else "the model's"
        return f"{self.name or f'module {self.module} of the tests'}, {who}{where}: {what}"


@dataclass(frozen=True, kw_only=True)
class TestReport:
    """What became of all tests. The program's process told it: not to be trusted."""

    __test__: ClassVar[bool] = False

    cases: tuple[CaseResult, ...] = ()
    program_error: str = ""
    """How the program failed when it was run for the tests."""
    program_names: tuple[str, ...] = ()
    """That it defines."""
    stopped_by: StoppedBy | None = None
    """The limit that ended the session; then nothing is known of any test."""
    trouble: str = ""
    """Why there was no session, for a reason that is neither the program's nor a test's."""
    left_out: int = 0
    """Tests beyond the most that are run."""
    code_hash: str = ""
    """Tells the program from others."""

    @property
    def passed(self) -> bool:
        """Every test passed, and there was one; one that skips itself neither helps nor harms."""
        kinds = {case.outcome for case in self.cases}
        return (
            not (self.program_error or self.stopped_by or self.trouble)
            and "passed" in kinds
            and kinds <= {"passed", "skipped"}
        )

    @property
    def failing(self) -> tuple[CaseResult, ...]:
        """Those that did not pass."""
        return tuple(case for case in self.cases if case.outcome in ("failed", "error"))

    def counts(self) -> dict[str, int]:
        """How many there are of each outcome."""
        found = [case.outcome for case in self.cases]
        return {outcome: found.count(outcome) for outcome in get_args(Outcome)}

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; ``report_of`` reads them."""
        plain = asdict(self)
        lists = {key: list(each) for key, each in plain.items() if isinstance(each, tuple)}
        return {**plain, **lists, "passed": self.passed, "counts": self.counts()}


def report_of(plain: Mapping[str, Any]) -> TestReport:
    """The report that ``as_dict`` gave."""
    known = {key: value for key, value in plain.items() if key not in ("passed", "counts")}
    cases = tuple(CaseResult(**case) for case in plain["cases"])
    return TestReport(**{**known, "cases": cases, "program_names": tuple(plain["program_names"])})


async def run_tests(
    engine: PythonExecutor,
    code: str,
    tests: Sequence[SuiteText],
    *,
    files: Mapping[str, str | Path] | None = None,
    variables: Mapping[str, Any] | None = None,
    timeout_s: float | None = None,
    memory_mb: int | None = None,
) -> TestReport:
    """Run the program once as the module ``solution``, then every test on it.

    Args:
        engine: what runs it.
        code: the program.
        tests: texts of pytest modules; each is a module of its own, so that one that cannot be
            imported takes none of the others with it.
        files: the program's input files.
        variables: what it finds defined.
        timeout_s: seconds for all together; None for the setting.
        memory_mb: None for the setting.

    Raises:
        RequestError: a limit, file or variable is not acceptable.
        SandboxUnavailable: the walls cannot be put up.
    """
    inputs = dict(variables or {})
    texts = [text["source"] for text in tests[:MOST_MODULES]]
    task = {
        "code": code,
        "tests": texts,
        "inputs": list(inputs),
        "seconds": (timeout_s or _SECONDS) / _OF_A_RUN,
    }
    request = ExecutionRequest(
        code=_SESSION,
        files=files or {},
        variables={**inputs, _TASK: task},
        timeout_s=timeout_s,
        memory_mb=memory_mb,
        outputs=("report",),
        on_record=_TESTS_FOLLOW.join([code, *texts]),
    )
    # The texts are no more than what a program may do: the walls stand around both.
    result = await engine.execute(request, check=False)
    return _read(result, tests, _hash(code))


def _read(result: ExecutionResult, tests: Sequence[SuiteText], code_hash: str) -> TestReport:
    told = (result.outputs or {}).get("report")
    if result.stopped_by is not None:
        return TestReport(stopped_by=result.stopped_by, code_hash=code_hash)
    hashes = [_hashes(text["source"]) for text in tests]
    try:
        if not isinstance(told, dict):
            raise ValueError("no report")
        error = told["program_error"]
        return TestReport(
            cases=tuple(_case(case, tests, hashes) for case in told["cases"]),
            program_error=f"{error['type']}: {error['message']}" if error else "",
            program_names=tuple(str(name)[:_NAME_CHARS] for name in told["names"]),
            left_out=int(told["left_out"]) + len(tests[MOST_MODULES:]),
            code_hash=code_hash,
        )
    except (LookupError, TypeError, ValueError, AttributeError):
        why = (result.stderr.strip().splitlines() or ["the session said nothing"])[-1]
        return TestReport(trouble=why[:_MESSAGE_CHARS], code_hash=code_hash)


def _hashes(text: str) -> dict[str, str]:
    """Of each test function, by its name, and of the module as a whole under ''."""
    tree = parse(text)
    found = {"": _hash(text)}
    for node in ast.walk(tree) if tree is not None else ():
        if is_test(node):
            found[getattr(node, "name", "")] = _hash(ast.dump(node))
    return found


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def _case(
    told: Mapping[str, Any], tests: Sequence[SuiteText], hashes: Sequence[Mapping[str, str]]
) -> CaseResult:
    module, line = told["module"], told["line"]
    if type(module) is not int or not 0 <= module < len(tests):
        raise ValueError("a test of no module")
    return CaseResult(
        name=_text(told["name"]),
        function=_text(told["function"]),
        by=tests[module]["by"],
        module=module,
        outcome=_known(told["outcome"], Outcome),
        phase=_known(told["phase"], Literal["collect", "setup", "call", "teardown"]),
        type=_text(told["type"]),
        message=str(told["message"])[:_MESSAGE_CHARS],
        line=line if type(line) is int else None,
        place=_known(told["place"], Literal["test", "solution", "library"]),
        through_program=told.get("through_program") is True,
        text_hash=hashes[module].get(_text(told["function"]), hashes[module][""]),
    )


def _text(value: Any) -> str:
    return str(value)[:_NAME_CHARS]


def _known(value: Any, allowed: Any) -> Any:
    if value not in get_args(allowed):
        raise ValueError(f"{value!r:.80} is none of {get_args(allowed)}")
    return value
