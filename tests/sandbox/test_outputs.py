"""Values and checks that are asked for: through the real sandbox, and read with suspicion."""

from __future__ import annotations

import copy
import datetime as dt
import json
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pandas as pd
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from backend.config.settings import load_settings
from backend.errors import RequestError
from backend.sandbox import Executor, open_executor
from backend.sandbox.executors.local.claims import OUTPUTS_BYTES, outputs_of
from backend.sandbox.inside.outputs import as_json
from backend.tools.coder.proof.values import as_object
from backend.types import ExecutionRequest, ExecutionResult

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def executor(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Executor]:
    if shutil.which("bwrap") is None:
        pytest.skip("install bubblewrap: apt-get install bubblewrap")
    settings = load_settings(
        execution_dir=tmp_path_factory.mktemp("outputs") / "execution", timeout_s=20
    )
    async with open_executor("local", settings) as opened:
        yield opened


async def outputs(executor: Executor, code: str, *names: str) -> dict[str, Any]:
    result = await executor.run(ExecutionRequest(code=code, outputs=names))
    assert result.success, result.stderr
    assert result.outputs is not None
    return dict(result.outputs)


async def checked(executor: Executor, code: str, *checks: str) -> ExecutionResult:
    result = await executor.run(ExecutionRequest(code=code, checks=checks))
    assert result.success, result.stderr
    return result


PLAIN = [
    ("None", None),
    ("True", True),
    ("-3", -3),
    ("0.1", 0.1),
    ("'한\\n'", "한\n"),
    ("[1, [2.5, None], 'a']", [1, [2.5, None], "a"]),
    ("{'a': {'b': [True]}}", {"a": {"b": [True]}}),
    ("range(3)", [0, 1, 2]),
    ("{'a': 1}.keys()", ["a"]),
    ("__import__('collections').Counter('aab')", {"a": 2, "b": 1}),
    ("np.int32(7)", 7),
    ("np.float64(2.5)", 2.5),
    ("np.bool_(True)", True),
    ("np.str_('a')", "a"),
]
TAGGED = [
    ("float('nan')", {"$type": "float", "value": "nan"}),
    ("[-float('inf')]", [{"$type": "float", "value": "-inf"}]),
    ("2**70", {"$type": "int", "hex": hex(2**70)}),
    ("(1, (2,))", {"$type": "tuple", "items": [1, {"$type": "tuple", "items": [2]}]}),
    ("{1}", {"$type": "set", "items": [1]}),
    ("{1: 'a'}", {"$type": "dict", "items": [[1, "a"]]}),
    ("{'$type': 'int'}", {"$type": "dict", "items": [["$type", "int"]]}),
    ("b'\\x00'", {"$type": "bytes", "value": "AA=="}),
    ("1 + 2j", {"$type": "complex", "value": ["1.0", "2.0"]}),
    ("dt.date(2024, 1, 2)", {"$type": "date", "value": "2024-01-02"}),
    ("dt.time(3, 4)", {"$type": "time", "value": "03:04:00"}),
    (
        "dt.datetime(2024, 1, 2, 3, tzinfo=dt.UTC)",
        {"$type": "datetime", "value": "2024-01-02T03:00:00+00:00"},
    ),
    ("dt.timedelta(days=1, seconds=2)", {"$type": "timedelta", "value": [1, 2, 0, 0]}),
    (
        "pd.Timestamp('2024-01-02 03:04:05.123456789')",
        {"$type": "datetime", "value": "2024-01-02T03:04:05.123456789"},
    ),
    ("pd.Timedelta(5, unit='ns')", {"$type": "timedelta", "value": [0, 0, 0, 5]}),
    ("pd.NaT", {"$type": "missing"}),
    ("np.datetime64('2024-01-02')", {"$type": "datetime", "value": "2024-01-02"}),
    ("np.timedelta64(3, 's')", {"$type": "timedelta", "value": [0, 3, 0, 0]}),
    ("decimal.Decimal('1.10')", {"$type": "Decimal", "value": "1.10"}),
    ("pathlib.Path('a') / 'b.csv'", {"$type": "path", "value": "a/b.csv"}),
    ("pathlib.Path('b.csv').resolve()", {"$type": "path", "value": "b.csv"}),
    ("pathlib.Path('/etc/x')", {"$type": "path", "value": "/etc/x"}),
    ("open('b.csv', 'w')", {"$type": "path", "value": "b.csv"}),
    (
        "np.arange(4).reshape(2, 2)",
        {"$type": "ndarray", "shape": [2, 2], "dtype": "int64", "values": [0, 1, 2, 3]},
    ),
    (
        "np.array([1.5, np.nan, np.inf])",
        {"$type": "ndarray", "shape": [3], "dtype": "float64", "values": [1.5, "nan", "inf"]},
    ),
    (
        "pd.Series([1.5, None], name='s')",
        {
            "$type": "Series",
            "name": "s",
            "index": {"range": [0, 2, 1], "name": None},
            "dtype": "float64",
            "values": [1.5, "nan"],
        },
    ),
]


