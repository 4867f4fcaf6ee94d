from __future__ import annotations

import collections
import copy
import datetime as dt
import decimal
import enum
import math
import pathlib
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal, assert_index_equal, assert_series_equal

from backend.errors import RequestError, TooLarge
from backend.sandbox.executors.local.variables import MAX_BYTES, as_environment, encode
from backend.sandbox.inside.variables import VariableError, decode

NAMES = ["x", "y", "z"]
DAYS = pd.date_range("2024-01-01", periods=3)


class Color(enum.IntEnum):
    RED = 1


def there_and_back(value: Any) -> tuple[str, Any]:
    encoded = encode({"it": value})
    return encoded["it"][0], decode(encoded)["it"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def alike(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, float):
        both_nan = math.isnan(one) and math.isnan(other)
        return both_nan or (one == other and math.copysign(1, one) == math.copysign(1, other))
    return bool(one == other)


@given(json_values)
def test_plain_values_arrive_exactly(value: Any) -> None:
    before = copy.deepcopy(value)
    kind, arrived = there_and_back(value)
    assert kind == "json"
    assert alike(arrived, before)
    assert alike(value, before)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param((1, 2), id="tuple"),
        pytest.param({"a", "b"}, id="set"),
        pytest.param({1: "a"}, id="number as key"),
        pytest.param({("a", 1): [(1,)]}, id="tuple as key"),
        pytest.param([(1, 2)], id="tuple in a list"),
        pytest.param(b"\0\xff", id="bytes"),
        pytest.param(1 + 2j, id="complex"),
        pytest.param(10**5000, id="huge integer"),
        pytest.param(dt.datetime(2024, 1, 2, 3, tzinfo=dt.UTC), id="datetime"),
        pytest.param(dt.timedelta(days=1), id="timedelta"),
        pytest.param(decimal.Decimal("1.10"), id="Decimal"),
        pytest.param(pathlib.PurePosixPath("/a/b"), id="path"),
        pytest.param(collections.OrderedDict(a=1), id="OrderedDict"),
        pytest.param(collections.Counter("aab"), id="Counter"),
        pytest.param(Color.RED, id="IntEnum"),
        pytest.param(np.float64(1.5), id="numpy number"),
        pytest.param(pd.Timestamp("2024-01-01"), id="Timestamp"),
        pytest.param(len, id="function of a library"),
        pytest.param(range(3), id="range"),
    ],
)
def test_other_values_arrive_as_what_they_are(value: Any) -> None:
    kind, arrived = there_and_back(value)
    assert kind == "pickle"
    assert type(arrived) is type(value)
    assert arrived == value


def test_what_is_one_list_stays_one_list() -> None:
    row = [0, 0]
    _, arrived = there_and_back([row, row])
    assert arrived[0] is arrived[1]
    knot: list[Any] = []
    knot.append(knot)
    _, arrived = there_and_back(knot)
    assert arrived[0] is arrived


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        pytest.param(np.arange(6).reshape(2, 3), "npy", id="integers"),
        pytest.param(np.asfortranarray(np.eye(3)), "npy", id="fortran order"),
        pytest.param(np.array(5), "npy", id="no dimension"),
        pytest.param(np.zeros((0, 3)), "npy", id="empty"),
        pytest.param(np.array([1, 2], dtype=">i2"), "npy", id="other byte order"),
        pytest.param(np.array(["a", "한"]), "npy", id="texts"),
        pytest.param(np.array(["2024-01-01"], dtype="M8[D]"), "npy", id="dates"),
        pytest.param(np.array([(1, 2.0)], dtype=[("a", int), ("b", float)]), "npy", id="records"),
        pytest.param(np.arange(10)[::-2], "npy", id="view"),
        pytest.param(np.array([1, "a", None], dtype=object), "pickle", id="objects"),
        pytest.param(np.ma.masked_array([1, 2], mask=[0, 1]), "pickle", id="masked"),
    ],
)
def test_arrays_arrive(array: Any, kind: str) -> None:
    before = array.copy()
    how, arrived = there_and_back(array)
    assert (how, type(arrived), arrived.dtype) == (kind, type(array), array.dtype)
    np.testing.assert_array_equal(arrived, before)
    np.testing.assert_array_equal(array, before)
    assert arrived.flags.writeable


