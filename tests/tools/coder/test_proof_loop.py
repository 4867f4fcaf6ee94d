"""Declared outputs, constraints, a schema and tests, through the whole loop."""

from __future__ import annotations

from typing import Any

import pytest

from backend.tools.coder.task import Options
from tests.ollama_server import OllamaServer
from tests.scripts import APPROVE, ASSESS, generate, program, repair
from tests.solving import GOOD, Play, prompts_of, solve

pytestmark = pytest.mark.sandbox

CALLERS = "from solution import double\n\ndef test_double():\n    assert double(3) == 6"
RIGHT = "def double(x):\n    return 2 * x\nprint(double(3))"
WRONG = "def double(x):\n    return x\nprint(double(3))"


def writes(code: str, **more: Any) -> dict[str, Any]:
    return {"stage": "tests", "reply": program(code, "Tests."), **more}


# --- declared outputs


async def test_outputs_are_converted_and_kept_in_their_order(play: Play) -> None:
    code = (
        "import numpy as np, datetime as dt\n"
        "late = dt.date(2024, 2, 29)\n"
        "open('report.txt', 'w').write('hello')\n"
        "report = 'report.txt'\n"
        "mean = np.float64(2)\n"
        "names = np.array(['a', 'b'])"
    )
    play(generate(code), *GOOD)
    outputs = {"mean": float, "report": "File", "names": "list[str]", "late": "date"}
    result = await solve(outputs=outputs)
    assert result["success"] is True
    assert list(result["outputs"]) == list(outputs)
    assert result["outputs"]["mean"] == 2.0
    assert result["outputs"]["names"] == ["a", "b"]
    assert result["outputs"]["late"] == "2024-02-29"
    assert result["outputs"]["report"]["name"] == "report.txt"
    assert list(result["typed_outputs"]) == list(outputs)


@pytest.mark.parametrize(
    ("code", "outputs", "told"),
    [
        pytest.param("y = 1", {"x": int}, "`x` is missing", id="missing"),
        pytest.param("x = 'many'", {"x": int}, "should be an int", id="type"),
        pytest.param("x = 3.7", {"x": int}, "should be an int", id="no loss"),
        pytest.param("x = [1, 'b']", {"x": "list[int]"}, r"`x\[1\]`", id="in a list"),
        pytest.param("x = 'no.txt'", {"x": "File"}, "was not written", id="file"),
    ],
)
async def test_what_is_not_as_declared_is_repaired(
    play: Play, code: str, outputs: dict[str, Any], told: str
) -> None:
    good = "x = [1, 2] if 'list' in kind else 5 if kind == 'int' else open('f', 'w').name"
    kind = next(iter(outputs.values()))
    named = kind if isinstance(kind, str) else kind.__name__
    play(generate(code), repair(f"kind = {named!r}\n{good}", when=told), *GOOD)
    result = await solve(outputs=outputs)
    assert (result["success"], list(result["outputs"])) == (True, ["x"])
    assert result["attempts"][0]["diagnosis"]["kind"] == "output"
    assert result["attempts"][0]["returncode"] == 0


async def test_what_stays_not_as_declared_is_no_success(play: Play) -> None:
    play(generate("x = 'a'"), repair("x = 'b'"), *GOOD)
    result = await solve(outputs={"x": int}, max_retries=1)
    assert (result["success"], result["error_kind"]) == (False, "program")
    assert "should be an int" in result["error"]


@pytest.mark.parametrize(
    ("outputs", "named"),
    [({"x": object}, "object"), ({"x": "Socket"}, "Socket"), ({"not a name": int}, "not a name")],
    ids=["type", "text", "name"],
)
def test_an_output_that_is_not_supported(outputs: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Options(outputs=outputs)


# --- constraints and a schema


async def test_each_constraint_is_told_and_those_that_can_be_are_checked(
    server: OllamaServer,
) -> None:
    server.add(
        {"reply": program("share = 1.5\nnames = ['b', 'a']\nprint(share)")},
        {"reply": APPROVE["reply"]},
        {"reply": program("share = 0.5\nnames = ['a', 'b']\nprint(share)")},
        {"reply": ASSESS["reply"]},
    )
    constraints = ["0 <= share <= 1", "names == sorted(names)", "Use a friendly tone"]
    result = await solve(outputs={"share": float, "names": "list[str]"}, constraints=constraints)
    assert (result["success"], result["outputs"]["share"]) == (True, 0.5)
    drafting, _, repairing, _ = prompts_of(server)
    assert all(constraint in drafting for constraint in constraints)
    assert all(constraint in repairing for constraint in constraints)
    cause = result["attempts"][0]["diagnosis"]["root_cause"]
    assert "0 <= share <= 1" in cause
    assert "share is 1.5" in cause
    assert "names == sorted(names)" in cause
    assert "friendly" not in cause


async def test_a_json_schema_is_told_and_held_against(play: Play) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}
    play(
        generate("table = {'n': 0}", when='"minimum": 1'),
        repair("table = {'n': 2}", when="does not fit the schema"),
        *GOOD,
    )
    result = await solve(outputs={"table": dict}, schema=schema)
    assert (result["success"], result["outputs"]) == (True, {"table": {"n": 2}})


