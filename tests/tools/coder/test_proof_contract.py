from __future__ import annotations

import datetime as dt
import decimal
import json
import pathlib
import threading
from pathlib import Path
from typing import Any, Literal, Optional

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal, assert_series_equal

from backend.tools.coder.proof.contract import (
    Converted,
    convert,
    live_values,
    parse_outputs,
    single,
)
from backend.tools.coder.proof.encoded import Malformed
from backend.tools.coder.proof.inputs import ALL_CHARS, check_inputs, describe_inputs
from backend.tools.coder.proof.values import as_object, as_plain
from backend.tools.python_executor_engine import PythonExecutor
from backend.types import ExecutionRequest

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="module")]


async def converted(
    engine: PythonExecutor, code: str, declared: dict[str, Any], **request: Any
) -> Converted:
    spec = parse_outputs(declared)
    asked = ExecutionRequest(code=code, outputs=spec.names, **request)
    result = await engine.execute(asked, check=False)
    assert result.success, result.stderr
    found = convert(result.outputs, spec, result.artifacts)
    json.dumps(found.plain, allow_nan=False)
    json.dumps(dict(found.encoded), allow_nan=False)
    return found


# --- declaring


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        (int, "int"),
        ("float", "float"),
        ("number", "float"),
        (bool, "bool"),
        (list[float], "list[float]"),
        ("List[int]", "list[int]"),
        ("dict[str, list[int]]", "dict[str, list[int]]"),
        (dict[str, int], "dict[str, int]"),
        (dt.date, "date"),
        ("datetime.datetime", "datetime"),
        (pd.DataFrame, "DataFrame"),
        ("pd.DataFrame", "DataFrame"),
        ("Series", "Series"),
        (np.ndarray, "ndarray"),
        ("np.ndarray", "ndarray"),
        ("File", "File"),
        (pathlib.Path, "File"),
        ("pathlib.Path", "File"),
        (Optional[int], "int | None"),  # noqa: UP045
        (int | None, "int | None"),
        ("Optional[DataFrame]", "DataFrame | None"),
        ("float | str | None", "float | str | None"),
        (Literal["a", 1], "Literal['a', 1]"),
        ("Literal['up', 'down']", "Literal['up', 'down']"),
        (tuple[int, ...], "tuple[int, ...]"),
        (Any, "Any"),
    ],
    ids=str,
)
async def test_a_type_is_understood_and_can_be_written_down(declared: Any, text: str) -> None:
    spec = parse_outputs({"it": declared})
    assert spec.types == {"it": text}
    assert parse_outputs(spec.types).types == spec.types


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"it": object}, r"'it'.*'object'.*DataFrame"),
        ({"it": "frame of things"}, r"'it'.*'frame of things'.*list\[T\]"),
        ({"it": "np.Series2"}, "'it'.*'np.Series2'"),
        ({"it": "os.Any"}, "'it'.*'os.Any'"),
        ({"it": list[object]}, "'it'.*object"),
        ({"it": threading.Lock}, "'it'.*lock"),
        ({"it": "dict[str]"}, r"'it'.*'dict\[str\]'"),
        ({"it": "list[" * 50 + "int" + "]" * 50}, "'it'"),
        ({"it": "__import__('os')"}, "'it'"),
        ({"it": 5}, "'it'.*'5'"),
        ({"not a name": int}, "'not a name'"),
        ({"class": int}, "'class'"),
        ({"__it": int}, "'__it'"),
    ],
    ids=str,
)
async def test_what_is_no_type_or_no_name_is_refused_and_named(
    declared: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        parse_outputs(declared)


async def test_the_prompt_names_every_output_with_its_type() -> None:
    text = parse_outputs({"share": float, "chart": "File"}).describe()
    assert "`share`: float" in text
    assert "`chart`: File (the path of a file" in text
    assert parse_outputs(None).describe() == ""


# --- converting


LOSSLESS = [
    ("3", int, 3),
    ("3.0", int, 3),
    ("'3'", int, 3),
    ("np.int64(3)", int, 3),
    ("np.array(3)", int, 3),
    ("2**80", int, 2**80),
    ("2**1024", int, 2**1024),
    ("decimal.Decimal('3.00')", int, 3),
    ("3", float, 3.0),
    ("'3.0'", float, 3.0),
    ("' -1.5e3 '", float, -1500.0),
    ("decimal.Decimal('0.1')", float, 0.1),
    ("np.float32(0.5)", float, 0.5),
    ("float('inf')", float, float("inf")),
    ("'a'", str, "a"),
    ("np.str_('a')", str, "a"),
    ("pathlib.Path('a/b')", str, "a/b"),
    ("np.bool_(True)", bool, True),
    ("(1, 2)", list, [1, 2]),
    ("np.arange(4).reshape(2, 2)", list, [[0, 1], [2, 3]]),
    ("pd.Series([1.5, 2])", list[float], [1.5, 2.0]),
    ("['1', 2, 3.0]", list[int], [1, 2, 3]),
    ("pd.Series([1, 2], index=['a', 'b'])", dict[str, int], {"a": 1, "b": 2}),
    ("{1: 2.0}", dict[int, int], {1: 2}),
    ("dt.datetime(2024, 1, 2)", dt.date, dt.date(2024, 1, 2)),
    ("pd.Timestamp('2024-01-02')", dt.date, dt.date(2024, 1, 2)),
    ("'2024-01-02'", dt.date, dt.date(2024, 1, 2)),
    ("dt.date(2024, 1, 2)", dt.datetime, dt.datetime(2024, 1, 2)),  # noqa: DTZ001
    ("pd.Timestamp('2024-01-02', tz='UTC')", dt.datetime, dt.datetime(2024, 1, 2, tzinfo=dt.UTC)),
    ("None", Optional[float], None),  # noqa: UP045
    ("pd.NaT", "date | None", None),
    ("'3'", "int | str", "3"),
    ("3", "str | int", 3),
    ("'a'", Literal["a", "b"], "a"),
    ("{'a'}", set, {"a"}),
    ("(1, 2)", tuple[int, ...], (1, 2)),
    ("decimal.Decimal('1.10')", decimal.Decimal, decimal.Decimal("1.10")),
    ("[None, {'a': (1,)}]", Any, [None, {"a": (1,)}]),
]


@pytest.mark.parametrize(("code", "declared", "expected"), LOSSLESS, ids=str)
async def test_a_value_is_converted_without_loss(
    engine: PythonExecutor, code: str, declared: Any, expected: Any
) -> None:
    imports = "import decimal, pathlib\nimport datetime as dt, numpy as np, pandas as pd\n"
    found = await converted(engine, f"{imports}it = {code}", {"it": declared})
    assert found.findings == ()
    value = live_values(found.encoded)["it"]
    assert (value, type(value)) == (expected, type(expected))


REFUSED = [
    ("3.7", int, "`it` should be an int: assign a whole number; it is a float, 3.7."),
    ("True", int, "`it` should be an int: assign a whole number; it is a bool, True."),
    ("float('nan')", int, "`it` should be an int: assign a whole number; it is a float, nan."),
    ("'3.7'", int, "`it` should be an int: assign a whole number; it is a str, '3.7'."),
    ("'1,000'", float, "`it` should be a float: assign a number; it is a str, '1,000'."),
    ("2**80 + 1", float, "should be a float"),
    ("3", str, "`it` should be a str: assign text; it is an int, 3."),
    ("1", bool, "`it` should be a bool: assign True or False; it is an int, 1."),
    ("{1, 2}", list, "`it` should be a list: assign a list; it is a set of 2 items."),
    ("['a']", list[float], "`it[0]` should be a float: assign a number; it is a str, 'a'."),
    ("{'a': 1.5}", dict[str, int], "`it['a']` should be an int: assign a whole number; it is"),
    ("[]", dict, "`it` should be a dict: assign a dict; it is a list of 0 items."),
    ("dt.datetime(2024, 1, 2, 3)", dt.date, "`it` should be a date"),
    ("'soon'", dt.datetime, "`it` should be a datetime"),
    ("None", float, "`it` should be a float: assign a number; it is None."),
    ("'x'", Optional[float], "should be a float: assign a number, or None; it is a str, 'x'."),  # noqa: UP045
    ("'c'", Literal["a", "b"], "`it` should be one of 'a', 'b'; it is a str, 'c'."),
    ("[{'a': 1}]", "DataFrame", "should be a DataFrame: assign a pandas DataFrame; it is a list"),
    ("pd.Series([1])", "DataFrame", "it is a Series of 1 values."),
    ("[1]", "ndarray", "`it` should be a ndarray: assign a numpy array; it is a list of 1 items."),
    ("(n for n in [1])", list, "it is a generator, which is not a value that is handed out."),
    ("object()", Any, "`it` cannot be handed out; it is an object, which is not a value"),
    ("b''", "int | str", "`it` should be an int | str; it is a bytes"),
    (
        "'x.png'",
        "File",
        "`it` should be a File: assign the path of a file that the program wrote; it is a str "
        "naming 'x.png', which was not written.",
    ),
    ("pathlib.Path('y/x.png')", "File", "it is a path naming 'y/x.png', which was not written."),
    ("5", "File", "`it` should be a File: assign the path of a file that the program wrote; it is"),
    ("{'$type': 'file', 'name': 'x'}", "File", "`it` should be a File"),
]


@pytest.mark.parametrize(("code", "declared", "words"), REFUSED, ids=str)
async def test_what_would_be_lost_is_refused_in_words_for_a_model(
    engine: PythonExecutor, code: str, declared: Any, words: str
) -> None:
    imports = "import decimal, pathlib\nimport datetime as dt, numpy as np, pandas as pd\n"
    found = await converted(
        engine, f"{imports}it = {code}\nother = 1", {"it": declared, "other": int}
    )
    (finding,) = found.findings
    assert words in finding.message
    assert (finding.kind, finding.severity) == ("output", "error")
    assert found.plain == {"other": 1}


async def test_a_missing_output_is_named(engine: PythonExecutor) -> None:
    found = await converted(engine, "def f():\n    a = 1", {"a": float, "b": "File"})
    assert [finding.message for finding in found.findings] == [
        "`a` is missing: define it at the top level of the program, as float.",
        "`b` is missing: define it at the top level of the program, as File.",
    ]
    assert len(convert(None, parse_outputs({"a": float})).findings) == 1


@pytest.mark.parametrize(
    "path",
    [
        "'out/b.csv'",
        "'./out/b.csv'",
        "pathlib.Path('out') / 'b.csv'",
        "pathlib.Path('out/b.csv').resolve()",
        "os.path.abspath('out/b.csv')",
        "file",
    ],
)
async def test_a_file_is_what_the_program_wrote_under_that_name(
    engine: PythonExecutor, path: str
) -> None:
    code = f"""
import os, pathlib
os.mkdir("out")
file = open("out/b.csv", "w")
file.write("x")
file.close()
open("b.csv", "w").write("other")
b = {path}
a = 1
"""
    found = await converted(engine, code, {"b": "File", "a": float})
    assert found.findings == ()
    assert list(found.plain) == ["b", "a"]
    assert found.plain["b"] == {"name": "out/b.csv", "media_type": "text/csv", "size": 1}
    alive = live_values(found.encoded, {"out/b.csv": Path("/kept/b.csv")})
    assert alive == {"b": Path("/kept/b.csv"), "a": 1.0}


async def test_several_files_may_be_in_a_list(engine: PythonExecutor) -> None:
    code = "names = ['a.txt', 'b.txt']\nfor each in names: open(each, 'w').write(each)"
    found = await converted(engine, code, {"names": "list[File]"})
    assert [each["name"] for each in found.plain["names"]] == ["a.txt", "b.txt"]
    assert live_values(found.encoded, {"a.txt": 1, "b.txt": 2}) == {"names": [1, 2]}


async def test_order_is_kept_and_one_value_is_unwrapped(engine: PythonExecutor) -> None:
    found = await converted(engine, "a, b, c = 1, 2, 3", {"c": int, "a": float, "b": str | int})
    assert list(found.plain) == ["c", "a", "b"]
    assert single(found.plain) == {"c": 3, "a": 1.0, "b": 2}
    assert single((await converted(engine, "a = 1", {"a": int})).plain) == 1


FRAMES = [
    pd.DataFrame({"n": [1, 2], "t": ["a", None], "f": [1.5, np.nan]}, index=["x", "y"]),
    pd.DataFrame({"o": [1, "a", None], "l": [[1], {}, (1,)]}),
    pd.DataFrame({"c": pd.Categorical(["b", None], categories=["b", "a"], ordered=True)}),
    pd.DataFrame({"t": pd.to_datetime(["2024-01-01", None]).tz_localize("Europe/Berlin")}),
    pd.DataFrame({"d": pd.to_timedelta([1, None], unit="h")}),
    pd.DataFrame({"i": pd.array([1, None], dtype="Int64"), "s": pd.array(["a", None], "string")}),
    pd.DataFrame([[1, 2]], columns=["a", "a"]),
    pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")], names=["p", None])),
    pd.DataFrame({"n": [1, 2]}, index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])),
    pd.DataFrame({"n": [1, 2]}, index=pd.period_range("2024-01", periods=2, freq="M")),
    pd.DataFrame({"n": [1.0]}, index=pd.to_datetime(["2024-01-01 12:00:00.123456789"])),
    pd.DataFrame(),
    pd.DataFrame({"u": np.array([2**64 - 1], dtype="uint64"), "b": [True]}),
]


