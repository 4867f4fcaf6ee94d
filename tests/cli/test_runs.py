"""``runs``, and how ``ask`` tells: real records of real requests; only the model is scripted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.cli.conftest import TABLE
from tests.commands import Done, needs_sandbox, run
from tests.scripts import APPROVE, act, generate, use_script

pytestmark = [pytest.mark.sandbox, needs_sandbox]

PROGRAM = (
    "import pandas as pd\n"
    "least = 0\n"
    "table = pd.read_csv('prices.csv')\n"
    "print('sum', table[table['price'] > least]['price'].sum())\n"
    "table.to_csv('copy.csv', index=False)\n"
)
QUESTION = "Sum of prices.csv?"
BEGIN = """\
import asyncio
from backend.config.settings import load_settings
from backend.store.database import open_database
from backend.store.runs import RunStore

async def main():
    async with open_database(load_settings()) as database:
        given = {"kind": "task", "key": "k", "request": "Do it", "model": "m"}
        print(await RunStore(database).begin(owner="local", **given), flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[dict[str, Any]] = [
        act("python_coder", "Sum the prices"),
        generate(PROGRAM),
        APPROVE,
        act("finish", "The **sum** is 30."),
    ]
    use_script(monkeypatch, tmp_path / "script.jsonl", *lines)


def ask(*more: str | Path) -> Done:
    return run("ask", QUESTION, "-f", "prices.csv", "--agent", "react", *more)


@pytest.fixture
def run_id(scripted: None, prices: Path) -> str:
    """The id of a question that was answered."""
    return str(ask("--json").document["run_id"])


def test_what_was_asked_is_listed_and_shown(run_id: str) -> None:
    listed = run("runs", "list")
    assert (listed.status, listed.err) == (0, "")
    (line,) = listed.out.splitlines()
    assert line.startswith(run_id[:12])
    assert "completed" in line
    assert QUESTION in line
    shown = run("runs", "show", run_id[4:9])
    assert (shown.status, shown.err) == (0, "")
    assert "The sum is 30." in shown.out
    assert PROGRAM.strip() in shown.out
    document = run("runs", "show", run_id, "--json").document
    assert (document["status"], document["code"]) == ("completed", PROGRAM.strip())
    assert document["result"]["text"] == "The **sum** is 30."
    assert {"generate", "review"} <= document["prompts"].keys()
    assert document["spec"]["files"]["prices.csv"]["size"] == len(TABLE)


def test_a_run_is_shown_in_the_form_and_with_the_sections_that_are_wanted(run_id: str) -> None:
    shown = run("runs", "show", run_id, "--format", "markdown", "--with", "timings,usage")
    assert shown.out.startswith("The **sum** is 30.\n")
    assert "\n## Timings\n" in shown.out
    assert "\n## Model calls\n" in shown.out
    short = run("runs", "show", run_id, "--format", "json", "--without", "code").document
    assert short["text"] == "The **sum** is 30."
    assert "python_coder_results" not in short
    wrong = run("runs", "show", run_id, "--with", "histroy")
    assert (wrong.status, wrong.out) == (2, "")
    assert "no section 'histroy'" in wrong.error


def test_the_files_of_a_run_can_be_had_again(run_id: str, tmp_path: Path) -> None:
    done = run("runs", "show", run_id, "-o", "out")
    assert done.status == 0
    assert (tmp_path / "out" / "copy.csv").read_text() == TABLE


def test_a_program_runs_again_with_other_data_and_without_a_model(
    run_id: str, tmp_path: Path
) -> None:
    (tmp_path / "february.csv").write_text("city,price\nOslo,1\nRome,5\n")
    nobody = {"PYTHON_CODER_MODEL": "ollama:nobody"}
    done = run("runs", "again", run_id, "-f", "february.csv", "-o", "out", **nobody)
    assert (done.status, done.out) == (0, "sum 6\n")
    assert "'february.csv' is read as 'prices.csv'" in done.err
    assert (tmp_path / "out" / "copy.csv").read_text().endswith("Rome,5\n")
    named = run("runs", "again", run_id, "-f", "prices.csv=february.csv", "-q", **nobody)
    assert (named.out, named.err) == ("sum 6\n", "")
    document = run("runs", "again", run_id, "--set", "least=15", "--json", **nobody).document
    assert (document["success"], document["output"]) == (True, "sum 20\n")
    assert document["parent"] == run_id
    assert len(run("runs", "list", "--json").document["runs"]) == 4


MISTAKES = {
    "another type": (["-f", "prices.json"], "prices.json"),
    "absent file": (["-f", "absent.csv"], "absent.csv"),
    "two of one name": (["-f", "prices.csv", "-f", "./prices.csv"], "Two files"),
    "no such input": (["--set", "most=1"], "no input 'most'. It has: least"),
    "no value": (["--set", "least"], "sets nothing"),
    "a column is missing": (["-f", "town.csv"], "'price'"),
}


@pytest.mark.parametrize(("args", "said"), MISTAKES.values(), ids=MISTAKES)
def test_data_that_does_not_fit_is_the_callers_mistake(
    run_id: str, tmp_path: Path, args: list[str], said: str
) -> None:
    (tmp_path / "prices.json").write_text("[1]")
    (tmp_path / "town.csv").write_text("town\nOslo\nRome\n")
    done = run("runs", "again", run_id, *args)
    assert (done.status, done.out) == (2, "")
    assert said in done.error


def test_a_program_that_fails_gives_exit_status_1(run_id: str) -> None:
    done = run("runs", "again", run_id, "--set", 'least="x"')
    assert done.status == 1
    assert "TypeError" in done.err
    assert run("runs", "list", "--status", "failed").out.count("\n") == 1


def test_a_run_is_saved_under_a_name_and_stays(run_id: str) -> None:
    assert run("runs", "save", run_id[:10], "monthly").status == 0
    assert run("runs", "again", "monthly", "-q").out == "sum 30\n"
    taken = run("runs", "list", "--json").document["runs"][0]["id"]
    assert "Another run is saved as 'monthly'" in run("runs", "save", taken, "monthly").error
    assert run("runs", "prune", "--keep", "0", "--json").document["pruned"] == 1
    saved = run("runs", "list", "--saved", "--json").document["runs"]
    assert [entry["name"] for entry in saved] == ["monthly"]
    assert run("runs", "delete", "monthly", "--json").document["id"] == run_id
    gone = run("runs", "show", run_id)
    assert (gone.status, gone.out) == (2, "")
    kept = {path.name for path in Path("data/blobs").rglob("*") if path.is_file()}
    assert kept <= {"lock"}, "what it made went with it"


def test_a_run_becomes_a_notebook(run_id: str, tmp_path: Path) -> None:
    assert run("runs", "notebook", run_id, "-o", "sum.ipynb", "--json").document["success"]
    opened = nbformat.read(tmp_path / "sum.ipynb", as_version=4)
    nbformat.validate(opened)
    assert any(cell["source"] == PROGRAM.strip() for cell in opened["cells"])
    there = run("runs", "notebook", run_id, "-o", "sum.ipynb")
    assert (there.status, there.out) == (2, "")
    assert "there already" in there.error
    assert run("runs", "notebook", run_id, "-o", "sum.ipynb", "--overwrite").status == 0
    printed = json.loads(run("runs", "notebook", run_id).out)
    assert printed["cells"] == json.loads((tmp_path / "sum.ipynb").read_text())["cells"]


def test_a_run_whose_process_was_killed_is_told_as_interrupted() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BEGIN], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        begun = process.stdout.readline().strip()
        assert "running" in run("runs", "list").out
        os.kill(process.pid, signal.SIGKILL)
    assert "interrupted" in run("runs", "list").out
    again = run("runs", "again", begun)
    assert "no program: it was interrupted" in again.error
    assert "no result: it stands interrupted" in run("runs", "notebook", begun).error


