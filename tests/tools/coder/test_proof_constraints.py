from __future__ import annotations

from typing import Any

import pytest

from backend.errors import RequestError
from backend.tools.coder.proof.constraints import MOST_CHECKS, read_constraints
from backend.tools.coder.proof.contract import convert, parse_outputs
from backend.tools.coder.proof.schema import check_schema, read_schema
from backend.tools.python_executor_engine import PythonExecutor
from backend.types import ExecutionRequest

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="module")]

DECLARED = {
    "a": float,
    "n": int,
    "b": "DataFrame",
    "xs": "list[float]",
    "s": str,
    "f": "File",
    "d": "dict[str, float]",
    "ser": "Series",
    "arr": "ndarray",
    "o": "float | None",
}
SPEC = parse_outputs(DECLARED)
GOOD = """
import numpy as np, pandas as pd
a, n, s, f, o = 0.25, 3, "red", "f.csv", None
open(f, "w").write("x")
b = pd.DataFrame({"x": [3.0, 2.0, 1.0], "y": [1, 1, 2]})
xs, d = [0.1, 0.5, 1.0], {"p": 0.4, "q": 0.6}
ser, arr = pd.Series([1.25, 2.5]), np.array([0.5, 1.0])
"""
BAD = """
import numpy as np, pandas as pd
a, n, s, f, o = -1.256, 0, "", "f.txt", -1.0
open(f, "w").close()
b = pd.DataFrame({"x": [1.001, None, 1.001, 4], "z": [1, 2, 1, 5]}).loc[[0, 1, 2, 0]]
xs, d = [2.345, -1.0, 2.345, 1, 1], {"p": -0.4}
ser, arr = pd.Series([1.255, None, 1.255]), np.array([7.0, -7.0, 7.0])
"""
"""Of each condition below, the first program fulfils it and the second does not."""

EXPRESSIONS = [
    "0 <= a <= 1",
    "`len(xs) == 3`",
    "n == len(xs)",
    "b['x'].notna().all()",
    "n = 3",
    "isinstance(n, int) and n > 2",
    "all(0 <= x <= 1 for x in xs)",
    "not b.empty and not b['x'].isna().any()",
    "np.isclose(sum(d.values()), 1)",
    "s.isalpha()",
]
WORDS = [
    "a is positive",
    "a must be non-negative.",
    "`a` should be between 0 and 1",
    "a is at least 0.2",
    "a is less than n and n is positive",
    "a is rounded to two decimals",
    "n has to be a positive number",
    "n must not be zero",
    "b has 3 rows",
    "b has at most three rows",
    "b has columns x and y",
    "b has exactly the columns x, y",
    "b is sorted by x descending",
    "b has no missing values",
    "b has no duplicates",
    "the column x of b is unique",
    "b['x'] is rounded to 2 decimal places",
    "b is rounded to 2 decimal places",
    "xs has 3 items",
    "xs has fewer than four elements",
    "xs is sorted in ascending order",
    "xs must be unique",
    "all values of xs are positive",
    "every item in xs is between 0 and 1",
    "xs is rounded to 1 decimal",
    "s is not empty",
    "s is one of: red, green, blue",
    "s has three characters",
    "s starts with r",
    "f is not empty",
    "f must end with .csv",
    "d sums to 1",
    "d has two keys and is positive",
    "ser is rounded to two decimals",
    "ser has no missing values",
    "arr is between -1 and 1",
    "arr has unique values",
    "o is positive",
    "a and n are positive",
]
ADVICE = [
    "a is positive if n is negative",
    "use pandas only",
    "the chart has a title and axis labels",
    "a",
    "max(xs)",
    "print(a)",
    "secret(a) > 1",
    "other > 1",
    "a is close to the truth",
    "xs has many items",
    "a is between low and high",
    "s is positive",
    "import os",
    "xs has at most 3",
    "b has columns that sum to 1",
    "b has columns sorted alphabetically",
    "b has columns which",
    "s is one of the best, or so",
    "a is not between 0 and 1",
    "b must not have columns x and y",
    "xs is not unique",
    "",
    "a" * 5000,
]


