"""What a prompt says of files, from real files through the real sandbox."""

from __future__ import annotations

import ast
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.config.settings import Settings, load_settings
from backend.errors import SandboxUnavailable
from backend.prompts.facts import FACTS_TOKENS, list_facts
from backend.prompts.tokens import estimate_tokens
from backend.sandbox.file_types import SUPPORTED_FILE_TYPES
from backend.tools.input_files import describe_files, place_files
from backend.tools.python_coder_tool import python_coder_tool
from backend.tools.python_executor_engine import PythonExecutor, open_engine
from backend.types import ExecutionRequest, ExecutionResult
from bench.data_context import columns_of, contexts, is_named, mentioned, questions_of
from tests.sandbox.inside.inspection.samples import make_all
from tests.scripts import APPROVE, ASSESS, generate, use_script

pytestmark = pytest.mark.sandbox

Facts = dict[str, Any]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(execution_dir=tmp_path / "execution", preimport="pandas")


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[PythonExecutor]:
    try:
        async with open_engine(settings) as opened:
            yield opened
    except SandboxUnavailable as error:
        pytest.skip(str(error))


def ways_to_read(facts: Facts) -> Iterator[tuple[str, str, Facts]]:
    """File, the line that reads it or a part of it, and the facts of that."""
    for part in (facts, *(part for value in facts.values() if isinstance(value, list)
                          for part in value if isinstance(part, dict))):  # fmt: skip
        if "read_with" in part:
            yield facts["name"], part["read_with"], part


async def test_every_way_to_read_that_is_told_works_and_gives_what_is_told(
    engine: PythonExecutor, tmp_path: Path
) -> None:
    make_all(tmp_path)
    files = {f"sample.{ending}": tmp_path / f"sample.{ending}" for ending in SUPPORTED_FILE_TYPES}
    ways = [way for facts in await describe_files(engine, files) for way in ways_to_read(facts)]
    assert {name for name, _, _ in ways} == set(files)
    lines = ["import pandas as pd", "import numpy as np"]
    for _, read_with, _ in ways:
        *before, last = ast.parse(read_with).body
        lines += [ast.unparse(one) for one in before]
        lines += [f"data = {ast.unparse(last)}", "assert data is not None"]
        lines += ["print(list(data.columns) if isinstance(data, pd.DataFrame) else None)"]
    request = ExecutionRequest(code="\n".join(lines), files=files, timeout_s=60, memory_mb=1024)
    result = await engine.execute(request)
    assert result.success, (result.stderr, result.issues)
    told = [
        str([column["name"] for column in part["columns"]]) if "columns" in part else "None"
        for _, _, part in ways
    ]
    assert result.stdout.splitlines() == told


async def test_of_files_with_one_name_the_prompt_says_which_is_which(
    engine: PythonExecutor, settings: Settings, tmp_path: Path
) -> None:
    paths = [tmp_path / year / "sales.csv" for year in ("2023", "2024")]
    for path in paths:
        path.parent.mkdir()
        path.write_text(f"only {path.parent.name}\n1\n", encoding="utf-8")
    other = tmp_path / "other.csv"
    other.write_text("a\n1\n", encoding="utf-8")
    text = list_facts(await describe_files(engine, place_files([*paths, other], settings)))
    entries = dict(entry.split("\n", 1) for entry in text.removeprefix("- ").split("\n- "))
    heads = {head.partition(" (")[0]: head.partition(", in the request: ")[2] for head in entries}
    assert heads == {
        "'sales.csv'": "'2023/sales.csv'",
        "'2024/sales.csv'": "'2024/sales.csv'",
        "'other.csv'": "",
    }
    assert ["only 2023" in body for body in entries.values()] == [True, False, False]
    assert ["only 2024" in body for body in entries.values()] == [False, True, False]