def test_without_runs_the_list_is_empty() -> None:
    done = run("runs", "list")
    assert (done.status, done.out) == (0, "")
    assert run("runs", "list", "--json").document == {"runs": [], "has_more": False}


def test_an_answer_is_told_in_markdown_with_its_program_and_files(
    scripted: None, prices: Path, tmp_path: Path
) -> None:
    done = ask("--format", "markdown", "--with", "timings", "--without", "files", "-q")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("The **sum** is 30.\n\n## Program\n\n```python\nimport pandas")
    assert "\n## Timings\n" in done.out
    assert "\n## Files\n" not in done.out
    plain = ask("--format", "plain", "-o", "out", "-q").out
    assert plain.startswith("The sum is 30.\n\nProgram:\n\nimport pandas")
    assert f"copy.csv: {tmp_path / 'out' / 'copy.csv'}" in plain
    assert ask("--format", "json").document["answer"] == "The **sum** is 30."


def test_an_answer_comes_with_a_notebook(scripted: None, prices: Path, tmp_path: Path) -> None:
    done = ask("--notebook", "sum.ipynb", "--json")
    assert done.document["notebook"] == str(tmp_path / "sum.ipynb")
    opened = nbformat.read(tmp_path / "sum.ipynb", as_version=4)
    printed = [cell["outputs"][0]["text"] for cell in opened["cells"] if cell.get("outputs")]
    assert printed == ["sum 30\n"]
    before = run("ask", QUESTION, "--notebook", "sum.ipynb")
    assert (before.status, before.out) == (2, "")
    assert "there already" in before.error
    assert run("ask", QUESTION, "--json", "--format", "plain").status == 2
