from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from backend.config.settings import load_settings
from backend.llm.asking import Unreadable
from backend.llm.models import open_models
from backend.tools.coder.proof.judging import drop_mistakes, judge
from backend.tools.coder.proof.testing import TestReport, report_of, run_tests
from backend.tools.coder.proof.texts_of_tests import (
    SuiteText,
    require_tests,
    without,
)
from backend.tools.coder.proof.writing_tests import read_tests, write_tests
from backend.tools.python_executor_engine import PythonExecutor
from tests.scripts import program, write_script

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="module")]

CODE = """
import numpy as np

def double(x):
    return x * 2

def invert(x):
    return 1 / x

def forever():
    while True:
        pass

total = 3
_hidden = 4
if __name__ == "__main__":
    guarded = 5
print("printed")
"""


def caller(source: str) -> SuiteText:
    return SuiteText(by="caller", source=source)


def model(source: str) -> SuiteText:
    return SuiteText(by="model", source=source)


def outcomes(report: TestReport) -> dict[str, str]:
    assert report.trouble == ""
    return {case.name: case.outcome for case in report.cases}


async def test_tests_that_pass(engine: PythonExecutor) -> None:
    text = """
import pytest
from solution import double

def test_imported(): assert double(2) == 4
def test_not_imported(): assert total == 3 and np.sum([1, 2]) == total
def test_main_ran(): assert guarded == 5
@pytest.mark.parametrize("x", [1, 2])
def test_many(x): assert invert(x) == pytest.approx(1 / x)
class TestTogether:
    def test_printed(self, capsys):
        print("a")
        assert capsys.readouterr().out == "a\\n"
"""
    report = await run_tests(engine, CODE, [caller(text)])
    assert report.passed, report
    assert outcomes(report) == dict.fromkeys(
        ["test_imported", "test_not_imported", "test_main_ran", "test_many[1]", "test_many[2]",
         "TestTogether::test_printed"], "passed",
    )  # fmt: skip
    assert "double" in report.program_names
    assert judge(report, [caller(text)]).verdict == "passed"


async def test_a_failure_is_told_with_values_line_and_place(engine: PythonExecutor) -> None:
    text = "def test_double():\n    assert double(2) == 5\ndef test_zero():\n    assert invert(0)\n"
    report = await run_tests(engine, CODE, [model(text)])
    wrong, raised = report.cases
    assert wrong.message == "assert 4 == 5\n +  where 4 = double(2)"
    assert (wrong.type, wrong.line, wrong.place) == ("AssertionError", 2, "test")
    assert (raised.type, raised.line, raised.place) == ("ZeroDivisionError", 4, "solution")
    assert not report.passed
    assert "test_double, the model's (line 2 of the tests)" in wrong.describe()


async def test_a_report_is_plain_json_and_comes_back(engine: PythonExecutor) -> None:
    report = await run_tests(engine, CODE, [model("def test_a(): assert double(1) == 3")])
    plain = json.loads(json.dumps(report.as_dict()))
    assert report_of(plain) == report
    assert (plain["passed"], plain["counts"]["failed"]) == (False, 1)


async def test_a_module_that_cannot_be_imported_takes_no_other_with_it(
    engine: PythonExecutor,
) -> None:
    tests = [
        model("def test_a(: pass"),
        model("from solution import nothing_of_it\ndef test_b(): pass"),
        caller("def test_c(): assert total == 3"),
        model("x = unknown\ndef test_d(): pass"),
    ]
    report = await run_tests(engine, CODE, tests)
    found = {case.module: (case.outcome, case.phase, case.type) for case in report.cases}
    assert found == {
        0: ("error", "collect", "SyntaxError"),
        1: ("error", "collect", "ImportError"),
        2: ("passed", "call", ""),
        3: ("error", "collect", "NameError"),
    }


async def test_a_made_up_module_name_means_the_program(engine: PythonExecutor) -> None:
    text = "from my_program import double\nimport my_code\ndef test_a(): assert double(my_code.total) == 6"
    assert (await run_tests(engine, CODE, [model(text)])).passed


async def test_tests_of_the_programs_own_are_not_run(engine: PythonExecutor) -> None:
    code = "def f():\n    return 1\ndef test_own():\n    assert f() == 1\n"
    report = await run_tests(engine, code, [caller("def test_f():\n    assert f() == 2\n")])
    assert outcomes(report) == {"test_f": "failed"}


async def test_a_test_that_does_not_end_is_stopped_alone(engine: PythonExecutor) -> None:
    text = "def test_a(): forever()\ndef test_b(): assert total == 3"
    report = await run_tests(engine, CODE, [caller(text)], timeout_s=6)
    assert outcomes(report) == {"test_a": "failed", "test_b": "passed"}
    assert report.cases[0].type == "TimeoutError"


