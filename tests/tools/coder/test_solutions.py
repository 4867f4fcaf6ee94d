"""Programs of former runs, run again with other data; no model is asked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backend.config.settings import load_settings
from backend.errors import NotFound, RequestError
from backend.store.blobs import BlobStore
from backend.store.database import LOCAL_OWNER, open_database
from backend.store.runs import RunStore
from backend.tools.coder.overrides import override
from backend.tools.coder.replacement import compare_columns, match_files
from backend.tools.coder.solutions import Solutions, save_solution
from backend.tools.python_coder_tool import python_coder_tool
from backend.tools.python_executor_engine import open_engine
from tests.commands import needs_sandbox
from tests.scripts import APPROVE, ASSESS, generate, use_script

ME = LOCAL_OWNER
PROGRAM = (
    "import pandas as pd\n"
    "threshold = 10  # 원\n"
    "table = pd.read_csv('sales.csv')\n"
    "kept = table[table['price'] > threshold]\n"
    "kept.to_csv('kept.csv', index=False)\n"
    "print(len(kept), 'over', threshold)\n"
)
JANUARY = "city,price\nOslo,10\nRome,20\n"
FEBRUARY = "city,price\nOslo,30\nRome,40\nBonn,50\n"


@pytest.fixture
async def solutions() -> AsyncIterator[Solutions]:
    settings = load_settings()
    async with open_database(settings) as database, open_engine(settings) as engine:
        yield Solutions(
            runs=RunStore(database),
            engine=engine,
            blobs=BlobStore.of(settings),
            settings=settings,
        )


@pytest.fixture
def january(tmp_path: Path) -> Path:
    path = tmp_path / "sales.csv"
    path.write_text(JANUARY)
    return path


@pytest.fixture
def february(tmp_path: Path) -> Path:
    path = tmp_path / "february.csv"
    path.write_text(FEBRUARY)
    return path


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def remove(path: Path) -> None:
    path.unlink()


async def record(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    code: str = PROGRAM,
    *files: Path,
) -> str:
    """The record of a real task."""
    use_script(monkeypatch, tmp_path / "script.jsonl", generate(code), APPROVE, ASSESS)
    result = await python_coder_tool.execute_code_task("Count", None, [str(path) for path in files])
    return str(result["run_id"])


@needs_sandbox
@pytest.mark.sandbox
async def test_a_saved_program_runs_with_other_data_and_without_a_model(
    solutions: Solutions,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    january: Path,
    february: Path,
) -> None:
    run_id = await record(monkeypatch, tmp_path, PROGRAM, january)
    first = await solutions.runs.get(run_id, owner=ME)
    saved = await save_solution(solutions.runs, run_id[:12], "monthly", owner=ME)
    assert (saved.id, saved.name) == (run_id, "monthly")
    monkeypatch.setenv("PYTHON_CODER_MODEL", "ollama:nobody-listens")
    result = await solutions.run_again("monthly", owner=ME, files={february.name: february})
    assert (result["success"], result["output"]) == (True, "3 over 10\n")
    assert first.result is not None
    assert set(first.result) <= set(result), "it has the form of every other result"
    assert json.loads(json.dumps(result)) == result
    assert result["usage"]["calls"] == 0
    assert "'february.csv' is read as 'sales.csv'." in result["notes"]
    (made,) = result["artifacts"]
    assert await solutions.blobs.get(made["sha256"]) == FEBRUARY.encode()
    recorded = await solutions.runs.get(result["run_id"], owner=ME)
    assert (recorded.status, recorded.parent) == ("completed", run_id)
    assert recorded.result == result
    assert recorded.key != first.key


@needs_sandbox
@pytest.mark.sandbox
async def test_an_input_value_is_changed_in_the_program_itself(
    solutions: Solutions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, january: Path
) -> None:
    run_id = await record(monkeypatch, tmp_path, PROGRAM, january)
    result = await solutions.run_again(run_id, owner=ME, inputs={"threshold": 5})
    assert result["output"] == "2 over 5\n"
    assert result["code"] == PROGRAM.strip().replace("threshold = 10", "threshold = 5")
    again = await solutions.run_again(result["run_id"], owner=ME)
    assert again["output"] == "2 over 5\n"
    with pytest.raises(RequestError, match=r"no input 'limit'\. It has: threshold\."):
        await solutions.run_again(run_id, owner=ME, inputs={"limit": 5})


@needs_sandbox
@pytest.mark.sandbox
async def test_a_variable_that_a_program_only_reads_is_given_again(
    solutions: Solutions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = "print([n for n in numbers if n > least])"
    use_script(monkeypatch, tmp_path / "s.jsonl", generate(code), APPROVE, ASSESS)
    run_id = await solutions.runs.begin(
        owner=ME,
        kind="task",
        key="k",
        request="Count",
        model="scripted",
        spec={"files": {}, "options": {"inputs": {"numbers": [1, 2, 3], "least": 1}}},
    )
    await solutions.runs.finish(run_id, {"success": True, "code": code}, owner=ME)
    assert (await solutions.run_again(run_id, owner=ME))["output"] == "[2, 3]\n"
    other = await solutions.run_again(run_id, owner=ME, inputs={"least": 2})
    assert other["output"] == "[3]\n"
    assert (await solutions.run_again(other["run_id"], owner=ME))["output"] == "[3]\n"


@needs_sandbox
@pytest.mark.sandbox
async def test_a_file_that_is_not_replaced_is_read_where_it_lay_or_from_the_store(
    solutions: Solutions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, january: Path
) -> None:
    run_id = await record(monkeypatch, tmp_path, PROGRAM, january)
    write(january, FEBRUARY)
    assert (await solutions.run_again(run_id, owner=ME))["output"] == "3 over 10\n"
    remove(january)
    with pytest.raises(NotFound, match=r"'sales\.csv' is no longer at .*Give another one"):
        await solutions.run_again(run_id, owner=ME)
    await solutions.blobs.put(JANUARY.encode())
    assert (await solutions.run_again(run_id, owner=ME))["output"] == "1 over 10\n"


@needs_sandbox
@pytest.mark.sandbox
async def test_data_without_a_column_that_the_program_uses_is_refused(
    solutions: Solutions,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    january: Path,
    february: Path,
) -> None:
    run_id = await record(monkeypatch, tmp_path, PROGRAM, january)
    write(february, "town,cost\nOslo,1\nRome,2\n")
    said = r"'february.csv', read as 'sales.csv', lacks .*'price'\. It has: 'town', 'cost'\."
    with pytest.raises(RequestError, match=said):
        await solutions.run_again(run_id, owner=ME, files={"february.csv": february})
    write(february, "price\n11\n12\n")
    result = await solutions.run_again(run_id, owner=ME, files={"february.csv": february})
    assert result["output"] == "2 over 10\n"
    assert any("lacks 'city'" in note for note in result["notes"])


@needs_sandbox
@pytest.mark.sandbox
async def test_a_program_that_fails_now_is_told_and_recorded(
    solutions: Solutions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run_id = await record(monkeypatch, tmp_path, "n = 4\nprint(8 / n)")
    result = await solutions.run_again(run_id, owner=ME, inputs={"n": 0})
    assert (result["success"], result["error_kind"]) == (False, "program")
    assert result["error"].splitlines()[0] == "ZeroDivisionError: division by zero"
    assert result["attempts"][0]["error"] == "ZeroDivisionError: division by zero"
    assert (await solutions.runs.get(result["run_id"], owner=ME)).status == "failed"


@needs_sandbox
@pytest.mark.sandbox
async def test_a_program_that_was_refused_is_refused_again(
    solutions: Solutions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHON_CODE_MAX_ITERATIONS", "0")
    run_id = await record(monkeypatch, tmp_path, "import socket\nprint('ran')")
    result = await solutions.run_again(run_id, owner=ME)
    assert (result["success"], result["error_kind"], result["output"]) == (False, "policy", "")
    assert "socket" in result["error"]


@needs_sandbox
@pytest.mark.sandbox
async def test_what_cannot_be_run_again_says_why(
    solutions: Solutions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, february: Path
) -> None:
    running = await solutions.runs.begin(owner=ME, kind="task", key="k", request="Q", model="m")
    with pytest.raises(RequestError, match="no program: it is still running"):
        await solutions.run_again(running, owner=ME)
    with pytest.raises(RequestError, match="no program"):
        await save_solution(solutions.runs, running, "x", owner=ME)
    run_id = await record(monkeypatch, tmp_path, "print(1)")
    with pytest.raises(NotFound):
        await solutions.run_again(run_id, owner="you")
    with pytest.raises(RequestError, match=r"'february\.csv' was given, .* reads no files"):
        await solutions.run_again(run_id, owner=ME, files={"february.csv": february})
    living = await solutions.runs.begin(
        owner=ME, kind="task", key="k", request="Q", model="m", spec={"options": {"inputs": None}}
    )
    await solutions.runs.finish(living, {"success": True, "code": "print(df)"}, owner=ME)
    with pytest.raises(RequestError, match="variables, and these were not kept"):
        await solutions.run_again(living, owner=ME)


@pytest.mark.parametrize(
    ("expected", "given", "matched"),
    [
        (["a.csv"], ["a.csv"], {"a.csv": "a.csv"}),
        (["a.csv"], ["b.CSV"], {"a.csv": "b.CSV"}),
        (["a.csv", "b.xlsx"], ["new.xlsx"], {"b.xlsx": "new.xlsx"}),
        (["a.csv", "b.csv"], ["b.csv", "c.csv"], {"b.csv": "b.csv", "a.csv": "c.csv"}),
        (["a.csv", "b.csv"], [], {}),
    ],
)
def test_which_file_stands_for_which(
    expected: list[str], given: list[str], matched: dict[str, str]
) -> None:
    assert match_files(expected, given) == matched


@pytest.mark.parametrize(
    ("expected", "given"),
    [
        pytest.param(["a.csv", "b.csv"], ["c.csv"], id="two of its type are needed"),
        pytest.param(["a.csv"], ["b.csv", "c.csv"], id="two of its type are given"),
        pytest.param(["a.csv"], ["b.xlsx"], id="another type"),
        pytest.param(["a.csv"], ["a.csv", "b.csv"], id="its place is taken"),
    ],
)
def test_what_cannot_be_told_names_both_sides(expected: list[str], given: list[str]) -> None:
    with pytest.raises(RequestError) as caught:
        match_files(expected, given)
    assert repr(given[-1]) in str(caught.value) or repr(given[0]) in str(caught.value)
    assert all(repr(name) in str(caught.value) for name in expected)


def test_a_file_that_cannot_be_read_is_named_as_it_came() -> None:
    facts = [{"name": "a.csv", "error": "ValueError: no lines"}]
    with pytest.raises(RequestError, match=r"'new\.csv' cannot be read: ValueError: no lines\."):
        compare_columns("", {}, facts, {"a.csv": "new.csv"})


OVERRIDES: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "first assignment only": ("x = 1\nx = x + 1", {"x": 5}, "x = 5\nx = x + 1", {}),
    "annotated": ("x: int = 1", {"x": 5}, "x: int = 5", {}),
    "two on a line": ("가 = 'é'; y = '가'", {"가": "ü", "y": 2}, "가 = 'ü'; y = 2", {}),
    "several lines": ("x = [\n 1,\n]\nprint(x)", {"x": [2]}, "x = ([2]\n\n)\nprint(x)", {}),
    "text with quotes": ("x = ''", {"x": "'\"\n"}, "x = '\\'\"\\n'", {}),
    "only read": ("print(x)", {"x": 5}, "print(x)", {"x": 5}),
    "no literal": ("x = 1", {"x": float("inf")}, "x = x", {"x": float("inf")}),
}


@pytest.mark.parametrize(
    ("code", "inputs", "changed", "variables"), OVERRIDES.values(), ids=OVERRIDES
)
def test_other_values(
    code: str, inputs: dict[str, Any], changed: str, variables: dict[str, Any]
) -> None:
    made = override(code, inputs)
    assert (made.code, made.variables) == (changed, variables)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("def f(x):\n    return x", "x"),
        ("if True:\n    x = 1", "x"),
        ("print(1)", "print"),
        ("import os as x", "x"),
        ("x == (", "x"),
    ],
)
def test_what_is_no_input(code: str, name: str) -> None:
    with pytest.raises(RequestError):
        override(code, {name: 5})


def test_a_script_finds_its_inputs_in_the_environment() -> None:
    made = override('echo "$NAME"', {"NAME": "x"}, "bash")
    assert made.variables == {"NAME": "x"}
    assert override("NAME=${NAME:-y}", {"NAME": "x"}, "bash").variables == {"NAME": "x"}
    with pytest.raises(RequestError, match="sets 'NAME' itself"):
        override("export NAME=y", {"NAME": "x"}, "bash")