class Hasty:
    """The real engine, which has no time for one file."""

    def __init__(self, engine: PythonExecutor, name: str) -> None:
        self._engine = engine
        self._name = name
        self.output_bytes = engine.output_bytes

    async def execute(self, request: ExecutionRequest, *, check: bool = True) -> ExecutionResult:
        if self._name in request.files:
            request = replace(request, timeout_s=0.001)
        return await self._engine.execute(request, check=check)


async def test_a_file_that_takes_its_reader_down_does_not_hide_the_others(
    engine: PythonExecutor, settings: Settings, tmp_path: Path
) -> None:
    paths = [tmp_path / name for name in ("trap.csv", "good.csv")]
    for path in paths:
        path.write_text("a\n1\n", encoding="utf-8")
    files = place_files(paths, settings)
    trap, good = await describe_files(Hasty(engine, "trap.csv"), files)
    assert trap == {"name": "trap.csv", "note": "not looked into: stopped by the timeout limit"}
    assert good["columns"][0]["name"] == "a"


REFUSED = {
    "missing": (None, "does not exist"),
    "empty": (("empty.csv", b""), "empty (0 bytes)"),
    "unknown type": (("x.frobnicate", b"data"), "no supported type"),
    "over the limit": (("large.csv", b"a,b\n" + b"1,2\n" * 400_000), "the limit is 1 MB"),
    "not what its name says": (("table.csv", bytes(range(256)) * 40), "cannot be read"),
}


@pytest.mark.parametrize(("file", "said"), REFUSED.values(), ids=REFUSED)
async def test_a_file_that_cannot_be_used_is_named_in_the_result_and_costs_no_model_call(
    file: tuple[str, bytes] | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_script(monkeypatch, tmp_path / "script.jsonl", generate("print(1)"), APPROVE, ASSESS)
    monkeypatch.setenv("PYTHON_CODE_MAX_FILE_SIZE", "1")
    good = tmp_path / "good.csv"
    good.write_text("a\n1\n", encoding="utf-8")
    name, content = file or ("gone.csv", None)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    paths = [str(good), str(tmp_path / name)]
    result = await python_coder_tool.execute_code_task("Sum of a", file_paths=paths)
    assert (result["success"], result["error_kind"]) == (False, "input")
    assert name in result["error"] and said in result["error"]
    assert "good.csv" not in result["error"]
    assert result["usage"]["calls"] == 0


@pytest.mark.corpora
async def test_for_each_question_of_dabench_every_column_it_mentions_is_named(
    engine: PythonExecutor, corpora: Path
) -> None:
    folder = corpora / "dabench"
    if not folder.is_dir():
        pytest.skip("the corpora have no dabench")
    told = await contexts(engine, folder)
    assert max(map(estimate_tokens, told.values())) <= FACTS_TOKENS
    asked = questions_of(folder)
    pairs = [
        (question["id"], column, told[question["file_name"]])
        for question in asked
        for column in mentioned(question, columns_of(folder / "tables" / question["file_name"]))
    ]
    assert len({number for number, _, _ in pairs}) > len(asked) / 2, "most questions name columns"
    assert [(number, name) for number, name, text in pairs if not is_named(name, text)] == []


def test_a_column_is_mentioned_as_a_whole_word_in_the_same_letters() -> None:
    question = {
        "question": "Is 'Fare' or fare_2 related to Age?",
        "constraints": "Leave out price per unit.",
        "format": "@x[n]",
    }
    columns = ["Fare", "fare", "Far", " Age ", "fare_2", "price per unit", "price per units", "Sex"]
    assert mentioned(question, columns) == ["Fare", " Age ", "fare_2", "price per unit"]


def test_a_context_that_leaves_a_column_out_is_found() -> None:
    entry = {"name": "t.csv", "columns": [{"name": "Fare", "dtype": "float64"}]}
    text = list_facts([entry])
    assert is_named("Fare", text)
    assert not is_named(" Age ", text)
    assert not is_named("Far", text)
