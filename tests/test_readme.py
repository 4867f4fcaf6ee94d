"""Everything the README shows is done here, in its order, and gives what it shows."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import backend
from backend.config.settings import load_settings
from backend.demo.scenes import WINE, WINE_PROGRAM
from tests.api.conftest import running

README = Path(__file__).parents[1] / "README.md"
CONVERSATION = Path(backend.__file__).parent / "demo" / "conversation.jsonl"


def blocks(language: str) -> list[str]:
    text = README.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder as ``make demo`` leaves it, with the recorded conversation as the model."""
    (tmp_path / "demo_output").mkdir()
    subprocess.run(
        [sys.executable, "-c", WINE_PROGRAM],
        cwd=tmp_path / "demo_output",
        check=True,
        stdout=subprocess.DEVNULL,
    )
    assert (tmp_path / "demo_output" / WINE).is_file()
    script = tmp_path / "conversation.jsonl"
    script.write_text(CONVERSATION.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setenv("PYTHON_CODER_MODEL", f"scripted:{script}")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    yield tmp_path


@pytest.mark.parametrize("number", range(len(blocks("console"))))
def test_a_session_goes_as_shown(folder: Path, number: int) -> None:
    checker = doctest.OutputChecker()
    for part in re.split(r"^\$ ", blocks("console")[number], flags=re.M)[1:]:
        command, _, shown = part.partition("\n")
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert checker.check_output(shown, done.stdout, doctest.ELLIPSIS), (
            f"$ {command}\nshown:\n{shown}\nprinted:\n{done.stdout}"
        )


def test_the_program_with_the_openai_client_prints_the_number(folder: Path) -> None:
    (program,) = [block for block in blocks("python") if "OpenAI" in block]
    with running(load_settings()) as url:
        done = subprocess.run(
            [sys.executable, "-c", program.replace("http://127.0.0.1:8000", url)],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    assert "r = **0.865** over 178 wines" in done.stdout, done.stderr
    assert "corr(" in done.stdout


def test_the_program_with_the_tool_prints_the_output(folder: Path) -> None:
    (program,) = [block for block in blocks("python") if "execute_code_task" in block]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("True "), done.stderr
    assert "0.865" in done.stdout


def test_the_program_with_the_sandbox_keeps_its_variable(folder: Path) -> None:
    (program,) = [block for block in blocks("python") if "open_session" in block]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False
    )
    first, second = done.stdout.split("\n\n")[0], done.stdout.rstrip().splitlines()[-1]
    assert first.startswith("42"), done.stderr
    assert second == "84"


def test_every_file_it_links_to_is_there() -> None:
    text = README.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!http)([^)#]+)", text) + re.findall(r'src="([^"]+)"', text)
    assert [link for link in links if not (README.parent / link).exists()] == []


def test_the_make_targets_it_names_exist() -> None:
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", README.read_text(encoding="utf-8"), re.M))
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")
    assert {target for target in named if f"\n{target}:" not in makefile} == set()