async def test_words_about_the_form_are_told(play: Play) -> None:
    play(generate("print('| a |')", when="A Markdown table with one row a city"), *GOOD)
    assert (await solve(schema="A Markdown table with one row a city"))["success"] is True


async def test_a_schema_that_is_none_ends_it_in_words(play: Play) -> None:
    play(generate("x = {}"), *GOOD)
    result = await solve(outputs={"x": dict}, schema={"type": 5})
    assert (result["success"], result["error_kind"]) == (False, "input")
    assert "no valid JSON Schema" in result["error"]


# --- tests


async def test_the_callers_tests_are_the_bar(play: Play) -> None:
    play(generate(WRONG), repair(RIGHT, when=r"(?s)test_double.*assert 3 == 6"), *GOOD)
    result = await solve(tests=CALLERS)
    assert (result["success"], result["code"]) == (True, RIGHT)
    assert result["tests"] == [{"by": "caller", "source": CALLERS}]
    assert result["test_report"]["passed"] is True
    assert result["attempts"][0]["diagnosis"]["kind"] == "test"


async def test_a_callers_test_is_never_weakened_even_if_it_is_wrong(play: Play) -> None:
    impossible = CALLERS.replace("== 6", "== 7")
    play(generate(RIGHT), *(repair(f"{RIGHT}\nn = {n}") for n in range(9)), *GOOD)
    result = await solve(tests=impossible, max_retries=3)
    assert (result["success"], result["error_kind"]) == (False, "program")
    assert result["tests"] == [{"by": "caller", "source": impossible}]
    assert "assert 6 == 7" in result["error"]
    assert len(result["attempts"]) == 4


async def test_written_tests_are_returned_and_run(play: Play) -> None:
    written = "from solution import double\n\ndef test_zero():\n    assert double(0) == 0"
    play(generate(RIGHT), writes(written), *GOOD)
    result = await solve(write_tests=True)
    assert result["success"] is True
    assert result["tests"] == [{"by": "model", "source": written}]
    assert result["test_report"]["counts"]["passed"] == 1


async def test_a_program_that_fails_a_written_test_is_repaired(play: Play) -> None:
    written = "from solution import double\n\ndef test_two():\n    assert double(2) == 4"
    play(generate(WRONG), writes(written), repair(RIGHT, when="test_two"), *GOOD)
    result = await solve(write_tests=True)
    assert (result["success"], result["code"]) == (True, RIGHT)
    assert result["test_report"]["passed"] is True


async def test_a_written_test_that_is_wrong_is_written_anew_and_the_program_left_alone(
    play: Play,
) -> None:
    wrong = "from solution import triple\n\ndef test_it():\n    assert triple(1) == 3"
    right = "from solution import double\n\ndef test_it():\n    assert double(1) == 2"
    play(generate(RIGHT), writes(wrong), writes(right, when="triple"), *GOOD)
    result = await solve(write_tests=True)
    assert (result["success"], result["iterations"]) == (True, 1)
    assert result["tests"] == [{"by": "model", "source": right}]
    assert any("test_it" in note or "written anew" in note for note in result["notes"])
    assert "repair" not in result["usage"]["by_stage"]


async def test_a_written_test_that_contradicts_the_callers_gives_way(play: Play) -> None:
    against = "from solution import double\n\ndef test_other():\n    assert double(3) == 9"
    again = writes(against, repeat=True)
    play(generate(RIGHT), again, repair(f"{RIGHT}\nn = 1"), repair(f"{RIGHT}\nn = 2"), *GOOD)
    result = await solve(tests=CALLERS, write_tests=True)
    assert result["success"] is True
    assert {"by": "caller", "source": CALLERS} in result["tests"]
    assert all(each["source"] != against for each in result["tests"])


async def test_tests_are_left_out_when_that_is_asked_for(play: Play) -> None:
    play(generate(WRONG), *GOOD)
    result = await solve(tests=CALLERS, write_tests=True, skip_tests=True)
    assert (result["success"], result["tests"], result["test_report"]) == (True, [], None)
    assert "tests" not in result["usage"]["by_stage"]


async def test_the_callers_tests_are_told_to_whoever_writes_the_program(
    server: OllamaServer,
) -> None:
    server.add(*({"reply": each} for each in (program(RIGHT), APPROVE["reply"], ASSESS["reply"])))
    await solve(tests=CALLERS)
    assert CALLERS in prompts_of(server)[0]


async def test_a_test_that_takes_for_ever_is_stopped_and_told(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_CODE_TIMEOUT", "2")
    endless = "def test_it():\n    import solution\n    while solution.double(1): pass"
    play(generate(RIGHT), *GOOD)
    result = await solve(tests=endless, max_retries=0)
    assert (result["success"], result["error_kind"]) == (False, "program")
    assert "timeout" in result["error"] or "time" in result["error"]


def test_tests_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="test"):
        Options(tests="def broken(:")