async def holds(engine: PythonExecutor, code: str, constraint: str) -> bool:
    constraints = read_constraints([constraint], SPEC)
    assert constraints.checks, constraint
    result = await engine.execute(
        ExecutionRequest(code=code, checks=constraints.checks), check=False
    )
    assert result.success, result.stderr
    assert all(check.holds is not None for check in result.checks), result.checks
    return not constraints.judge(result.checks)


@pytest.mark.parametrize("constraint", EXPRESSIONS + WORDS)
async def test_a_condition_is_checked_as_it_was_meant(
    engine: PythonExecutor, constraint: str
) -> None:
    assert await holds(engine, GOOD, constraint)
    assert not await holds(engine, BAD, constraint)


@pytest.mark.parametrize("constraint", ADVICE, ids=lambda text: text[:40])
async def test_what_is_not_understood_whole_is_only_told(constraint: str) -> None:
    constraints = read_constraints([constraint], SPEC)
    assert constraints.checks == ()
    assert " ".join(constraint.split()) in constraints.describe()


@pytest.mark.parametrize(
    "constraint",
    ["not empty", "sorted ascending", "unique", "one of: 1, 2, 3", "positive", "has 3 items"],
)
async def test_nobody_is_named_where_there_is_one_output(
    engine: PythonExecutor, constraint: str
) -> None:
    spec = parse_outputs({"it": "list[int]"})
    constraints = read_constraints([constraint], spec)
    results = []
    for code in (
        "it = [1, 2, 3]",
        "it = [9, -1, 9, 9]" if constraint != "not empty" else "it = []",
    ):
        request = ExecutionRequest(code=code, checks=constraints.checks)
        results.append((await engine.execute(request, check=False)).checks[0].holds)
    assert results == [True, False]


async def test_an_expression_may_speak_of_the_inputs() -> None:
    assert read_constraints(["len(xs) == len(orders)"], SPEC).checks == ()
    found = read_constraints(["len(xs) == len(orders)"], SPEC, ["orders"])
    assert found.checks == ("len(xs) == len(orders)",)


async def test_every_condition_is_in_the_prompt_and_a_reading_says_how_it_is_checked() -> None:
    told = read_constraints(["0 <= a <= 1", "a is positive", "be brief"], SPEC).describe()
    assert told.splitlines() == [
        "- 0 <= a <= 1",
        "- a is positive (checked as: a > 0)",
        "- be brief",
    ]


async def test_a_condition_that_does_not_hold_is_told_with_values(engine: PythonExecutor) -> None:
    constraints = read_constraints(["a == sum(xs)", "n is positive", "1 / n > 0"], SPEC)
    request = ExecutionRequest(code="a, xs, n = 3.0, [1, 1], 0", checks=constraints.checks)
    issues = constraints.judge((await engine.execute(request)).checks)
    assert [issue.message for issue in issues] == [
        "The constraint `a == sum(xs)` does not hold: sum(xs) is 2, a is 3.0, xs is [1, 1].",
        "The constraint `n is positive` (checked as `n > 0`) does not hold: n is 0.",
        "The constraint `1 / n > 0` cannot be evaluated: ZeroDivisionError: division by zero.",
    ]
    assert {issue.severity for issue in issues} == {"error"}


async def test_a_reading_that_cannot_be_evaluated_blocks_nothing(engine: PythonExecutor) -> None:
    constraints = read_constraints(["n is positive"], SPEC)
    request = ExecutionRequest(code="n = 'three'", checks=constraints.checks)
    (issue,) = constraints.judge((await engine.execute(request)).checks)
    assert issue.severity == "advice"
    (issue,) = constraints.judge(())
    assert issue.severity == "advice"


async def test_there_are_never_more_checks_than_can_be_asked_for(engine: PythonExecutor) -> None:
    constraints = read_constraints([f"a > {n}" for n in range(200)], SPEC)
    assert len(constraints.checks) == MOST_CHECKS
    assert len(constraints.items) == 200
    request = ExecutionRequest(code="a = 500", checks=constraints.checks)
    assert (await engine.execute(request)).success


async def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match="5"):
        read_constraints([5], SPEC)  # type: ignore[list-item]


# --- schema