@pytest.mark.parametrize("frame", FRAMES, ids=range(len(FRAMES)))
async def test_a_frame_comes_back_as_it_was(engine: PythonExecutor, frame: Any) -> None:
    found = await converted(engine, "it = it", {"it": "DataFrame"}, variables={"it": frame})
    assert found.findings == ()
    assert_frame_equal(live_values(found.encoded)["it"], frame, check_freq=False)


async def test_arrays_and_series_come_back_as_they_were(engine: PythonExecutor) -> None:
    arrays = {
        "whole": np.arange(6, dtype="int16").reshape(2, 3),
        "flat": np.array(2.5),
        "empty": np.zeros((0, 3)),
        "texts": np.array(["a", "한글"]),
        "days": np.array(["2024-01-01", "NaT"], dtype="M8[D]"),
        "spans": np.array([1, 2], dtype="m8[s]"),
        "truth": np.array([True, False]),
        "mixed": np.array([1, "a", None], dtype=object),
        "complexes": np.array([1 + 2j]),
        "swapped": np.array([1, 2], dtype=">i4"),
    }
    declared = dict.fromkeys(arrays, "ndarray")
    code = "\n".join(f"{name} = {name}" for name in arrays)
    found = await converted(engine, code, declared, variables=arrays)
    assert found.findings == ()
    for name, array in live_values(found.encoded).items():
        assert (array.dtype, array.shape) == (arrays[name].dtype, arrays[name].shape), name
        np.testing.assert_array_equal(array, arrays[name])
    series = pd.Series([1.5, None], index=pd.Index(["a", "b"], name="k"), name="s")
    found = await converted(engine, "it = it", {"it": "Series"}, variables={"it": series})
    assert_series_equal(live_values(found.encoded)["it"], series)