FRAMES = [
    pytest.param(pd.DataFrame({"n": [1, 2, 3], "t": NAMES}), "arrow", id="numbers and texts"),
    pytest.param(pd.DataFrame({"f": [1.5, np.nan, np.inf]}), "arrow", id="nan and inf"),
    pytest.param(pd.DataFrame({"t": ["a", None, "c"]}), "arrow", id="None"),
    pytest.param(pd.DataFrame({"t": ["a", np.nan, "c"]}), "pickle", id="nan among texts"),
    pytest.param(pd.DataFrame({"b": [True, False]}), "arrow", id="truth"),
    pytest.param(pd.DataFrame({"n": pd.array([1, None], dtype="Int64")}), "arrow", id="Int64"),
    pytest.param(pd.DataFrame({"n": np.array([1, 2], dtype="int8")}), "arrow", id="int8"),
    pytest.param(
        pd.DataFrame({"c": pd.Categorical(["b", "a"], categories=["b", "a"], ordered=True)}),
        "arrow",
        id="categories in order",
    ),
    pytest.param(
        pd.DataFrame({"t": pd.to_datetime(["2024-01-01", None]).tz_localize("Europe/Berlin")}),
        "arrow",
        id="times of a zone",
    ),
    pytest.param(
        pd.DataFrame({"t": np.array(["2024-01-01"], dtype="M8[s]")}), "arrow", id="seconds"
    ),
    pytest.param(pd.DataFrame({"d": pd.to_timedelta([1, 2], unit="h")}), "arrow", id="durations"),
    pytest.param(pd.DataFrame({"n": [1, 2]}, index=["a", "b"]), "arrow", id="index of texts"),
    pytest.param(
        pd.DataFrame({"n": [1, 2]}, index=pd.Index([5, 7], name="key")), "arrow", id="named index"
    ),
    pytest.param(
        pd.DataFrame(
            {"n": [1, 2]}, index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["p", "q"])
        ),
        "arrow",
        id="index of levels",
    ),
    pytest.param(pd.DataFrame(), "pickle", id="empty"),
    pytest.param(pd.DataFrame({"n": [1, 2, 3]}, index=DAYS), "pickle", id="index with a frequency"),
    pytest.param(pd.DataFrame([[1, 2]]), "pickle", id="numbered columns"),
    pytest.param(pd.DataFrame([[1, 2]], columns=["a", "a"]), "pickle", id="a column twice"),
    pytest.param(
        pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])),
        "arrow",
        id="columns of levels",
    ),
    pytest.param(pd.DataFrame({"o": [1, "a", None]}), "pickle", id="mixed objects"),
    pytest.param(pd.DataFrame({"o": [[1], [2, 3]]}), "pickle", id="lists"),
    pytest.param(pd.DataFrame({"c": [1 + 2j]}), "pickle", id="complex numbers"),
    pytest.param(pd.DataFrame({"t": ["\ud800"]}), "pickle", id="half a character"),
]


@pytest.mark.parametrize(("frame", "kind"), FRAMES)
def test_frames_arrive(frame: Any, kind: str) -> None:
    before = frame.copy(deep=True)
    how, arrived = there_and_back(frame)
    assert how == kind
    assert_frame_equal(arrived, before, check_index_type="equiv")
    assert_index_equal(arrived.index, before.index, exact=True)
    assert_index_equal(arrived.columns, before.columns, exact=kind == "arrow" or "equiv")
    assert_frame_equal(frame, before)


def test_a_frame_that_arrived_can_be_changed() -> None:
    for frame in (pd.DataFrame({"a": [1.5, 2.5]}), pd.DataFrame({"a": [1, 2], "b": [3.0, 4.0]})):
        _, arrived = there_and_back(frame)
        arrived.iloc[0, 0] = 9
        arrived["a"].to_numpy()[1] = 8
        arrived["new"] = 1
        assert arrived["a"].tolist() == [9, 8]


def test_what_a_frame_carries_along_arrives() -> None:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["unit"] = {"a": "kg"}
    _, arrived = there_and_back(frame)
    assert arrived.attrs == {"unit": {"a": "kg"}}


