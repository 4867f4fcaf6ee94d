from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backend.config.settings import Settings, load_settings
from backend.errors import SandboxUnavailable
from backend.sandbox.policy.known import known_files
from backend.tools.python_executor_engine import (
    SUPPORTED_FILE_TYPES,
    PythonExecutor,
    describe_files,
    open_engine,
    place_files,
)
from backend.types import ExecutionRequest
from tests.sandbox.inside.inspection.samples import make_all

pytestmark = pytest.mark.sandbox

TOLD = {
    **dict.fromkeys(("csv", "tsv", "parquet", "feather", "json", "jsonl"), "columns"),
    **dict.fromkeys(("xlsx", "xls", "ods"), "sheets"),
    **dict.fromkeys(("sqlite", "db"), "tables"),
    **dict.fromkeys(("yaml", "yml", "toml", "ini"), "structure"),
    **dict.fromkeys(("txt", "log", "md", "py"), "lines"),
    **dict.fromkeys(("png", "jpg", "jpeg", "gif", "webp"), "width"),
    **dict.fromkeys(("h5", "nc"), "datasets"),
    "npy": "shape",
    "npz": "arrays",
    "xml": "elements",
    "html": "title",
    "pdf": "pages",
    "docx": "paragraphs",
    "pptx": "slides",
    "zip": "members",
}
"""The fact for which one asks about a file of each type."""

ORDERS = """\
order_id,city,price,qty,paid,day
1001,Seoul,12.5,3,True,2024-01-31
1002,Busan,,1,False,2024-02-29
1003,Seoul,-7.25,,True,2023-12-01
1004,,99.75,4,True,
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(execution_dir=tmp_path / "execution")


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[PythonExecutor]:
    try:
        async with open_engine(settings) as opened:
            yield opened
    except SandboxUnavailable as error:
        pytest.skip(str(error))


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


async def describe(
    engine: PythonExecutor, settings: Settings, *paths: Path
) -> dict[str, dict[str, Any]]:
    facts = await describe_files(engine, place_files(paths, settings))
    return {entry["name"]: entry for entry in facts}


async def test_a_file_of_each_of_the_34_types_is_looked_into(
    engine: PythonExecutor, settings: Settings, tmp_path: Path
) -> None:
    make_all(tmp_path)
    paths = [tmp_path / f"sample.{ending}" for ending in SUPPORTED_FILE_TYPES]
    told = await describe(engine, settings, *paths)
    assert list(told) == [path.name for path in paths]
    assert len(told) == len(TOLD) == 34
    assert {name: facts["error"] for name, facts in told.items() if "error" in facts} == {}
    assert [name for name, facts in told.items() if not facts.get(TOLD[facts["type"]])] == []
    assert all(facts["size"] == (tmp_path / name).stat().st_size for name, facts in told.items())


async def test_a_table_is_told_exactly(
    engine: PythonExecutor, settings: Settings, tmp_path: Path
) -> None:
    facts = (await describe(engine, settings, write(tmp_path / "orders.csv", ORDERS)))["orders.csv"]
    assert {key: facts[key] for key in ("type", "rows", "rows_exact", "duplicate_rows")} == {
        "type": "csv", "rows": 4, "rows_exact": True, "duplicate_rows": 0,
    }  # fmt: skip
    keys = ("name", "dtype", "nulls", "min", "max")
    assert [tuple(column.get(key) for key in keys) for column in facts["columns"]] == [
        ("order_id", "int64", 0, 1001, 1004),
        ("city", "object", 1, None, None),
        ("price", "float64", 1, -7.25, 99.75),
        ("qty", "float64", 1, 1, 4),
        ("paid", "bool", 0, None, None),
        ("day", "object", 1, "2023-12-01", "2024-02-29"),
    ]
    assert facts["columns"][1]["categories"] == ["Seoul", "Busan"]
    assert facts["columns"][2]["mean"] == 35
    assert facts["preview"][1] == [1002, "Busan", None, 1, False, "2024-02-29"]


async def test_of_two_files_with_one_name_both_are_looked_into_where_they_lie(
    engine: PythonExecutor, settings: Settings, tmp_path: Path
) -> None:
    first = write(tmp_path / "2023" / "sales.csv", "a\n1\n")
    second = write(tmp_path / "2024" / "sales.csv", "b\n2\n3\n")
    told = await describe(engine, settings, first, second)
    assert {name: (facts["columns"][0]["name"], facts["rows"]) for name, facts in told.items()} == {
        "sales.csv": ("a", 1),
        "2024/sales.csv": ("b", 2),
    }


NAMES = [
    "\ub9e4\ucd9c \ub370\uc774\ud130 (2024\ub144).csv",
    "\u1112\u1161\u11ab\u1100\u1173\u11af.csv",
    "with  two spaces.csv",
    'it\'s "quoted".csv',
    "back\\slash, comma; {braces}.csv",
    "-n --help.csv",
    "$(touch x) %s #1.csv",
]


async def test_files_of_any_name_are_read_the_way_that_is_told(
    engine: PythonExecutor, settings: Settings, tmp_path: Path
) -> None:
    header = '\uc774\ub984,"say ""hi""",it\'s, spaced '
    paths = [write(tmp_path / "in" / name, f"{header}\n\ucca0\uc218,1,2,3\n") for name in NAMES]
    told = await describe(engine, settings, *paths)
    names = ["\uc774\ub984", 'say "hi"', "it's", " spaced "]
    assert {name: [c["name"] for c in facts["columns"]] for name, facts in told.items()} == (
        dict.fromkeys(NAMES, names)
    )
    lines = [f"print(list({facts['read_with']}.columns))" for facts in told.values()]
    program = ExecutionRequest(
        code="\n".join(["import pandas as pd", *lines]), files=place_files(paths, settings)
    )
    result = await engine.execute(program)
    assert result.stdout.splitlines() == [repr(names)] * len(NAMES), result.stderr


