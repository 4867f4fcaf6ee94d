"""``code``: the direct path, through the real loop and sandbox; only the model is scripted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import TABLE
from tests.commands import needs_sandbox, run
from tests.scripts import APPROVE, ASSESS, generate, repair, use_script, write_script

PROGRAM = (
    "import pandas as pd\n"
    "table = pd.read_csv('prices.csv')\n"
    "total = float(table['price'].sum())\n"
    "print('sum', total)\n"
    "table.to_csv('copy.csv', index=False)\n"
)
TESTS = "from solution import total\n\ndef test_total():\n    assert total == 30\n"


@pytest.fixture
def scripted(tmp_path: Path, prices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that fails, and one that does what is asked."""
    lines: list[dict[str, Any]] = [
        generate(PROGRAM.replace("'price'", "'cost'")),
        repair(PROGRAM),
        APPROVE,
        ASSESS,
    ]
    use_script(monkeypatch, tmp_path / "script.jsonl", *lines)


DECLARED = ("--output", "total=float", "--output", "table=DataFrame", "--constraint", "total > 0")


@pytest.mark.sandbox
@needs_sandbox
def test_output_and_declared_outputs_are_on_stdout_and_the_rest_is_on_stderr(
    scripted: None, tmp_path: Path
) -> None:
    done = run("code", "Sum of prices.csv", "-f", "prices.csv", *DECLARED, "-o", "out")
    assert done.status == 0, done.err
    printed, table = done.out.split("\n\n", 1)
    assert printed == "sum 30.0"
    assert table.splitlines()[0] == "Outputs:"
    assert any(line.split() == ["total", "30.0"] for line in table.splitlines())
    assert '2 rows of ["city", "price"]: [["Oslo", 10], ["Rome", 20]]' in table
    for step in ("files", "code", "check", "run", "output", "repair", "artifact"):
        assert any(f"s  {step} " in line for line in done.err.splitlines()), step
    assert f"Files in {tmp_path / 'out'}: copy.csv" in done.err
    assert "model scripted (a recorded conversation), 4 calls" in done.err.splitlines()[-1]
    assert (tmp_path / "out" / "copy.csv").read_text() == TABLE


@pytest.mark.sandbox
@needs_sandbox
def test_json_is_the_result_with_the_paths_of_its_files(scripted: None, tmp_path: Path) -> None:
    (tmp_path / "test_sum.py").write_text(TESTS)
    (tmp_path / "notes.txt").write_text("Prices are in euro.")
    wishes = ("--tests", "test_sum.py", "--context", "@notes.txt", "--max-retries", "1")
    more = ("-o", "out", "--notebook", "sum.ipynb", "--json")
    done = run("code", "-", "-f", "prices.csv", *DECLARED[:2], *wishes, *more, stdin="Sum it")
    document = done.document
    assert (done.status, done.err, document["exit_status"]) == (0, "", 0)
    assert document["outputs"] == {"total": 30.0}
    assert [case["outcome"] for case in document["test_report"]["cases"]] == ["passed"]
    copy = str(tmp_path / "out" / "copy.csv")
    assert document["written"] == [copy]
    assert [entry["path"] for entry in document["artifacts"]] == [copy]
    assert document["notebook"] == str(tmp_path / "sum.ipynb")
    spec = run("runs", "show", document["run_id"], "--json").document["spec"]
    assert spec["background"] == "Prices are in euro."
    assert spec["options"]["max_retries"] == 1
    told = run("runs", "show", document["run_id"], "--format", "plain", "--with", "verification")
    assert "Outputs:\n\nname   value\ntotal  30.0" in told.out
    tests = told.out.split("Tests:\n\n")[1].splitlines()
    assert tests[1].split() == ["test_total", "caller", "passed"]


@pytest.mark.sandbox
@needs_sandbox
def test_what_became_of_an_improvement_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, fast = "print(sum(n for n in range(9)))", "print(36)"
    (tmp_path / "slow.py").write_text(slow)
    written = generate(fast, when="range")
    use_script(monkeypatch, tmp_path / "script.jsonl", written, APPROVE, ASSESS)
    wishes = ("--focus", "optimise", "--code", "slow.py")
    done = run("code", "Faster", *wishes, "--format", "markdown", "--with", "history", "-q")
    assert (done.status, done.err) == (0, "")
    assert "Improvement (optimise): before " in done.out
    assert "it prints the same" in done.out


@pytest.mark.sandbox
@needs_sandbox
def test_a_program_that_keeps_failing_gives_exit_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_script(monkeypatch, tmp_path / "script.jsonl", generate("print(2)\n1 / 0"), APPROVE)
    done = run("code", "Divide", "--max-retries", "0", "-q")
    assert (done.status, done.out) == (1, "2\n")
    assert done.err.splitlines()[-1].startswith("Error: ZeroDivisionError")


def test_an_unreachable_model_gives_exit_status_3(tmp_path: Path) -> None:
    done = run("code", "Add 1 and 2", "--json")
    assert (done.status, done.document["error_kind"]) == (3, "model")
    assert "cannot be reached" in done.document["error"]


def test_another_script_is_named_with_its_provider(tmp_path: Path) -> None:
    script = write_script(tmp_path / "other.jsonl", generate("print(7)"), APPROVE, ASSESS)
    done = run("code", "Seven", "-m", f"scripted:{script}", "-q")
    assert (done.status, done.out, done.err) == (0, "7\n", "")


MISTAKES = {
    "a folder as output": (["--output", "out"], ["--output", "'out'", "NAME=TYPE", "-o DIR"]),
    "an unknown type": (["--output", "x=wizard"], ["--output", "'wizard'", "Supported are"]),
    "declared twice": (["--output", "x=int", "--output", "x=str"], ["--output", "'x'", "twice"]),
    "no tests": (["--tests", "none.py"], ["--tests", "test_"]),
    "absent tests": (["--tests", "absent.py"], ["absent.py"]),
    "absent schema": (["--schema", "absent.json"], ["absent.json"]),
    "absent context": (["--context", "@absent.txt"], ["absent.txt"]),
    "nothing to improve": (["--focus", "fix"], ["--code", "'fix'"]),
    "unknown focus": (["--focus", "speed"], ["--focus", "'speed'", "optimise"]),
    "too many": (["--max-retries", "101"], ["--max-retries", "101", "0 to 100"]),
    "no number": (["--max-iterations", "many"], ["--max-iterations", "'many'"]),
    "outputs of Bash": (["--language", "bash", "--output", "x=int"], ["'bash'", "outputs"]),
}


@pytest.mark.parametrize(("args", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_wish_that_cannot_be_is_one_line(
    args: list[str], said: list[str], tmp_path: Path
) -> None:
    (tmp_path / "none.py").write_text("x = 1\n")
    done = run("code", "Do it", *args, "-q")
    assert (done.status, done.out) == (2, "")
    assert [word for word in said if word not in done.error] == [], done.error