async def test_a_program_that_fails_is_no_tests_mistake(engine: PythonExecutor) -> None:
    tests = [model("def test_a(): assert x == 1")]
    report = await run_tests(engine, "x = 1\nraise ValueError('no')", tests)
    assert report.program_error == "ValueError: no"
    found = judge(report, tests)
    assert found.verdict == "code_at_fault"
    assert "ValueError: no" in found.problem


async def test_a_program_that_leaves_with_status_zero_is_tested(engine: PythonExecutor) -> None:
    tests = [model("def test_a(): assert x == 1")]
    assert (await run_tests(engine, "import sys\nx = 1\nsys.exit(0)", tests)).passed


async def test_a_program_has_its_files_and_variables(
    engine: PythonExecutor, tmp_path: Path
) -> None:
    data = tmp_path / "data.csv"
    data.write_text("a\n1\n2\n", encoding="utf-8")
    pytest_py = tmp_path / "pytest.py"
    pytest_py.write_text("raise SystemExit", encoding="utf-8")
    code = "import pandas as pd\nn = pd.read_csv('data.csv').a.sum() + len(frame)"
    report = await run_tests(
        engine,
        code,
        [caller("def test_n(): assert n == 5 and len(frame) == 2")],
        files={"data.csv": data, "pytest.py": pytest_py},
        variables={"frame": pd.DataFrame({"x": [1, 2]})},
    )
    assert report.passed, report


async def test_a_skip_by_the_program_is_no_pass_and_all_skipped_neither(
    engine: PythonExecutor,
) -> None:
    code = "import pytest\ndef f():\n    pytest.skip('not today')\n"
    report = await run_tests(engine, code, [caller("def test_f(): f()")])
    assert outcomes(report) == {"test_f": "failed"}
    report = await run_tests(engine, "", [caller("import pytest\ndef test_f(): pytest.skip()")])
    assert (outcomes(report), report.passed) == ({"test_f": "skipped"}, False)


async def test_a_session_that_cannot_be_interrupted_is_stopped(engine: PythonExecutor) -> None:
    tests = [model("def test_a(): sum(range(10**12))")]
    report = await run_tests(engine, CODE, tests, timeout_s=2)
    assert report.stopped_by == "timeout"
    assert judge(report, tests).verdict == "unclear"


async def test_a_test_without_room_fails_alone(engine: PythonExecutor) -> None:
    text = "def test_a(): [bytes(1 << 26) for _ in range(100)]\ndef test_b(): assert total == 3"
    report = await run_tests(engine, CODE, [model(text)])
    assert outcomes(report) == {"test_a": "failed", "test_b": "passed"}
    assert report.cases[0].type == "MemoryError"


async def test_more_tests_than_are_run_are_counted(engine: PythonExecutor) -> None:
    text = "import pytest\n@pytest.mark.parametrize('x', range(500))\ndef test_a(x): pass"
    report = await run_tests(engine, CODE, [model(text)])
    assert (len(report.cases), report.left_out) == (200, 300)


async def test_a_program_that_says_its_tests_passed_says_it_in_vain(
    engine: PythonExecutor,
) -> None:
    code = (
        "report = {'program_error': None, 'names': [], 'cases': [], 'left_out': 0}\nprint(report)"
    )
    report = await run_tests(engine, code, [caller("def test_a(): assert False")])
    assert outcomes(report) == {"test_a": "failed"}


# --- whose mistake it is


async def judged(engine: PythonExecutor, tests: list[SuiteText], **more: Any) -> Any:
    return judge(await run_tests(engine, CODE, tests), tests, **more)


MISTAKES = [
    ("def test_a(: pass", "cannot be imported: SyntaxError"),
    ("from solution import treble\ndef test_a(): assert treble(1) == 3", "'treble'"),
    ("def test_a(): assert treble(1) == 3", "it uses 'treble', which the program does not have"),
    ("import solution\ndef test_a(): assert solution.treble(1) == 3", "'treble'"),
    ("import no_such_package\ndef test_a(): no_such_package.x()", "'x'"),
    ("def test_a(nothing): assert nothing", "what it needs cannot be set up"),
    ("def test_a(): assert double(1, 2, 3) == 2", "in a way that nobody asked for"),
]


@pytest.mark.parametrize(("text", "why"), MISTAKES, ids=range(len(MISTAKES)))
async def test_a_models_test_that_is_wrong_itself(
    engine: PythonExecutor, text: str, why: str
) -> None:
    tests = [caller("def test_c(): assert double(2) == 4"), model(text)]
    found = await judged(engine, tests)
    assert found.verdict == "test_at_fault"
    (mistake,) = found.mistakes
    assert why in mistake.why
    assert mistake.module == 1
    left, dropped = drop_mistakes(tests, found.mistakes)
    assert (left, dropped) == (tests[:1], [mistake])