async def test_a_table_as_plain_json_is_split(engine: PythonExecutor) -> None:
    code = """
import pandas as pd
it = pd.DataFrame({"n": [1.0, None], "day": pd.to_datetime(["2024-01-01", None])}, index=["x", "y"])
"""
    found = await converted(engine, code, {"it": "DataFrame"})
    assert found.plain["it"] == {
        "columns": ["n", "day"],
        "index": ["x", "y"],
        "data": [[1.0, "2024-01-01T00:00:00.000000000"], ["nan", None]],
        "dtypes": ["float64", "datetime64[ns]"],
    }


async def test_above_the_cap_the_finding_says_what_to_do(engine: PythonExecutor) -> None:
    code = "import pandas as pd\nit = pd.DataFrame({'a': range(10**6)})"
    (finding,) = (await converted(engine, code, {"it": "DataFrame"})).findings
    assert finding.message == (
        "`it` should be a DataFrame: assign a pandas DataFrame; it is a DataFrame of 1000000 rows "
        "and 1 columns, which is more than what is handed out as values: hand out a summary, or "
        "write it to a file."
    )


# --- what a hostile program could claim


RANGE = {"range": [0, 1, 1], "name": None}
HOSTILE = [
    {"$type": "DataFrame"},
    {"$type": "ndarray", "dtype": "int64", "shape": [10**9], "values": [1]},
    {"$type": "ndarray", "dtype": "int64", "shape": [-1, -1], "values": [1]},
    {"$type": "ndarray", "dtype": "<U99999999", "shape": [2], "values": ["a"]},
    {"$type": "ndarray", "dtype": "V8", "shape": [1], "values": ["a"]},
    {"$type": "ndarray", "dtype": "int64", "shape": [1], "values": [{"a": 1}]},
    {"$type": "Series", "name": None, "index": {"range": [0, 10**15, 1], "name": None},
     "dtype": "int64", "values": [1]},
    {"$type": "Series", "name": [], "index": RANGE, "dtype": "int64", "values": [1]},
    {"$type": "Series", "name": None, "index": RANGE, "dtype": "category", "ordered": True,
     "categories": {"dtype": "object", "values": []}, "values": [7]},
    {"$type": "Index", "index": {"range": [0, 10**15, 1], "name": None}},
    {"$type": "DataFrame", "index": RANGE, "columns": RANGE, "data": []},
    {"$type": "int", "hex": 5},
    {"$type": "datetime", "value": 5},
    {"$type": "timedelta", "value": [10**30, 0, 0, 0]},
    {"$type": "dict", "items": [[[], 1, 2]]},
    {"$type": "set", "items": [[]]},
    {"$type": "nonsense"},
    {"$type": "unavailable", "is": "x", "why": "y"},
]  # fmt: skip
KINDS = ["DataFrame", "Series", "ndarray", "list", "dict", "int", "float", "date", "File", "Any"]