async def fits(
    engine: PythonExecutor, code: str, declared: dict[str, Any], schema: Any
) -> list[str]:
    spec = parse_outputs(declared)
    result = await engine.execute(ExecutionRequest(code=code, outputs=spec.names))
    found = convert(result.outputs, spec)
    assert found.findings == ()
    issues = await check_schema(engine, read_schema(schema), found.plain)
    return [issue.message for issue in issues]


NUMBERS = {"type": "array", "items": {"type": "number", "minimum": 0}}
ROWS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"n": {"type": ["integer", "null"]}},
        "required": ["n"],
    },
}


@pytest.mark.parametrize(
    ("code", "declared", "schema"),
    [
        pytest.param("it = [1, 2.5]", {"it": list}, NUMBERS, id="one output"),
        pytest.param(
            "it = [1]\nb = 2",
            {"it": list, "b": int},
            {"properties": {"it": NUMBERS, "b": {"maximum": 2}}, "required": ["it", "b"]},
            id="all outputs",
        ),
        pytest.param("it = [1]\nb = 2", {"it": list, "b": int}, {"it": NUMBERS}, id="by name"),
        pytest.param("it = [1]", {"it": list}, '{"type": "array"}', id="as text"),
        pytest.param(
            "import pandas as pd\nit = pd.DataFrame({'n': [1, 2]})", {"it": "DataFrame"}, ROWS,
            id="rows of a table",
        ),
    ],
)  # fmt: skip
async def test_an_output_that_fits_the_schema(
    engine: PythonExecutor, code: str, declared: dict[str, Any], schema: Any
) -> None:
    assert await fits(engine, code, declared, schema) == []


@pytest.mark.parametrize(
    ("code", "declared", "schema", "words"),
    [
        pytest.param("it = [1, -1]", {"it": list}, NUMBERS, "at $[1]: -1 is less than", id="value"),
        pytest.param(
            "it = {'a': 1}", {"it": dict}, {"required": ["b"]}, "'b' is a required", id="key"
        ),
        pytest.param(
            "it = [1]\nb = 3", {"it": list, "b": int}, {"b": {"maximum": 2}}, "at $.b", id="by name"
        ),
        pytest.param(
            "import pandas as pd\nit = pd.DataFrame({'m': [1]})", {"it": "DataFrame"}, ROWS,
            "at $[0]: 'n' is a required", id="row",
        ),
    ],
)  # fmt: skip
async def test_an_output_that_does_not_fit_is_told_where_and_why(
    engine: PythonExecutor, code: str, declared: dict[str, Any], schema: Any, words: str
) -> None:
    (message,) = await fits(engine, code, declared, schema)
    assert message.startswith("The output does not fit the schema at $")
    assert words in message


async def test_words_are_told_and_nothing_is_checked(engine: PythonExecutor) -> None:
    schema = read_schema("one row a city, with the sum")
    assert (schema.text, schema.document) == ("one row a city, with the sum", None)
    assert await check_schema(engine, schema, {"it": 1}) == ()
    assert read_schema('{"not": closed').document is None


@pytest.mark.parametrize(
    "schema",
    [5, {"a": object()}, {"a": "x" * 100_000}],
    ids=["a number", "no JSON", "too long"],
)
async def test_what_is_no_schema_is_refused(schema: Any) -> None:
    with pytest.raises(ValueError, match="schema"):
        read_schema(schema)


async def test_an_invalid_schema_is_refused_when_it_is_used(engine: PythonExecutor) -> None:
    with pytest.raises(RequestError, match="no valid JSON Schema"):
        await check_schema(engine, read_schema({"type": "nonsense"}), {"it": 1})


async def test_a_pattern_that_takes_for_ever_stops_itself_only(
    engine: PythonExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.tools.coder.proof.schema._SECONDS", 1.0)
    schema = read_schema({"pattern": "^(a+)+$"})
    (issue,) = await check_schema(engine, schema, {"it": "a" * 60 + "!"})
    assert (issue.severity, "timeout" in issue.message) == ("advice", True)


async def test_a_schema_elsewhere_is_not_fetched(engine: PythonExecutor) -> None:
    schema = read_schema({"$ref": "http://127.0.0.1:9/schema.json"})
    (issue,) = await check_schema(engine, schema, {"it": 1})
    assert issue.severity == "advice"
