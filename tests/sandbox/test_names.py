"""The names a program leaves: told when asked for, of every state of a session, and bounded."""

from __future__ import annotations

import json

import pytest

from backend.sandbox import ExecutionRequest, Executor
from backend.sandbox.executors.local.claims import NAMES_BYTES, names_of
from backend.sandbox.inside import names
from tests.sandbox.conftest import Run


@pytest.mark.sandbox
async def test_names_are_told_with_what_they_stand_for(run: Run) -> None:
    code = (
        "import math\nimport pandas as pd\nfrom math import floor\n"
        "df = pd.DataFrame({'month': ['Jan', 'Feb'], 'sold': [1, 2]})\n"
        "total = 3\n_hidden = 4\n"
        "def double(n, *, by=2): return n * by\n"
        "class Shop: pass\n"
    )
    result = await run(code, describe_names=True)
    assert result.success, result.stderr
    assert result.names == {
        "math": "module math",
        "pd": "module pandas",
        "floor": "function",
        "df": "DataFrame, 2 rows, 2 columns: 'month' object, 'sold' int64",
        "total": "3",
        "_hidden": "",
        "double": "function (n, by)",
        "Shop": "class Shop",
    }


@pytest.mark.sandbox
async def test_nothing_is_told_unasked_nor_of_bash(run: Run) -> None:
    assert (await run("x = 1")).names is None
    assert (await run("x=1", language="bash", describe_names=True)).names is None


@pytest.mark.sandbox
async def test_a_failed_program_tells_what_it_left(run: Run) -> None:
    result = await run("x = 1\n1 / 0", describe_names=True)
    assert (result.success, result.names) == (False, {"x": "1"})


@pytest.mark.sandbox
async def test_no_code_of_the_program_is_called(run: Run) -> None:
    code = (
        "class Loud:\n    def __repr__(self): print('called'); return 'Loud'\n"
        "    __str__ = __len__ = __repr__\nloud = Loud()"
    )
    result = await run(code, describe_names=True)
    assert result.stdout == ""
    assert result.names is not None
    assert result.names["loud"] == "<Loud object>"


@pytest.mark.sandbox
async def test_a_session_tells_the_names_of_all_its_programs(executor: Executor) -> None:
    async with await executor.open_session() as session:

        async def cell(code: str) -> dict[str, str] | None:
            result = await session.run(ExecutionRequest(code=code, describe_names=True))
            return None if result.names is None else dict(result.names)

        assert await cell("x = 1") == {"x": "1"}
        assert await cell("y = x + 1") == {"x": "1", "y": "2"}
        assert await cell("import os\nx = 9\nos._exit(3)") is None
        assert await cell("del x") == {"y": "2"}


@pytest.mark.sandbox
async def test_only_what_was_rolled_back_says_so(executor: Executor) -> None:
    async with await executor.open_session() as session:
        failed = await session.run(ExecutionRequest(code="x = 1\n1 / 0"))
        killed = await session.run(ExecutionRequest(code="import os\nos._exit(3)"))
        assert (failed.rolled_back, killed.rolled_back) == (False, True)


def test_many_names_are_told_without_a_description_and_no_more_than_may_be() -> None:
    many = {f"n{number}": "x" * 75 for number in range(names.MOST + 10)}
    told = names.describe(many)
    assert list(told) == list(many)[10:]
    assert told[f"n{names.MOST + 9}"] == repr("x" * 75)
    assert told["n10"] == ""
    assert sum(map(len, told.values())) <= names.CHARS


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param(None, id="nothing"),
        pytest.param(b"[1]", id="a list"),
        pytest.param(b'{"x": 1}', id="no text"),
        pytest.param(b'{"x y": "1"}', id="no name"),
        pytest.param(b'{"x": "' + b"1" * NAMES_BYTES + b'"}', id="too long"),
        pytest.param(b'{"x": "1"', id="half of it"),
        pytest.param(
            json.dumps({f"n{number}": "" for number in range(501)}).encode(), id="too many"
        ),
    ],
)
def test_what_is_no_claim_is_no_names(claim: bytes | None) -> None:
    assert names_of(claim) is None


def test_a_description_is_one_harmless_line() -> None:
    assert names_of(b'{"x": "a\\nb \\ud800"}') == {"x": "a b ?"}