@pytest.mark.parametrize(("code", "expected"), PLAIN + TAGGED, ids=lambda each: str(each)[:30])
async def test_a_value_comes_back(executor: Executor, code: str, expected: Any) -> None:
    code = "import decimal, pathlib\nimport datetime as dt, numpy as np, pandas as pd\nit = " + code
    found = await outputs(executor, code, "it")
    assert found == {"it": expected}
    assert type(found["it"]) is type(expected)


async def test_a_frame_comes_back_by_columns_with_dtypes_and_any_index(executor: Executor) -> None:
    code = """
import pandas as pd
frame = pd.DataFrame(
    {
        "n": [1, 2],
        "day": pd.to_datetime(["2024-01-01", None]),
        "zone": pd.to_datetime(["2024-01-01", "2024-07-01"]).tz_localize("Europe/Berlin"),
        "kind": pd.Categorical(["b", None], categories=["b", "a"]),
        "whole": pd.array([1, None], dtype="Int64"),
        "span": pd.to_timedelta([1, None], unit="us"),
    },
    index=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["p", None]),
)
twice = pd.DataFrame([[1, "a"]], columns=["c", "c"])
"""
    found = await outputs(executor, code, "frame", "twice")
    assert found["frame"]["index"] == {
        "levels": [
            {"dtype": "object", "values": ["x", "y"]},
            {"dtype": "int64", "values": [1, 2]},
        ],
        "names": ["p", None],
    }
    assert found["frame"]["columns"]["values"] == ["n", "day", "zone", "kind", "whole", "span"]
    assert [column["values"] for column in found["frame"]["data"]] == [
        [1, 2],
        ["2024-01-01T00:00:00.000000000", "NaT"],
        ["2023-12-31T23:00:00.000000000", "2024-06-30T22:00:00.000000000"],
        [0, -1],
        [1, None],
        [1000, None],
    ]
    assert [column["dtype"] for column in found["frame"]["data"]] == [
        "int64",
        "datetime64[ns]",
        "datetime64[ns, Europe/Berlin]",
        "category",
        "Int64",
        "timedelta64[ns]",
    ]
    assert found["twice"]["columns"]["values"] == ["c", "c"]
    assert [column["values"] for column in found["twice"]["data"]] == [[1], ["a"]]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        pytest.param("it = (n for n in [1])", "generator", id="generator"),
        pytest.param("it = lambda: 1", "function", id="function"),
        pytest.param("it = [object()]", "list of 1", id="inside of a list"),
        pytest.param("it = []\nit.append(it)", "levels deep", id="knot"),
        pytest.param("it = 'x' * 10**7", "str of 10000000", id="long text"),
        pytest.param("it = [[]] * 40_000", "list of 40000", id="many lists"),
        pytest.param("it = [0.1234567890123456] * 100_000", "list of 100000", id="many numbers"),
        pytest.param(
            "import pandas as pd\nit = pd.DataFrame({'a': range(10**6)})",
            "DataFrame of 1000000 rows and 1 columns",
            id="large frame",
        ),
        pytest.param(
            "import numpy as np\nit = np.broadcast_to(np.zeros(1), (1 << 40,))",
            "1099511627776",
            id="array of a terabyte",
        ),
    ],
)
async def test_what_cannot_be_handed_out_says_what_and_why_and_harms_no_other(
    executor: Executor, code: str, words: str
) -> None:
    found = await outputs(executor, f"{code}\nother = 5", "it", "other", "missing")
    assert found.pop("other") == 5
    assert list(found) == ["it"]
    assert found["it"]["$type"] == "unavailable"
    assert words in f"{found['it']['is']} {found['it']['why']}"


