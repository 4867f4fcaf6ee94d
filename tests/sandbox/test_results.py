"""Values in, and what becomes of them out: through the real sandbox, warm and cold."""

from __future__ import annotations

import copy
import datetime as dt
import decimal
import importlib
import json
import shutil
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pytest_asyncio
from pandas.testing import assert_frame_equal

from backend.config.settings import Settings, load_settings
from backend.errors import RequestError
from backend.sandbox import ExecutionRequest, Executor, open_executor
from backend.sandbox.executors.local.claims import CHARTS_BYTES, HTML_BYTES
from backend.sandbox.inside import wire
from backend.sandbox.walls.limits import VALUE_BYTES
from tests.sandbox.conftest import MARK, MARKER, Run

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="module")]

PLOT = """
import matplotlib.pyplot as plt
plt.plot([1, 2], [3, 4], label="a")
plt.title("Title"); plt.xlabel("x"); plt.ylabel("y")
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["everything", "nothing"])
async def executor(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Executor]:
    """With everything imported ahead, as usual, and with nothing."""
    if shutil.which("bwrap") is None:
        pytest.skip("install bubblewrap: apt-get install bubblewrap")
    folder = tmp_path_factory.mktemp("results") / "execution"
    usual = Settings.model_fields["preimport"].default
    imports = usual if request.param == "everything" else "none"
    settings = load_settings(execution_dir=folder, preimport=imports)
    async with open_executor("local", settings) as opened:
        yield opened


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(pd.DataFrame({"n": [1, 2], "t": ["한", None]}, index=["a", "b"]), id="frame"),
        pytest.param(pd.Series([1.5, 2.5], name="s"), id="series"),
        pytest.param(pd.DataFrame({"o": [1, "a", None]}), id="frame of objects"),
        pytest.param(np.arange(6).reshape(2, 3), id="array"),
        pytest.param({"a": [1, None, True], "b": {"c": "한"}}, id="dict"),
        pytest.param([1.5, "a", [2]], id="list"),
        pytest.param((1, 2), id="tuple"),
        pytest.param({"only"}, id="set"),
        pytest.param(dt.datetime(2024, 1, 2, 3, 4, tzinfo=dt.UTC), id="datetime"),
        pytest.param(decimal.Decimal("1.10"), id="Decimal"),
    ],
)
async def test_a_variable_arrives_as_what_it_is(run: Run, value: Any) -> None:
    result = await run("print(type(it).__qualname__)\nprint(repr(it))", variables={"it": value})
    assert result.stdout == f"{type(value).__qualname__}\n{value!r}\n", result.stderr


async def test_what_a_program_does_to_its_variables_stays_inside(run: Run) -> None:
    frame, array, rows = pd.DataFrame({"a": [1, 2]}), np.zeros(2), [{"a": [1]}]
    variables = {"frame": frame, "array": array, "rows": rows}
    before = copy.deepcopy(variables)
    code = "frame.iloc[0, 0] = 9\narray[0] = 9\nrows[0]['a'].append(9)\nprint(frame, array, rows)"
    result = await run(code, variables=variables)
    assert result.stdout.count("9") == 3, result.stderr
    assert_frame_equal(frame, before["frame"])
    assert (array.tolist(), rows) == ([0, 0], before["rows"])


@pytest.fixture
def point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An object of a module that is no library."""
    text = "import dataclasses\n@dataclasses.dataclass\nclass Point:\n    x: int\n"
    (tmp_path / "points_of_mine.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module("points_of_mine").Point(3)


async def test_an_object_arrives_with_its_module_beside_it(
    run: Run, point: Any, tmp_path: Path
) -> None:
    name = "points_of_mine.py"
    result = await run("print(it, it.x)", variables={"it": point}, files={name: tmp_path / name})
    assert result.stdout == "Point(x=3) 3\n", result.stderr


async def test_an_object_without_its_module_fails_the_program_in_one_sentence(
    run: Run, point: Any
) -> None:
    result = await run("print(it)", variables={"it": point})
    assert (result.success, result.returncode, result.stdout) == (False, 1, "")
    assert result.stderr.startswith("The variable 'it' cannot be rebuilt in the sandbox: ")
    assert "points_of_mine" in result.stderr
    assert result.stderr.count("\n") == 1


async def test_what_cannot_be_passed_is_refused_by_name(run: Run) -> None:
    with pytest.raises(RequestError, match="'handle'"):
        await run("print(1)", variables={"fine": 1, "handle": threading.Lock()})


async def test_a_frame_comes_back_as_text_and_as_html(run: Run) -> None:
    code = "import pandas as pd\npd.DataFrame({'name': ['<b>', 'c'], 'n': [1, 2]})"
    result = await run(code)
    assert result.value == "  name  n\n0  <b>  1\n1    c  2"
    assert result.html is not None
    assert "<table" in result.html and "&lt;b&gt;" in result.html


async def test_a_series_comes_back_as_text_and_as_html(run: Run) -> None:
    result = await run("import pandas as pd\npd.Series([1, 2], name='n')")
    assert result.value == "0    1\n1    2\nName: n, dtype: int64"
    assert result.html is not None
    assert "<table" in result.html and "<th>n</th>" in result.html


async def test_what_a_variable_was_comes_back_as_it_was(run: Run) -> None:
    frame = pd.DataFrame({"a": [1.5, None], "b": ["x", "한"]})
    assert (await run("it", variables={"it": frame})).value == repr(frame)


@pytest.mark.parametrize("code", ["1", "'<b>'", "[1]", "None", "x = 1", "print"])
async def test_most_values_have_no_html(run: Run, code: str) -> None:
    result = await run(code)
    assert (result.success, result.html, result.charts) == (True, None, ())


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("raise SystemExit(3)", id="exits"),
        pytest.param("raise KeyboardInterrupt", id="interrupts"),
        pytest.param("return 'x' * 300_000", id="long"),
        pytest.param("return 5", id="no text"),
        pytest.param("return self._repr_html_()", id="bottomless"),
        pytest.param("del Sly._repr_html_; return None", id="takes itself away"),
    ],
)
async def test_a_hostile_form_of_a_value_is_none(run: Run, body: str) -> None:
    code = f"class Sly:\n    def _repr_html_(self): {body}\n    def __repr__(self): return 'sly'\n"
    result = await run(code + "print('ran')\nSly()")
    assert (result.success, result.stdout, result.stderr) == (True, "ran\n", "")
    assert (result.value, result.html) == ("sly", None)