@pytest.mark.parametrize("raw", HOSTILE, ids=str)
async def test_a_forged_value_is_refused_and_costs_nothing(raw: Any) -> None:
    with pytest.raises(Malformed):
        as_object(raw)
    for kind in KINDS:
        found = convert({"it": raw}, parse_outputs({"it": kind}))
        json.dumps(found.plain)
        assert found.findings or found.plain


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["$type", "items", "values", "dtype", "shape", "index", "name", "value",
                         "columns", "data", "range", "levels", "hex"]),
        inner | st.sampled_from(["DataFrame", "ndarray", "Series", "dict", "int", "set", "file",
                                 "Decimal", "datetime", "float", "Index", "int64", "category"]),
    ),
    max_leaves=20,
)  # fmt: skip


@given(JSON, st.sampled_from(KINDS))
async def test_whatever_is_claimed_there_is_a_finding_or_plain_json(raw: Any, kind: str) -> None:
    found = convert({"it": raw}, parse_outputs({"it": kind}))
    assert bool(found.findings) != bool(found.encoded)
    json.dumps(found.plain)


async def test_a_huge_decimal_is_not_made_a_number() -> None:
    raw = {"$type": "Decimal", "value": "1E+100000000"}
    assert convert({"it": raw}, parse_outputs({"it": int})).findings
    assert as_plain(raw) == "1E+100000000"