async def test_an_input_named_like_a_module_is_not_imported_by_the_inspection(
    engine: PythonExecutor, settings: Settings, tmp_path: Path
) -> None:
    names = ("csv", "json", "pandas", "inside", "warnings", "chardet", "numpy", "inspection")
    traps = [write(tmp_path / f"{name}.py", "raise SystemExit('caught')\n") for name in names]
    table = write(tmp_path / "table.csv", "a\n1\n")
    told = await describe(engine, settings, *traps, table)
    assert told["pandas.py"]["preview"] == ["raise SystemExit('caught')"]
    assert told["table.csv"]["rows"] == 1


async def test_a_wide_table_in_korean_beside_others_is_told_within_the_output_that_is_kept(
    engine: PythonExecutor, settings: Settings, tmp_path: Path
) -> None:
    header = ",".join(f"\uc5f4 \ubc88\ud638 {number}" for number in range(200))
    rows = "\n".join(",".join([f"\uac12 {row} " * 30] * 200) for row in range(20))
    wide = [write(tmp_path / f"wide{n}.csv", f"{header}\n{rows}\n") for n in range(4)]
    small = [write(tmp_path / f"small{n}.csv", f"a,b\n{n},x\n") for n in range(30)]
    told = await describe(engine, settings, *wide, *small)
    assert len(json.dumps(list(told.values()))) < settings.max_output_kb * 1024
    for path in wide:
        facts = told[path.name]
        assert [c["name"] for c in facts["columns"]] == header.split(",")[:150]
        assert facts["note"].startswith("shortened")
    assert [told[path.name]["preview"] for path in small] == [[[n, "x"]] for n in range(30)]


@pytest.mark.usefixtures("engine")
async def test_with_hardly_any_output_kept_a_note_is_what_is_left(
    settings: Settings, tmp_path: Path
) -> None:
    few = settings.model_copy(update={"max_output_kb": 1})
    paths = [write(tmp_path / f"{name}.csv", ORDERS) for name in ("\uac00" * 60, "orders")]
    async with open_engine(few) as engine:
        told = await describe(engine, few, *paths)
    sizes = [(facts["name"], facts["size"]) for facts in told.values()]
    assert sizes == [(path.name, len(ORDERS)) for path in paths]
    notes = ("shortened: ", "there is no room here")
    assert all(facts["note"].startswith(notes) for facts in told.values())


@pytest.mark.usefixtures("engine")
async def test_files_are_looked_into_also_under_a_strict_umask(
    settings: Settings, tmp_path: Path
) -> None:
    table = write(tmp_path / "table.csv", "a\n1\n")
    former = os.umask(0o077)
    try:
        async with open_engine(settings) as engine:
            told = await describe(engine, settings, table)
    finally:
        os.umask(former)
    assert told["table.csv"]["rows"] == 1


async def test_no_files_cost_no_run(engine: PythonExecutor) -> None:
    assert await describe_files(engine, {}) == []


async def test_what_the_programs_interpreter_lacks_is_told_and_what_is_certain_is_mended(
    engine: PythonExecutor, tmp_path: Path
) -> None:
    orders = tmp_path / "orders.csv"
    orders.write_text(ORDERS, encoding="utf-8")
    files = {"orders.csv": orders}
    known = known_files(files, await describe_files(engine, files))
    lacking = engine.check("import polars", known=known, foresee=True)
    assert [(issue.kind, issue.severity) for issue in lacking] == [("missing_package", "error")]
    assert "pandas" in lacking[0].message
    code = "df = pd.read_csv('Orders.csv')\nprint(df['City'].nunique())"
    for _ in range(3):
        issues = engine.check(code, files=files, known=known, names=(), foresee=True)
        if found := engine.fix(code, issues, files, known=known):
            code = found.code
    result = await engine.execute(ExecutionRequest(code=code, files=files))
    assert (result.stdout, result.issues) == ("2\n", ())