async def test_a_value_that_cannot_be_shown_does_not_fail_the_program(run: Run) -> None:
    result = await run("class Sly:\n    def __repr__(self): raise ValueError('no')\nSly()")
    assert result.success
    assert result.value == "<Sly object whose repr failed: ValueError: no>"


@pytest.mark.parametrize("ending", ["", "plt.show()", "plt.show()\nplt.close('all')", "1/0"])
async def test_a_plot_comes_as_pictures_and_as_data(run: Run, ending: str) -> None:
    result = await run(PLOT + ending, figure_formats=("png", "svg"))
    assert result.success is (ending != "1/0"), result.stderr
    made = {artifact.name: artifact for artifact in result.artifacts}
    assert sorted(made) == ["figure_1.png", "figure_1.svg"]
    assert made["figure_1.png"].content.startswith(b"\x89PNG")
    assert b"<svg" in made["figure_1.svg"].content
    (chart,) = result.charts
    assert chart["artifact"] == "figure_1.png"
    assert (chart["type"], chart["title"]) == ("line", "Title")
    assert (chart["x_label"], chart["y_label"]) == ("x", "y")
    assert chart["series"] == [{"type": "line", "label": "a", "x": [1, 2], "y": [3, 4]}]


@pytest.mark.parametrize(
    ("formats", "names"),
    [
        (("svg",), ["figure_1.svg"]),
        (["svg", "png"], ["figure_1.png", "figure_1.svg"]),
        (("png", "png"), ["figure_1.png"]),
    ],
    ids=["svg", "svg first", "twice the same"],
)
async def test_a_plot_comes_in_the_formats_asked_for(
    run: Run, formats: Any, names: list[str]
) -> None:
    result = await run(PLOT, figure_formats=formats)
    assert sorted(artifact.name for artifact in result.artifacts) == names
    assert result.charts[0]["artifact"] == f"figure_1.{formats[0]}"


