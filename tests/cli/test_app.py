"""What is the same for every command: help, version, exit statuses, one line, one document."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.commands import run
from tests.ollama_server import OllamaServer

COMMANDS = "ask code run runs check route doctor serve backup restore demo".split()


def test_help_lists_every_command_and_imports_none_of_them() -> None:
    probe = (
        "import sys; from backend.cli.app import run_command; status = run_command(['--help']);"
        "loaded = [m for m in ('backend.config', 'backend.core', 'rich', 'pydantic', 'asyncio')"
        " if m in sys.modules]; sys.exit(status or (f'loaded: {loaded}' if loaded else 0))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(f"\n  {command} " in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_a_json_form(command: str) -> None:
    done = run(command, "--help")
    assert done.status == 0
    assert "--json" in done.out


def test_version_is_that_of_the_distribution() -> None:
    assert run("--version").out.strip() == f"python-coder {version('python-coder')}"


MISTAKES = {
    "no such command": (["frobnicate"], 2, "frobnicate"),
    "no question": (["ask"], 2, "QUESTION"),
    "empty question": (["ask", ""], 2, "The question is empty"),
    "blank question": (["ask", " \n\t"], 2, "The question is empty"),
    "unquoted question": (["ask", "what", "is", "it"], 2, "quotes"),
    "unknown agent": (["ask", "hi", "--agent", "wizard"], 2, "wizard"),
    "missing file": (["ask", "hi", "-f", "absent.csv"], 2, "absent.csv"),
    "folder as file": (["ask", "hi", "-f", "."], 2, "not a file"),
    "model not reachable": (["ask", "hi", "--agent", "chat"], 3, "cannot be reached"),
    "model without a name": (["ask", "hi", "-m", "ollama:"], 2, "no name"),
    "output folder is a file": (["ask", "hi", "-o", sys.executable], 2, "Nothing can be written"),
    "empty request": (["code", " "], 2, "The question is empty"),
    "missing file of a request": (["code", "hi", "-f", "absent.csv"], 2, "absent.csv"),
    "missing program to improve": (["code", "hi", "--code", "absent.py"], 2, "absent.py"),
    "request without a model": (["code", "hi"], 3, "cannot be reached"),
    "unknown run to resume": (["runs", "resume", "nobody"], 2, "no run 'nobody'"),
    "empty program": (["run", os.devnull], 2, "is empty"),
    "missing program": (["run", "absent.py"], 2, "absent.py"),
    "folder as program": (["run", "."], 2, "directory"),
    "unknown executor": (["run", __file__, "--executor", "mars"], 2, "mars"),
    "time-out no number": (["run", __file__, "--timeout", "soon"], 2, "soon"),
    "unknown run": (["runs", "show", "nobody"], 2, "no run 'nobody'"),
    "unknown command of runs": (["runs", "frobnicate"], 2, "frobnicate"),
    "missing program to check": (["check", "absent.py"], 2, "absent.py"),
    "unknown language": (["check", "x", "--language", "cobol"], 2, "cobol"),
    "empty question to route": (["route", ""], 2, "The question is empty"),
    "port out of range": (["serve", "--port", "70000"], 2, "PYTHON_CODER_PORT"),
    "open to the world": (["serve", "--host", "0.0.0.0", "--port", "0"], 2, "0.0.0.0"),
}


@pytest.mark.parametrize(("args", "status", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_with_its_exit_status(
    args: list[str], status: int, said: str
) -> None:
    quiet = ["-q"] if args[0] in ("ask", "code", "run") else []
    done = run(*args, *quiet)
    assert (done.status, done.out) == (status, "")
    assert said in done.error


@pytest.mark.parametrize(("args", "status", "said"), MISTAKES.values(), ids=MISTAKES)
def test_with_json_a_mistake_is_one_document_as_well(
    args: list[str], status: int, said: str
) -> None:
    done = run(*args, "--json")
    assert done.status == status
    assert done.document["success"] is False
    assert done.document["exit_status"] == status
    assert said in done.document["error"]


BAD_SETTINGS = {
    "time-out": {"PYTHON_CODE_TIMEOUT": "soon"},
    "memory": {"PYTHON_CODE_MAX_MEMORY": "-1"},
    "model without provider": {"PYTHON_CODER_MODEL": "qwen3"},
    "settings file that is not there": {"PYTHON_CODER_CONFIG": "absent.yaml"},
}
EVERY_COMMAND = {
    "ask": ["ask", "hi"],
    "code": ["code", "hi"],
    "run": ["run", "-"],
    "runs": ["runs", "list"],
    "check": ["check", "-"],
    "route": ["route", "hi"],
    "doctor": ["doctor", "--no-run"],
    "serve": ["serve", "--port", "0"],
    "backup": ["backup", "x.tar"],
    "restore": ["restore", "x.tar"],
    "demo": ["demo"],
}


@pytest.mark.parametrize("args", EVERY_COMMAND.values(), ids=EVERY_COMMAND)
def test_a_bad_setting_stops_every_command(args: list[str]) -> None:
    done = run(*args, PYTHON_CODE_TIMEOUT="soon")
    assert done.status == 2
    assert "PYTHON_CODE_TIMEOUT is 'soon'" in done.error


@pytest.mark.parametrize("environment", BAD_SETTINGS.values(), ids=BAD_SETTINGS)
def test_a_bad_setting_is_named(environment: dict[str, str]) -> None:
    done = run("route", "hi", **environment)
    assert done.status == 2
    assert next(iter(environment)) in done.error


def test_an_unknown_provider_is_the_callers_mistake() -> None:
    done = run("ask", "hi", "-q", PYTHON_CODER_MODEL="oracle:delphi")
    assert done.status == 2
    assert "'oracle' is no provider" in done.error


def test_a_model_that_the_server_does_not_have(ollama_server: OllamaServer) -> None:
    done = run("ask", "hi", "-q", "--agent", "chat", "-m", "absent:7b")
    assert done.status == 3
    assert "absent:7b" in done.error
    assert "ollama pull absent:7b" in done.error


def test_nothing_is_left_by_a_mistake(tmp_path: Path) -> None:
    run("ask", "hi", "-f", "absent.csv")
    run("run", "absent.py")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_who_leaves_early_sees_no_stack_trace(tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text("x = 1\n" + "import subprocess\n" * 20_000)
    command = [sys.executable, "-m", "backend.cli", "check", "long.py"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
