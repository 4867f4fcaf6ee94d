"""Notebooks of real results, and that running them gives the same again."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from backend.config.settings import load_settings
from backend.core.assistant import open_assistant
from backend.core.requests import Ask
from backend.store.blobs import BlobStore
from backend.tools.coder.notebook import build_notebook, notebook_text
from backend.tools.python_coder_tool import python_coder_tool
from backend.tools.python_executor_engine import place_files
from tests.commands import needs_sandbox
from tests.scripts import APPROVE, ASSESS, act, generate, program, repair, use_script

TABLE = "city,price\nOslo,10\nRome,20\n"
DRAWS = (
    "import pandas as pd\n"
    "import matplotlib.pyplot as plt\n"
    "table = pd.read_csv('수치 표.csv')\n"
    "print('mean', table['price'].mean())\n"
    "table.to_csv('copy.csv', index=False)\n"
    "table.plot.bar(x='city', y='price')\n"
    "plt.show()\n"
    "len(table)\n"
)
Play = Callable[..., None]
pytestmark = [needs_sandbox, pytest.mark.sandbox]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    return lambda *lines: use_script(monkeypatch, tmp_path / "script.jsonl", *lines)


@pytest.fixture
def blobs() -> BlobStore:
    return BlobStore.of(load_settings())


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "수치 표.csv"
    path.write_text(TABLE)
    return path


def execute(notebook: dict[str, Any], folder: Path) -> Any:
    """Run it with the real kernel, in a folder of its own."""
    opened = nbformat.from_dict(notebook)
    client = NotebookClient(
        opened, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    return client.execute()


def programs(notebook: Any) -> list[Any]:
    return [cell for cell in notebook["cells"] if cell["id"].startswith("program")]


def told(cell: Any) -> tuple[str, list[str], int]:
    """What a cell printed, its value, and how many pictures it drew."""
    printed = "".join(out["text"] for out in cell["outputs"] if out.get("name") == "stdout")
    results = [out for out in cell["outputs"] if out["output_type"] == "execute_result"]
    values = [out["data"]["text/plain"] for out in results]
    pictures = [out for out in cell["outputs"] if "image/png" in out.get("data", {})]
    return printed, values, len(pictures)


async def test_running_the_notebook_of_a_task_gives_the_same_again(
    play: Play, blobs: BlobStore, table: Path, tmp_path: Path
) -> None:
    play(generate(DRAWS.replace("'price'", "'cost'")), repair(DRAWS), APPROVE, ASSESS)
    result = await python_coder_tool.execute_code_task("평균?", None, [str(table)])
    assert result["success"] is True, result["error"]
    notebook = await build_notebook(
        result, blobs, request="평균?", files=[table.name], failed_attempts=True
    )
    assert "평균?" in notebook["cells"][0]["source"]
    (cell,) = programs(notebook)
    assert cell["source"] == result["code"]
    assert told(cell) == ("mean 15.0\n", ["2"], 1)
    (picture,) = [out["data"] for out in cell["outputs"] if "image/png" in out.get("data", {})]
    assert base64.b64decode(picture["image/png"]).startswith(b"\x89PNG")
    assert "`copy.csv`" in notebook["cells"][-1]["source"]
    (given_up,) = [cell for cell in notebook["cells"] if cell["id"] == "attempt-1-1"]
    assert given_up["outputs"][-1]["ename"] == "KeyError"
    again = execute(notebook, tmp_path)
    assert told(programs(again)[0]) == told(cell)
    assert (tmp_path / "copy.csv").read_text() == TABLE


async def test_the_programs_of_an_answer_start_afresh_in_one_notebook(
    play: Play, blobs: BlobStore, tmp_path: Path
) -> None:
    asks_for_x = "print('x' in globals(), min([2, 1]))"
    play(
        act("python_coder", "One"),
        generate("x = 1\nmin = max\nprint('first')"),
        act("python_coder", "Two"),
        {"stage": "generate", "reply": program(asks_for_x)},
        APPROVE,
        act("finish", "Both ran. ```"),
    )
    async with open_assistant(load_settings()) as assistant:
        answer = await assistant.run(Ask(question="Run two", agent_type="react"))
    document = {"answer": answer.text, **asdict(answer)}
    notebook = await build_notebook(document, blobs, request="Run two")
    assert [told(cell)[0] for cell in programs(notebook)] == ["first\n", "False 1\n"]
    assert "Both ran" in notebook["cells"][-1]["source"]
    again = execute(notebook, tmp_path)
    assert [told(cell) for cell in programs(again)] == [told(cell) for cell in programs(notebook)]


async def test_a_notebook_says_which_input_file_is_missing(
    play: Play, blobs: BlobStore, table: Path, tmp_path: Path
) -> None:
    play(generate(DRAWS), APPROVE, ASSESS)
    files = place_files([table], load_settings())
    result = await python_coder_tool.execute_code_task("Mean?", None, [str(table)])
    notebook = await build_notebook(result, blobs, request="Mean?", files=[*files])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with pytest.raises(Exception, match=r"put these files beside the notebook: \['수치 표\.csv'\]"):
        execute(notebook, elsewhere)


@pytest.mark.parametrize(
    ("code", "tag"),
    [
        pytest.param(
            "print('before')\nraise ValueError('no: never')", "raises-exception", id="raised"
        ),
        pytest.param("while True: pass", "skip-execution", id="stopped"),
        pytest.param("import socket", "skip-execution", id="refused"),
    ],
)
async def test_a_program_that_failed_does_not_stop_the_notebook(
    play: Play,
    blobs: BlobStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    tag: str,
) -> None:
    monkeypatch.setenv("CODE_GENERATION_MAX_RETRIES", "0")
    monkeypatch.setenv("PYTHON_CODE_MAX_ITERATIONS", "0")
    monkeypatch.setenv("PYTHON_CODE_TIMEOUT", "1")
    play(generate(code), APPROVE)
    result = await python_coder_tool.execute_code_task("Do it")
    assert result["success"] is False
    notebook = await build_notebook(result, blobs, request="Do it")
    (cell,) = programs(notebook)
    assert (cell["source"], cell["metadata"]["tags"]) == (code, [tag])
    if tag == "raises-exception":
        assert told(cell)[0] == "before\n"
        failure = cell["outputs"][-1]
        assert (failure["ename"], failure["evalue"]) == ("ValueError", "no: never")
        again = programs(execute(notebook, tmp_path))[0]["outputs"][-1]
        assert (again["ename"], again["evalue"]) == ("ValueError", "no: never")


async def test_a_notebook_is_valid_whatever_is_in_it(
    play: Play, blobs: BlobStore, tmp_path: Path
) -> None:
    code = (
        "import sys\n"
        "sys.stdout.buffer.write(b'\\xff\\x1b[2J```\\n'); sys.stdout.flush()\n"
        "open('a`b.csv', 'w').write('x')\n"
        "'\\udc80'\n"
    )
    play(generate(code), APPROVE, ASSESS)
    result = await python_coder_tool.execute_code_task("Do it")
    assert result["success"] is True, result["error"]
    notebook = await build_notebook(result, blobs, request="# Do ```\nit\udc80")
    place = tmp_path / "n.ipynb"
    place.write_text(notebook_text(notebook), encoding="utf-8")
    opened = nbformat.read(place, as_version=4)
    nbformat.validate(opened)
    assert json.loads(place.read_text(encoding="utf-8"))["cells"][0]["source"] == (
        "# Request\n\n    # Do ```\n    it\\udc80"
    )


async def test_a_picture_that_is_gone_is_named(play: Play, blobs: BlobStore) -> None:
    play(
        generate("import matplotlib.pyplot as plt\nplt.plot([1])\nplt.savefig('p.png')"),
        APPROVE,
        ASSESS,
    )
    result = await python_coder_tool.execute_code_task("Do it")
    for made in result["artifacts"]:
        blobs.path(made["sha256"]).unlink()
    (cell,) = programs(await build_notebook(result, blobs, request="Do it"))
    assert [out["data"] for out in cell["outputs"]] == [{"text/plain": "p.png (no longer kept)"}]