# --- inputs


class Stubborn:
    def __repr__(self) -> str:
        raise RuntimeError("no")


async def test_inputs_are_told_with_type_shape_columns_and_a_sample() -> None:
    frame = pd.DataFrame({"city": ["Seoul", "Busan"], "n": [1, 2]})
    before = frame.copy(deep=True)
    inputs = {"frame": frame, "rates": {"EUR": 1.1}, "grid": np.zeros((2, 3)), "odd": Stubborn()}
    text = describe_inputs(inputs)
    for words in (
        "`frame`: pandas DataFrame of 2 rows and 2 columns",
        "column 'city' object: 'Seoul', 'Busan'",
        "`rates`: dict of 1, keys 'EUR'",
        "`grid`: numpy array of float64, shape 2 x 3",
        "`odd`: Stubborn",
    ):
        assert words in text
    assert_frame_equal(frame, before)


async def test_what_is_told_of_inputs_is_bounded() -> None:
    inputs = {f"x{n}": pd.DataFrame(np.zeros((2, 500))) for n in range(100)}
    inputs |= {"text": "x" * 10**7, "rows": list(range(10**6))}
    text = describe_inputs(inputs)
    assert len(text) < ALL_CHARS + 1500
    assert "more: `x" in text


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"not a name": 1}, "'not a name'"),
        ({"for": 1}, "'for'"),
        ({"handle": threading.Lock()}, "'handle'.*lock"),
        ({"f": lambda: 1}, "'f'.*function"),
        ({"json": json}, "'json'.*module"),
        ({"big": b"x" * (70 << 20)}, "'big'.*64 MB"),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else "",
)
async def test_an_input_that_cannot_be_passed_is_named(inputs: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_inputs({"fine": [1], **inputs})


async def test_inputs_that_can_be_passed_are_not_changed(engine: PythonExecutor) -> None:
    frame, rows = pd.DataFrame({"a": [1]}), [{"a": [1]}]
    check_inputs({"frame": frame, "rows": rows})
    code = "frame['a'] = 9\nrows[0]['a'].append(2)\nn = len(rows[0]['a'])"
    found = await converted(engine, code, {"n": int}, variables={"frame": frame, "rows": rows})
    assert (found.plain, frame["a"].tolist(), rows) == ({"n": 2}, [1], [{"a": [1]}])
