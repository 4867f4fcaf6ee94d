from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands import run

HARM = "x = 1\nimport subprocess\n"


def test_a_finding_is_a_line_with_file_line_severity_and_message(tmp_path: Path) -> None:
    (tmp_path / "harm.py").write_text(HARM)
    done = run("check", "harm.py")
    assert done.status == 1
    assert len(done.out.splitlines()) == 1
    assert done.out.startswith("harm.py:2: security: The import of subprocess")


def test_a_harmless_program_has_no_findings(tmp_path: Path) -> None:
    (tmp_path / "fine.py").write_text("print(1)\n")
    done = run("check", "fine.py")
    assert (done.status, done.out) == (0, "")
    assert "nothing found" in done.error


def test_json_has_the_issues_and_keeps_the_exit_status(tmp_path: Path) -> None:
    (tmp_path / "harm.py").write_text(HARM)
    done = run("check", "harm.py", "--json")
    assert done.status == 1
    assert done.document["success"] is False
    assert [issue["line"] for issue in done.document["issues"]] == [2]
    assert done.err == ""


def test_it_refuses_what_run_would_refuse_with_the_same_settings() -> None:
    assert run("check", "-", stdin="import requests\n").status == 1
    assert run("check", "-", stdin="import requests\n", PYTHON_CODE_ALLOW_NETWORK="1").out == ""


def test_a_program_comes_on_stdin_too() -> None:
    assert run("check", "-", stdin=HARM).status == 1


def test_the_ending_tells_the_language(tmp_path: Path) -> None:
    for name in ("a.sh", "a.py"):
        (tmp_path / name).write_text("for f in *.csv; do echo $f; done\n")
    assert run("check", "a.sh").status == 0
    assert run("check", "a.py").status == 1
    assert run("check", "a.py", "--language", "bash").status == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff\xfeprint(1)", "not UTF-8"), (b"#" * 5_000_000, "more than")],
    ids=["not UTF-8", "too long"],
)
def test_what_is_no_program_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "odd.py").write_bytes(content)
    done = run("check", "odd.py")
    assert done.status == 2
    assert said in done.error