async def test_what_is_too_much_together_is_said_of_the_last(executor: Executor) -> None:
    code = f"a = b = 'x' * {OUTPUTS_BYTES // 2 + 10}\nc = 1"
    found = await outputs(executor, code, "a", "b", "c")
    assert len(found["a"]) == OUTPUTS_BYTES // 2 + 10
    assert found["b"]["$type"] == "unavailable"
    assert found["c"] == 1


@pytest.mark.parametrize(
    ("check", "holds"),
    [
        ("total == sum(parts)", False),
        ("0 <= share <= 1", True),
        ("len(parts) == 2 and parts[0] == 1", True),
        ("df['x'].notna().all()", False),
        ("df['y'] > 0", True),
        ("math.isclose(share, 0.5)", True),
        ("np.isclose(share, 0.5)", True),
        ("", None),
        ("nothing > 1", None),
    ],
)
async def test_a_check_holds_or_does_not(
    executor: Executor, check: str, holds: bool | None
) -> None:
    code = """
import pandas as pd
total, parts, share = 4, [1, 2], 0.5
df = pd.DataFrame({"x": [1, None], "y": [1, 2]})
"""
    if check:
        result = await checked(executor, code, check)
        assert [each.holds for each in result.checks] == [holds]
    else:
        with pytest.raises(RequestError, match="expression"):
            await checked(executor, code, check)


async def test_a_check_that_does_not_hold_shows_what_it_spoke_of(executor: Executor) -> None:
    code = "total, parts = 4, [1, 2]"
    result = await checked(
        executor, code, "total == sum(parts)", "all(p > 1 for p in parts)", "1/0"
    )
    wrong, each, raised = result.checks
    assert wrong.values == {"sum(parts)": "3", "total": "4", "parts": "[1, 2]"}
    assert each.values == {"parts": "[1, 2]"}
    assert (raised.holds, raised.error) == (None, "ZeroDivisionError: division by zero")


async def test_a_check_changes_nothing_of_the_program_or_for_the_next_check(
    executor: Executor,
) -> None:
    code = """
import atexit
import pandas as pd
parts, deep, df = [1], {"a": [1]}, pd.DataFrame({"x": [1]})
atexit.register(lambda: print(parts, deep, df.columns.tolist()))
"""
    result = await checked(
        executor,
        code,
        "parts.append(2) is None",
        "deep['a'].append(2) is None",
        "df.insert(0, 'y', 1) is None",
        "len(parts) == 1 and len(deep['a']) == 1 and df.shape == (1, 1)",
        "(parts := 5) == 5",
    )
    assert [each.holds for each in result.checks] == [True] * 5
    assert result.stdout == "[1] {'a': [1]} ['x']\n"


@pytest.mark.parametrize(
    "code",
    ["a = 1\nraise SystemExit(3)", "a = 1\n1 / 0", "a = 1\nimport os\nos._exit(0)"],
    ids=["status", "error", "left at once"],
)
async def test_a_program_that_did_not_end_well_hands_out_nothing(
    executor: Executor, code: str
) -> None:
    result = await executor.run(ExecutionRequest(code=code, outputs=("a",), checks=("a == 1",)))
    assert (result.outputs, result.checks) == (None, ())


async def test_a_program_that_leaves_with_status_zero_has_ended_well(executor: Executor) -> None:
    assert await outputs(executor, "import sys\na = 1\nsys.exit()", "a") == {"a": 1}


async def test_what_a_thread_has_still_to_do_counts(executor: Executor) -> None:
    code = """
import threading, time
a = []
threading.Thread(target=lambda: (time.sleep(0.2), a.append(1))).start()
"""
    assert await outputs(executor, code, "a") == {"a": [1]}


async def test_nothing_is_told_where_nothing_was_asked_for(executor: Executor) -> None:
    result = await executor.run(ExecutionRequest(code="a = 1"))
    assert (result.outputs, result.checks) == (None, ())