async def test_one_run_does_not_decide_the_formats_of_the_next(run: Run) -> None:
    await run(PLOT, figure_formats=("svg",))
    result = await run(PLOT)
    assert [artifact.name for artifact in result.artifacts] == ["figure_1.png"]


async def test_every_figure_is_told_once(run: Run) -> None:
    code = (
        PLOT
        + "plt.savefig('mine.png')\nplt.figure()\nplt.bar(['a'], [1])\nimport os\nif os.fork(): os.wait()"
    )
    result = await run(code)
    assert [(chart["artifact"], chart["type"]) for chart in result.charts] == [
        ("mine.png", "line"),
        ("figure_1.png", "bar"),
    ]


async def test_a_session_tells_of_a_figure_when_it_is_new_or_changed(executor: Executor) -> None:
    async with await executor.open_session() as session:
        for code, charts in (
            (PLOT, ["figure_1.png"]),
            ("print('nothing new')", []),
            ("plt.title('more')", ["figure_2.png"]),
            ("plt.close('all')", []),
        ):
            result = await session.run(ExecutionRequest(code=code))
            assert result.success, result.stderr
            assert [chart["artifact"] for chart in result.charts] == charts


async def test_a_session_keeps_what_was_passed_in(executor: Executor) -> None:
    frame = pd.DataFrame({"n": [1, 2]})
    async with await executor.open_session() as session:
        await session.run(ExecutionRequest(code="it['n'] += 1", variables={"it": frame}))
        result = await session.run(ExecutionRequest(code="it", variables={"other": 1}))
    assert result.value == repr(frame + 1)
    assert result.html is not None and "<td>3</td>" in result.html


async def test_what_a_program_breaks_when_figures_are_handed_out_is_its_own_failure(
    run: Run,
) -> None:
    code = "import json\ndef fail(*_): raise ValueError('mine')\njson.dumps = fail\nprint('ran')"
    result = await run(PLOT + code)
    assert result.stdout == "ran\n"
    assert "ValueError: mine" in result.stderr
    assert result.charts == ()


def said(kind: bytes, payload: str) -> str:
    """A program that writes a frame to its keeper, as our own code would."""
    return f"""
payload = {payload}
rest = {kind!r} + len(payload).to_bytes(4, "little") + payload
while rest: rest = rest[os.write(3, rest):]
"""


@pytest.mark.parametrize("size", [VALUE_BYTES, HTML_BYTES, CHARTS_BYTES, 1 << 20, (1 << 20) + 1])
async def test_claims_of_any_size_are_bounded(run: Run, size: int) -> None:
    kinds = (wire.VALUE, wire.HTML, wire.CHARTS)
    result = await run(MARK + "".join(said(kind, f"b'\\xff' * {size}") for kind in kinds))
    assert result.stdout == f"{MARKER}\n"
    assert (result.success, result.stopped_by) == (True, None)
    assert len(result.value or "") <= VALUE_BYTES
    assert len(result.html or "") <= HTML_BYTES
    assert result.charts == ()


async def test_claimed_charts_are_plain_values(run: Run) -> None:
    payload = r"""rb'[{"x": [NaN, 1e999, "\ud800", 1], "<script>": null}]'"""
    result = await run(MARK + said(wire.CHARTS, payload))
    assert result.stdout == f"{MARKER}\n"
    assert result.charts == ({"x": [None, None, "?", 1], "<script>": None},)
    json.dumps(result.charts, allow_nan=False, ensure_ascii=False).encode()


async def test_charts_that_are_none_are_left_out(run: Run) -> None:
    result = await run(MARK + said(wire.CHARTS, "b'[{\"a\":' * 50_000 + b'1' + b'}]' * 50_000"))
    assert result.stdout == f"{MARKER}\n"
    assert (result.success, result.charts) == (True, ())
