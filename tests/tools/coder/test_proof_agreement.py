from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from backend.tools.coder.proof.agreement import Agreement, Held, agree
from backend.tools.coder.proof.contract import live_values
from backend.tools.python_executor_engine import PythonExecutor
from backend.types import ExecutionRequest

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="module")]

ORDERS = pd.DataFrame({"city": ["Seoul", "Busan", "Seoul"], "n": [1, 2, 4]})
AGREEMENT = agree(
    outputs={"share": float, "table": "DataFrame", "chart": "File"},
    constraints=["0 <= share <= 1", "table has 2 rows", "len(table) <= len(orders)", "be brief"],
    schema={"table": {"type": "array", "items": {"required": ["city", "n"]}}},
    tests="def test_share(): assert 0 < share < 1\n",
    inputs=["orders"],
)
GOOD = """
table = orders.groupby("city", as_index=False)["n"].sum()
share = table.n.max() / table.n.sum()
chart = "chart.csv"
table.to_csv(chart)
"""


async def held(engine: PythonExecutor, code: str, agreement: Agreement = AGREEMENT) -> Held:
    request = agreement.asked_of(ExecutionRequest(code=code, variables={"orders": ORDERS}))
    result = await engine.execute(request)
    assert result.success, result.stderr
    return await agreement.hold(engine, result, result.artifacts)


async def test_a_program_that_does_what_was_agreed(engine: PythonExecutor) -> None:
    found = await held(engine, GOOD)
    assert (found.issues, found.problem) == ((), "")
    assert list(found.plain) == ["share", "table", "chart"]
    assert found.plain["share"] == pytest.approx(5 / 7)
    assert found.plain["chart"]["name"] == "chart.csv"
    assert json.dumps([found.plain, found.encoded])
    assert live_values(found.encoded)["table"].n.tolist() == [2, 5]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("share = '5/7'", "`share` should be a float: assign a number; it is a str, '5/7'."),
        ("share = 5.0", "The constraint `0 <= share <= 1` does not hold: share is 5.0."),
        ("table = table.head(1)", "`table has 2 rows` (checked as `len(table) == 2`) does not"),
        ("table.columns = ['city', 'm']", "does not fit the schema at $.table[0]: 'n' is a"),
        ("chart = 'other.png'", "naming 'other.png', which was not written."),
        ("del chart", "`chart` is missing"),
    ],
)
async def test_what_is_not_as_agreed_is_said_to_the_model(
    engine: PythonExecutor, change: str, words: str
) -> None:
    found = await held(engine, f"{GOOD}\n{change}")
    assert found.problem.startswith("It ran, but what it leaves behind is not what was declared:")
    assert words in found.problem


async def test_all_of_it_is_in_the_prompt() -> None:
    told = AGREEMENT.describe({"orders": ORDERS})
    for words in (
        "`orders`: pandas DataFrame of 3 rows and 2 columns",
        "`share`: float",
        "`chart`: File",
        "- 0 <= share <= 1",
        "- table has 2 rows (checked as: len(table) == 2)",
        "- be brief",
        '"required": ["city", "n"]',
        "def test_share(): assert 0 < share < 1",
    ):
        assert words in told
    assert agree().describe() == ""


async def test_nothing_is_asked_where_nothing_is_agreed(engine: PythonExecutor) -> None:
    request = ExecutionRequest(code="a = 1")
    assert agree().asked_of(request) == request
    assert (await held(engine, "a = 1", agree())).plain == {}
    shell = ExecutionRequest(code="true", language="bash")
    assert AGREEMENT.asked_of(shell) == shell


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"outputs": {"a": "frame"}}, "'a'.*'frame'"),
        ({"constraints": [1]}, "1"),
        ({"schema": {"a": object()}}, "schema"),
        ({"tests": "def ("}, "tests"),
    ],
)
async def test_what_cannot_be_agreed_on_is_refused(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        agree(**asked)


async def test_a_constraint_that_nothing_is_held_against_is_told_to_the_caller() -> None:
    agreed = agree(outputs={"total": int}, constraints=["totl > 0", "total > 0"])
    (remark,) = agreed.constraints.remarks
    assert remark.startswith("The constraint `totl > 0` is told to the model, and not checked")
