"""One dict with every documented key, whatever happens; ``solve`` looks at the keys."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from backend.tools.coder.task import Options
from backend.tools.python_coder_tool import open_tool, python_coder_tool
from tests.ollama_server import OllamaServer
from tests.scripts import APPROVE, generate, program, repair, revise
from tests.solving import GOOD, Play, require_documented, solve

pytestmark = pytest.mark.sandbox

SILENT = {"stage": "generate", "reply": "", "repeat": True}


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        pytest.param([generate("print(1)"), *GOOD], None, id="success"),
        pytest.param([generate("print(1 / 0)"), APPROVE], "program", id="program fails"),
        pytest.param([generate("import socket")], "policy", id="refused by the check"),
        pytest.param([generate("print(1)"), revise("No.")], "policy", id="refused by the review"),
        pytest.param([SILENT], "model", id="model says nothing"),
        pytest.param([{"stage": "generate", "error": "boom"}], "model", id="model fails"),
        pytest.param([{"stage": "generate", "reply": "I shall not."}], "model", id="no program"),
    ],
)
async def test_every_end_has_every_key(
    play: Play, lines: list[dict[str, Any]], kind: str | None
) -> None:
    play(*lines)
    result = await solve(max_iterations=0, max_retries=0)
    assert (result["success"], result["error_kind"]) == (kind is None, kind)


async def test_a_model_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_CODER_MODEL", "ollama:gpt-oss:20b")
    result = await solve()
    assert result["error_kind"] == "model"
    assert "127.0.0.1:9" in result["error"]


async def test_a_model_that_breaks_off(server: OllamaServer) -> None:
    server.add({"reply": program("print(1)"), "fault": "drop", "repeat": True})
    result = await solve()
    assert (result["error_kind"], result["attempts"]) == ("model", [])


async def test_a_model_that_is_not_there(server: OllamaServer) -> None:
    result = await solve(model="ollama:absent:1b")
    assert result["error_kind"] == "model"
    assert "absent:1b" in result["error"]


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("PYTHON_CODE_ENABLED", "false", "disabled"),
        ("PYTHON_CODE_TIMEOUT", "soon", "input"),
        ("PYTHON_CODE_EXECUTOR", "moon", "input"),
    ],
    ids=["disabled", "bad setting", "no such executor"],
)
async def test_what_the_operator_has_set(
    play: Play, monkeypatch: pytest.MonkeyPatch, name: str, value: str, kind: str
) -> None:
    play(generate("print(1)"), *GOOD)
    monkeypatch.setenv(name, value)
    result = await solve()
    assert (result["success"], result["error_kind"]) == (False, kind)
    assert result["usage"]["calls"] == 0


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("absent.csv", None, "does not exist"),
        ("empty.csv", b"", "empty"),
        ("odd.xyz", b"1", "no supported type"),
        ("garbage.csv", bytes(range(256)) * 40, "cannot be read"),
        ("garbage.xlsx", b"not a workbook", "cannot be read"),
        ("big.csv", b"a\n" * 600_000, "the limit is 1 MB"),
    ],
)
async def test_a_file_that_is_refused_is_named_and_costs_no_call(
    play: Play,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    content: bytes | None,
    says: str,
) -> None:
    monkeypatch.setenv("PYTHON_CODE_MAX_FILE_SIZE", "1")
    play(generate("print(1)"), *GOOD)
    good, other = tmp_path / "good.csv", tmp_path / name
    good.write_text("a\n1\n")
    if content is not None:
        other.write_bytes(content)
    result = await solve(file_paths=[str(good), str(other)])
    assert (result["error_kind"], result["usage"]["calls"]) == ("input", 0)
    assert name in result["error"]
    assert says in result["error"]
    assert "good.csv'" not in result["error"]


@pytest.mark.parametrize("name", ["max_iterations", "max_retries"])
@pytest.mark.parametrize("value", [True, 1.5, "2"], ids=str)
def test_a_number_of_attempts_that_is_none(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=name):
        Options(**{name: value})


@pytest.mark.parametrize(
    "arguments",
    [
        {"query": 1},
        {"query": "q", "context": 5},
        {"query": "q", "file_paths": "a.csv"},
        {"query": "q", "file_paths": [1]},
        {"query": "q", "options": {"language": "bash"}},
        {"query": "q", "inputs": [1]},
        {"query": "q", "model": 3},
    ],
    ids=lambda given: ", ".join(f"{name}={value!r}" for name, value in given.items()),
)
async def test_an_argument_of_a_wrong_type(play: Play, arguments: dict[str, Any]) -> None:
    play(generate("print(1)"), *GOOD)
    with pytest.raises(TypeError, match=list(arguments)[-1]):
        await python_coder_tool.execute_code_task(**arguments)


async def test_a_tool_that_stays_open_serves_tasks_of_every_end(play: Play, tmp_path: Path) -> None:
    play(
        generate("print('one')", when="First"),
        generate("1 / 0", when="Second"),
        repair("print('mended')"),
        generate("print('three')", when="Third"),
        *GOOD,
    )
    async with open_tool() as tool:
        outputs = []
        for request in ("First", "Second", "Third"):
            result = await tool.execute_code_task(request)
            require_documented(result)
            outputs.append(result["output"])
        missing = await tool.execute_code_task("Fourth", None, [str(tmp_path / "no.csv")])
        locked = await tool.execute_code_task("Fifth", inputs={"lock": threading.Lock()})
    assert outputs == ["one\n", "mended\n", "three\n"]
    for result in (missing, locked):
        require_documented(result)
        assert (result["error_kind"], result["usage"]["calls"]) == ("input", 0)