@pytest.mark.parametrize(("text", "why"), MISTAKES, ids=range(len(MISTAKES)))
async def test_the_same_by_the_caller_is_the_programs_mistake(
    engine: PythonExecutor, text: str, why: str
) -> None:
    tests = [caller(text)]
    found = await judged(engine, tests)
    assert (found.verdict, found.mistakes) == ("code_at_fault", ())
    assert drop_mistakes(tests, found.mistakes) == (tests, [])


async def test_a_name_that_was_declared_is_the_programs_to_define(engine: PythonExecutor) -> None:
    tests = [model("def test_a(): assert share == 1")]
    assert (await judged(engine, tests)).verdict == "test_at_fault"
    found = await judged(engine, tests, declared=["share"])
    assert found.verdict == "code_at_fault"
    assert "name 'share' is not defined" in found.problem


@pytest.mark.parametrize(
    "text",
    [
        "def test_m(): assert double(2) == 5",
        "def test_m():\n    found = double(2)\n    assert found == 5",
        "import solution\ndef test_m(): assert 5 == solution.double(2)",
        "import pytest\ndef test_m(): assert double(2) == pytest.approx(5.0)",
    ],
)
async def test_a_models_test_that_contradicts_the_callers(
    engine: PythonExecutor, text: str
) -> None:
    tests = [caller("def test_c():\n    result = double(2)\n    assert result == 4"), model(text)]
    found = await judged(engine, tests)
    assert found.verdict == "test_at_fault"
    assert "the caller's test_c expects 4" in found.mistakes[0].why


async def test_a_models_test_that_contradicts_a_constraint(engine: PythonExecutor) -> None:
    tests = [model("def test_m(): assert total == 7")]
    found = await judged(engine, tests, checks=["0 <= total <= 5", "len(total) > __import__('os')"])
    assert found.verdict == "test_at_fault"
    assert "the caller says 0 <= total <= 5" in found.mistakes[0].why
    assert (await judged(engine, tests, checks=["total < 9"])).verdict == "code_at_fault"


async def test_other_failures_are_the_programs(engine: PythonExecutor) -> None:
    tests = [
        caller("def test_c(): assert double(2) == 4"),
        model("def test_m(): assert double(3) == 7\ndef test_n(): assert invert(0) == 0"),
    ]
    found = await judged(engine, tests)
    assert (found.verdict, found.mistakes) == ("code_at_fault", ())
    assert "test_m" in found.problem and "test_n" in found.problem


async def test_what_no_program_passes_while_the_caller_is_content_is_wrong(
    engine: PythonExecutor,
) -> None:
    tests = [
        caller("def test_c(): assert double(2) == 4"),
        model("def test_m(): assert double(3) == 7\ndef test_n(): assert double(1) == 2"),
    ]
    first = await run_tests(engine, CODE, tests)
    second = await run_tests(engine, CODE + "# another one", tests)
    assert judge(second, tests).verdict == "code_at_fault"
    assert judge(second, tests, earlier=[second]).verdict == "code_at_fault"
    found = judge(second, tests, earlier=[first])
    assert found.verdict == "test_at_fault"
    assert "2 different programs" in found.mistakes[0].why
    left, dropped = drop_mistakes(tests, found.mistakes)
    assert left == [tests[0], model("def test_n(): assert double(1) == 2")]
    assert [each.function for each in dropped] == ["test_m"]


async def test_a_test_that_was_written_anew_is_another_one(engine: PythonExecutor) -> None:
    own = caller("def test_c(): assert double(2) == 4")
    former = [model("def test_m(): assert double(3) == 8"), own]
    tests = [own, model("def test_m(): assert double(3) == 7")]
    first = await run_tests(engine, CODE, former)
    second = await run_tests(engine, CODE + "# another one", tests)
    assert judge(second, tests, earlier=[first]).verdict == "code_at_fault"
    third = await run_tests(engine, CODE + "# one more", [tests[1], own])
    assert judge(third, [tests[1], own], earlier=[second]).verdict == "test_at_fault"


async def test_a_test_that_another_program_passed_is_not_wrong(engine: PythonExecutor) -> None:
    tests = [
        caller("def test_c(): assert double(2) == 4"),
        model("def test_m(): assert double(3) == 6"),
    ]
    good = await run_tests(engine, CODE, tests)
    bad = [await run_tests(engine, f"def double(x):\n    return 4 # {n}", tests) for n in range(3)]
    assert judge(bad[2], tests, earlier=[*bad[:2], good]).verdict == "code_at_fault"