async def test_cells_of_a_session_hand_out_what_the_session_knows(executor: Executor) -> None:
    async with await executor.open_session() as session:
        await session.run(ExecutionRequest(code="a = [1]"))
        result = await session.run(
            ExecutionRequest(code="b = 2", outputs=("a", "b"), checks=("a.append(2) is None",))
        )
        assert result.outputs == {"a": [1], "b": 2}
        assert [check.holds for check in result.checks] == [True]
        assert (await session.run(ExecutionRequest(code="a"))).value == "[1]"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        pytest.param({"outputs": ("not a name",)}, "not a name", id="no name"),
        pytest.param({"outputs": ("class",)}, "class", id="keyword"),
        pytest.param({"outputs": "ab"}, "list", id="text of outputs"),
        pytest.param({"checks": "a == 1"}, "list", id="text of checks"),
        pytest.param({"checks": ("a = 1",)}, "expression", id="statement"),
        pytest.param({"checks": ("a" * 2000,)}, "1000", id="long"),
        pytest.param({"checks": (1,)}, "expression", id="no text"),
        pytest.param({"outputs": ("a",), "language": "bash"}, "bash", id="bash"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused(
    executor: Executor, asked: dict[str, Any], words: str
) -> None:
    with pytest.raises(RequestError, match=words):
        await executor.run(ExecutionRequest(code="a = 1", **asked))


@pytest.mark.parametrize(
    "claim",
    [
        None,
        b"",
        b"[]",
        b"{}",
        b'{"outputs": [], "checks": []}',
        b'{"outputs": {"a": NaN}, "checks": []}',
        b'{"outputs": {"a": 1}, "checks": [1]}',
        b'{"outputs": {}, "checks": [{"check": "a", "holds": 1, "values": {}, "error": ""}]}',
        b'{"outputs": {"a": ' + b"[" * 200 + b"]" * 200 + b'}, "checks": []}',
        b'{"outputs": {"a": ' + b"[" * 60_000 + b"]" * 60_000 + b'}, "checks": []}',
        b'{"outputs": {"a": ' + b"1" * 5000 + b'}, "checks": []}',
        b'{"outputs": {"a": "\xff"}, "checks": []}',
    ],
    ids=range(12),
)
async def test_a_claim_that_is_none_gives_nothing(claim: bytes | None) -> None:
    assert (outputs_of(claim).values, outputs_of(claim).checks) == (None, ())


async def test_a_claim_that_is_forged_hurts_nobody_who_writes_it_down(executor: Executor) -> None:
    text = {"outputs": {"\ud800": ["\udfff"]}, "checks": []}
    found = outputs_of(json.dumps(text).encode())
    assert json.dumps(found.values, ensure_ascii=False).encode()
    code = """
import os, sys
a = 1
payload = b'{"outputs": {"a": 2}, "checks": []}'
os.write(3, b"o" + len(payload).to_bytes(4, "little") + payload)
"""
    result = await executor.run(ExecutionRequest(code=code, outputs=("a",)))
    assert result.outputs == {"a": 1}


async def test_periods_and_intervals_that_go_in_are_periods_and_intervals(
    executor: Executor,
) -> None:
    index = pd.period_range("2024-01", periods=2, freq="M")
    frame = pd.DataFrame({"n": [1, 2], "i": pd.interval_range(0, 2)}, index=index)
    result = await executor.run(ExecutionRequest(code="it", variables={"it": frame}))
    assert result.value == repr(frame)


async def test_values_and_checks_that_are_as_large_as_may_be_arrive(executor: Executor) -> None:
    names = [f"한{number}" * 60 for number in range(6)]
    code = f"import sys\nit = 'x' * {OUTPUTS_BYTES - 1000}\n"
    code += "\n".join(f"{name} = '글' * 1000" for name in names)
    check = " and ".join(["False", *(f"{name} == ''" for name in names)])
    checks = tuple(f"{check} and {number} == 0" for number in range(60))
    asked = ExecutionRequest(code=code, outputs=("it",), checks=checks)
    result = await executor.run(asked)
    assert len((result.outputs or {})["it"]) == OUTPUTS_BYTES - 1000
    assert [each.holds for each in result.checks] == [False] * 60


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text()
        | st.binary()
        | st.dates()
        | st.datetimes(timezones=st.none() | st.just(dt.UTC))
        | st.timedeltas()
        | st.decimals(allow_nan=False),
        lambda inner: (
            st.lists(inner)
            | st.tuples(inner, inner)
            | st.dictionaries(st.text() | st.just("$type"), inner)
            | st.dictionaries(st.integers() | st.dates(), inner)
        ),
        max_leaves=15,
    )
)
async def test_a_plain_value_comes_back_as_it_was(value: object) -> None:
    before = copy.deepcopy(value)
    told = json.loads(as_json({"it": value}, ["it"], OUTPUTS_BYTES, 10_000))
    found = as_object(told["it"])
    assert (found, type(found)) == (value, type(value))
    assert value == before