@pytest.mark.parametrize(
    ("series", "kind"),
    [
        pytest.param(pd.Series([1, 2], name="n"), "arrow", id="named"),
        pytest.param(pd.Series(["a", None]), "arrow", id="unnamed"),
        pytest.param(pd.Series([1.5], index=["a"], name=""), "arrow", id="index"),
        pytest.param(pd.Series([1.5], name=5), "pickle", id="named by a number"),
        pytest.param(pd.Series([1, "a"]), "pickle", id="mixed"),
    ],
)
def test_series_arrive(series: Any, kind: str) -> None:
    how, arrived = there_and_back(series)
    assert how == kind
    assert_series_equal(arrived, series)


class Stubborn:
    def __reduce__(self) -> Any:
        raise RuntimeError("not me")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda: lambda: 1, "function", id="lambda"),
        pytest.param(lambda: sys.stderr, "TextIO|EncodedFile", id="file"),
        pytest.param(threading.Lock, "lock", id="lock"),
        pytest.param(lambda: (n for n in [1]), "generator", id="generator"),
        pytest.param(Stubborn, "not me", id="refuses"),
        pytest.param(lambda: [{"deep": threading.Lock()}], "list", id="inside of another"),
    ],
)
def test_what_cannot_be_passed_is_named_with_its_type(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(RequestError, match=rf"'handle'.*({words}).*file") as caught:
        encode({"fine": 1, "handle": make()})
    assert caught.value.param == "variables"


def test_a_class_of_the_callers_own_program_is_refused_before_anything_runs() -> None:
    program = """
from backend.errors import RequestError
from backend.sandbox.executors.local.variables import encode
class Mine: pass
def own(): pass
for value in (Mine(), Mine, own, [1, {"a": Mine()}]):
    try:
        encode({"thing": value})
    except RequestError as error:
        print("'thing'" in str(error) and "program that passes it" in str(error))
print(encode({"n": 1}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["True"] * 4 + ["{'n': ('json', b'1')}"], done.stderr


def test_plain_values_and_objects_import_nothing() -> None:
    program = """
import sys
from backend.sandbox.executors.local.variables import encode
encode({"n": [1], "t": (1, 2)})
print({"numpy", "pandas", "pyarrow"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


@pytest.mark.parametrize(
    "name", ["not a name", "class", "__builtins__", "", "1a", 5], ids=lambda name: repr(name)
)
def test_names_that_are_none_are_refused(name: Any) -> None:
    for use in (encode, as_environment):
        with pytest.raises(RequestError, match=repr(name)):
            use({name: 1})


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("a" * (MAX_BYTES + 1), id="text"),
        pytest.param(b"a" * (MAX_BYTES + 1), id="bytes"),
        pytest.param(np.zeros(MAX_BYTES // 8 + 1), id="array"),
        pytest.param(np.broadcast_to(np.zeros(1), (1 << 40,)), id="array of a terabyte"),
        pytest.param(pd.DataFrame({"a": np.zeros(MAX_BYTES // 8 + 1)}), id="frame"),
        pytest.param(pd.Series(np.zeros(MAX_BYTES + 1)), id="frame of half a gigabyte"),
    ],
)
def test_too_much_is_refused_and_named(value: Any) -> None:
    with pytest.raises(TooLarge, match="'big'"):
        encode({"small": 1, "big": value})


def test_the_bound_is_on_all_together() -> None:
    half = b"a" * (MAX_BYTES // 2)
    encode({"one": half})
    with pytest.raises(TooLarge, match="'three'"):
        encode({"one": half[:-100], "two": half[:-100], "three": half})


def test_what_cannot_be_rebuilt_says_which_and_why() -> None:
    missing = b"cno_such_library\nThing\n."
    with pytest.raises(VariableError, match=r"'thing'.*no_such_library"):
        decode({"thing": ("pickle", missing)})


def test_a_shell_sees_text_as_it_is_and_the_rest_as_json() -> None:
    seen = as_environment({"text": "값 \n", "n": 1, "rows": [{"a": None}], "yes": True})
    assert seen == {"text": "값 \n", "n": "1", "rows": '[{"a": null}]', "yes": "true"}


@pytest.mark.parametrize(
    "value", [{1, 2}, b"a", pd.DataFrame(), object()], ids=["set", "bytes", "frame", "object"]
)
def test_a_shell_gets_nothing_that_has_no_json_form(value: Any) -> None:
    with pytest.raises(RequestError, match="'it'"):
        as_environment({"it": value})