async def test_where_nothing_of_the_callers_tells_it_stays_unclear(engine: PythonExecutor) -> None:
    tests = [model("def test_m(): assert double(3) == 7")]
    reports = [await run_tests(engine, CODE + f"# {n}", tests) for n in range(3)]
    assert judge(reports[1], tests, earlier=reports[:1]).verdict == "code_at_fault"
    assert judge(reports[2], tests, earlier=reports[:2]).verdict == "unclear"


async def test_a_callers_test_that_fails_for_every_program_stays(engine: PythonExecutor) -> None:
    tests = [caller("def test_c(): assert double(3) == 7")]
    reports = [await run_tests(engine, CODE + f"# {n}", tests) for n in range(5)]
    found = judge(reports[4], tests, earlier=reports[:4])
    assert (found.verdict, found.mistakes) == ("code_at_fault", ())


async def test_what_the_program_raises_is_its_own(engine: PythonExecutor) -> None:
    tests = [model("def test_m(): assert broken() == 1")]
    report = await run_tests(engine, "def broken():\n    return nothing", tests)
    assert judge(report, tests).verdict == "code_at_fault"


@pytest.mark.parametrize("end", ["sys.exit(0)", "pytest.skip(allow_module_level=True)"])
async def test_written_tests_of_which_none_is_run_are_wrong_themselves(
    engine: PythonExecutor, end: str
) -> None:
    text = f"import sys, pytest\n{end}\ndef test_a(): assert double(2) == 4"
    found = await judged(engine, [model(text)])
    assert (found.verdict, len(found.mistakes)) == ("test_at_fault", 1)
    assert drop_mistakes([model(text)], found.mistakes) == ([], list(found.mistakes))
    assert (await judged(engine, [caller(text)])).verdict == "unclear"


async def test_a_report_without_tests_proves_nothing() -> None:
    assert not TestReport().passed
    assert judge(TestReport(), []).verdict == "unclear"
    assert judge(replace(TestReport(), trouble="no pytest"), []).verdict == "unclear"


# --- the bar of the caller

BAR = """
import pytest

CASES = [(1, 2), (2, 4)]

@pytest.mark.parametrize(("x", "y"), CASES)
def test_double(x, y):
    assert double(x) == y

def test_total():
    assert total == 3
"""


async def test_a_definition_is_taken_out_and_the_rest_is_as_it_was() -> None:
    text = without(BAR, ["test_double"])
    assert text == BAR.replace(BAR[BAR.index("@pytest") : BAR.index("def test_total")], "\n", 1)
    assert without(BAR, ["test_double", "test_total"]) == ""


@pytest.mark.parametrize("text", ["def (", "x = 1", "def helper(): pass"])
async def test_callers_tests_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="tests"):
        require_tests(text)
    require_tests("")
    require_tests(BAR)


# --- the model's tests


async def test_a_reply_gives_tests_without_copies_and_without_those_that_cannot_fail() -> None:
    reply = program(
        "import pytest\n\n"
        "def double(x):\n    return x * 2\n\n"
        "def test_a():\n    assert double(1) == 2\n\n"
        "def test_b():\n    double(1)\n\n"
        "def test_c():\n    with pytest.raises(ZeroDivisionError):\n        invert(0)"
    )
    text = read_tests(reply, CODE)
    assert "def double" not in text and "test_b" not in text
    assert "test_a" in text and "test_c" in text


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("I cannot do that.", "no Python"),
        (program("x = 1"), "test_"),
        (program("def test_a():\n    double(1)"), "assert nothing"),
        (program("def test_a():\n    assert True"), "assert nothing"),
    ],
)
async def test_a_reply_without_tests_is_refused_with_the_reason(reply: str, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        read_tests(reply, CODE)


async def test_the_model_is_asked_again_with_the_reason(tmp_path: Path) -> None:
    script = write_script(
        tmp_path / "script.jsonl",
        {"stage": "tests", "reply": program("x = 1")},
        {
            "stage": "tests",
            "when": r"(?s)0 <= share.*Double it.*the caller's own.*no function whose name",
            "reply": program("def test_a():\n    assert double(1) == 2"),
        },
    )
    settings = load_settings(model=f"scripted:{script}")
    async with open_models(settings) as models:
        asked = await write_tests(
            models.get(),
            request="Double it",
            code=CODE,
            outputs="`share`: float",
            constraints="- 0 <= share <= 1",
            tests=[caller("# the caller's own\ndef test_c(): assert total == 3")],
        )
    assert asked.value == "def test_a():\n    assert double(1) == 2"
    assert len(asked.calls) == 2
