"""The typed face: what is declared comes back as live Python values."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backend.autocoder import AutoCoder, open_autocoder, solve, solve_sync
from backend.errors import RequestError, TaskFailed
from tests.scripts import APPROVE, ASSESS, generate, program, repair, use_script
from tests.solving import Play

pytestmark = pytest.mark.sandbox


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    return lambda *lines: use_script(
        monkeypatch, tmp_path / "script.jsonl", *lines, APPROVE, ASSESS
    )


async def test_values_come_back_in_their_types_and_order(play: Play) -> None:
    code = (
        "import datetime as dt\nimport pandas as pd\n"
        "frame = pd.DataFrame({'a': [1, 2], 'day': pd.to_datetime(['2024-01-01', '2024-01-02'])})\n"
        "day = dt.date(2024, 2, 29)\n"
        "open('out.csv', 'w').write('x\\n1\\n')\n"
        "report = 'out.csv'\n"
        "share = 1\n"
    )
    play(generate(code))
    found = await solve(
        "Work it out",
        outputs={
            "share": float,
            "report": "File",
            "frame": pd.DataFrame,
            "day": dt.date,
        },
    )
    assert list(found) == ["share", "report", "frame", "day"]
    assert (found["share"], type(found["share"])) == (1.0, float)
    assert found["day"] == dt.date(2024, 2, 29)
    assert isinstance(found["report"], Path)
    assert found["report"].read_text() == "x\n1\n"
    expected = pd.DataFrame({"a": [1, 2], "day": pd.to_datetime(["2024-01-01", "2024-01-02"])})
    pd.testing.assert_frame_equal(found["frame"], expected)


async def test_the_only_value_comes_back_alone(play: Play) -> None:
    play(generate("print('on the way')\ntotal = sum(rows) * factor"))
    total = await solve("Add", inputs={"rows": [1, 2], "factor": 2}, outputs={"total": int})
    assert total == 6


async def test_an_array_goes_in_and_comes_out(play: Play) -> None:
    play(generate("doubled = given * 2"))
    given = np.arange(4.0).reshape(2, 2)
    doubled = await solve("Double", inputs={"given": given}, outputs={"doubled": np.ndarray})
    np.testing.assert_array_equal(doubled, given * 2)
    assert given[0, 1] == 1.0


async def test_without_outputs_it_is_what_was_printed(play: Play) -> None:
    play(generate("print('hello')"))
    assert await solve("Greet") == "hello\n"


async def test_files_and_context_reach_the_program_and_the_model(
    play: Play, tmp_path: Path
) -> None:
    data = tmp_path / "a.csv"
    data.write_text("x\n1\n2\n")
    code = "import csv\nn = sum(int(row['x']) for row in csv.DictReader(open('a.csv')))"
    play(generate(code, when=r"(?s)'x' int64.*in metres"))
    assert await solve("Sum x", files=[data], context="in metres", outputs={"n": int}) == 3


async def test_what_must_hold_is_held(play: Play) -> None:
    play(
        generate("def double(x):\n    return x\nn = 9"),
        repair("def double(x):\n    return x\nn = 3", when="n < 5"),
        repair("def double(x):\n    return 2 * x\nn = 3", when="test_double"),
    )
    found = await solve(
        "Do it",
        outputs={"n": int},
        constraints=["n < 5"],
        tests="from solution import double\n\ndef test_double():\n    assert double(2) == 4",
    )
    assert found == 3


@pytest.mark.parametrize(
    ("line", "kind", "says"),
    [
        (generate("raise ValueError('no such thing')"), "program", "no such thing"),
        (generate("x = 'text'"), "program", "should be an int"),
        ({"stage": "generate", "error": "down"}, "model", "down"),
        ({"stage": "generate", "reply": "I cannot.", "repeat": True}, "model", "I cannot."),
    ],
    ids=["program", "type", "model", "no program"],
)
async def test_without_a_value_it_raises_with_all_that_was_reached(
    play: Play, line: dict[str, Any], kind: str, says: str
) -> None:
    play(line)
    with pytest.raises(TaskFailed, match=says) as caught:
        await solve("Do it", outputs={"x": int}, max_retries=0)
    assert caught.value.error_kind == kind
    assert caught.value.result["success"] is False
    assert len(caught.value.result["attempts"]) == (kind == "program")


async def test_variables_that_cannot_be_passed_in_are_told(play: Play) -> None:
    play(generate("x = 1"))
    with pytest.raises(TaskFailed, match="'lock'") as caught:
        await solve("Do it", inputs={"lock": threading.Lock()}, outputs={"x": int})
    assert caught.value.error_kind == "input"


async def test_an_output_type_that_is_not_supported_costs_no_call(play: Play) -> None:
    play(generate("x = 1"))
    with pytest.raises(ValueError, match="not supported"):
        await solve("Do it", outputs={"x": threading.Lock})


async def test_one_that_is_open_serves_many_requests(play: Play) -> None:
    play(*(generate(f"n = {n}", when=f"Number {n}") for n in range(3)))
    async with open_autocoder() as coder:
        assert isinstance(coder, AutoCoder)
        asked = [coder.solve(f"Number {n}", outputs={"n": int}) for n in range(3)]
        assert await asyncio.gather(*asked) == [0, 1, 2]


async def test_an_identical_request_gives_the_same_value_again(play: Play) -> None:
    play(generate("import time\nn = time.time_ns()"))
    first = await solve("Now", outputs={"n": int})
    assert await solve("Now", outputs={"n": int}) == first
    play(generate("n = 1"))
    assert await solve("Now", outputs={"n": int}, use_cache=False) == 1


def test_programs_without_an_event_loop(play: Play) -> None:
    play({"stage": "generate", "reply": program("n = 5")})
    assert solve_sync("Five", outputs={"n": int}) == 5


async def test_inside_an_event_loop_the_other_one_is_to_be_used() -> None:
    with pytest.raises(RequestError, match="await solve"):
        solve_sync("Five")


@pytest.mark.parametrize(
    ("options", "named"),
    [({"files": "a.csv"}, "files"), ({"constraints": "n > 1"}, "constraints")],
    ids=["files", "constraints"],
)
async def test_one_text_in_place_of_several_is_refused(
    play: Play, options: dict[str, Any], named: str
) -> None:
    play(generate("n = 1"))
    with pytest.raises(TypeError, match=named):
        await solve("Do it", outputs={"n": int}, **options)
