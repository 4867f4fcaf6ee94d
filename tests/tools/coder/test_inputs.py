"""Variables of the caller that a program finds defined: whole, by name, and unchanged outside."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.ollama_server import OllamaServer
from tests.scripts import APPROVE, ASSESS, generate, program, repair
from tests.solving import GOOD, Play, prompts_of, solve

pytestmark = pytest.mark.sandbox


async def test_tables_arrays_and_plain_values_are_there_by_name(play: Play) -> None:
    frame = pd.DataFrame(
        {"city": ["Oslo", "Seoul 서울"], "price": [1.5, 2.5]},
        index=pd.date_range("2024-01-01", periods=2),
    )
    code = (
        "print(prices['price'].sum(), prices.index[1].date(), prices['city'].iloc[1])\n"
        "print(config['depth']['k'], names[1], matrix.shape, matrix.dtype, matrix.sum())\n"
        "print(series.mean(), day.year, flag is True, nothing is None, sorted(tags))"
    )
    play(generate(code), *GOOD)
    result = await solve(
        inputs={
            "prices": frame,
            "config": {"depth": {"k": 3}},
            "names": ["a", "b"],
            "matrix": np.arange(6, dtype="int16").reshape(2, 3),
            "series": pd.Series([1.0, 3.0], name="s"),
            "day": dt.date(2024, 2, 29),
            "flag": True,
            "nothing": None,
            "tags": {"x", "y"},
        }
    )
    assert result["output"] == (
        "4.0 2024-01-02 Seoul 서울\n3 b (2, 3) int16 15\n2.0 2024 True True ['x', 'y']\n"
    )


async def test_what_a_program_does_to_them_stays_in_the_sandbox(play: Play) -> None:
    frame, rows, array = pd.DataFrame({"a": [1, 2]}), [{"k": [1]}], np.zeros(3)
    before = frame.copy(deep=True)
    code = "df['a'] = 0\ndf['b'] = 1\nrows[0]['k'].append(2)\narray[:] = 9\nprint('done')"
    play(generate(code), *GOOD)
    result = await solve(inputs={"df": frame, "rows": rows, "array": array})
    assert result["output"] == "done\n"
    pd.testing.assert_frame_equal(frame, before)
    assert rows == [{"k": [1]}]
    assert array.tolist() == [0, 0, 0]


async def test_a_repaired_program_finds_them_as_they_were(play: Play) -> None:
    play(
        generate("rows.append(9)\nprint(rows)\nraise ValueError('later')"),
        repair("print(rows)"),
        *GOOD,
    )
    result = await solve(inputs={"rows": [1]})
    assert [attempt["stdout"] for attempt in result["attempts"]] == ["[1, 9]\n", "[1]\n"]


async def test_the_model_is_told_their_names_types_and_how_they_begin(
    server: OllamaServer,
) -> None:
    server.add(*({"reply": reply} for reply in (program("print(1)"), *_judged())))
    frame = pd.DataFrame({"Umsatz €": [1.5, 2.5], "city": ["Oslo", "Rome"]})
    await solve(inputs={"sales": frame, "rates": np.ones((2, 3)), "limits": {"low": 1}})
    prompt = prompts_of(server)[0]
    for words in ("`sales`", "2 rows", "'Umsatz €' float64: 1.5, 2.5", "'city'", "Oslo"):
        assert words in prompt
    assert "`rates`: numpy array of float64, shape 2 x 3" in prompt
    assert "`limits`: dict of 1, keys 'low'" in prompt


def _judged() -> tuple[str, str]:
    return APPROVE["reply"], ASSESS["reply"]


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"fine": 1, "lock": threading.Lock()}, "'lock'"),
        ({"fine": 1, "f": lambda: 1}, "'f'"),
        ({"a b": 1}, "'a b'"),
        ({"class": 1}, "'class'"),
        ({"__import__": 1}, "'__import__'"),
        ({"np": np}, "'np' is a module"),
        ({"rows": (each for each in ())}, "'rows'"),
    ],
    ids=["lock", "function", "no name", "keyword", "Python's", "module", "generator"],
)
async def test_what_cannot_be_passed_in_is_named_before_a_model_is_asked(
    play: Play, inputs: dict[str, Any], says: str
) -> None:
    play(generate("print(1)"), *GOOD)
    result = await solve(inputs=inputs)
    assert (result["success"], result["error_kind"]) == (False, "input")
    assert says in result["error"]
    assert (result["usage"]["calls"], result["attempts"]) == (0, [])


async def test_a_constraint_may_speak_of_an_input(play: Play) -> None:
    play(
        generate("total = 5\nprint(total)"),
        repair("total = 3\nprint(total)", when="total <= limit"),
        *GOOD,
    )
    result = await solve(
        inputs={"limit": 4}, outputs={"total": int}, constraints=["total <= limit"]
    )
    assert (result["success"], result["outputs"]) == (True, {"total": 3})
