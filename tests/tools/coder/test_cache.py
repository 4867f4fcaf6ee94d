"""Identical tasks: the second is answered from what is kept of the first, unless told otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from backend.tools.python_coder_tool import python_coder_tool
from tests.commands import run
from tests.ollama_server import OllamaServer
from tests.scripts import APPROVE, ASSESS, generate, program
from tests.solving import solve

pytestmark = pytest.mark.sandbox

ROUND = (APPROVE["reply"], ASSESS["reply"])


def read(path: str) -> bytes:
    return Path(path).read_bytes()


def serve(server: OllamaServer, *codes: str) -> None:
    for code in codes:
        server.add(*({"reply": reply} for reply in (program(code), *ROUND)))


async def test_the_second_time_no_model_is_asked(server: OllamaServer) -> None:
    serve(server, "open('made.txt', 'w').write('kept')\nprint('first')", "print('second')")
    first = await solve()
    second = await solve()
    assert len(server.chats) == 3
    assert (first["cached"], second["cached"]) == (False, True)
    assert (second["output"], second["code"]) == ("first\n", first["code"])
    assert second["usage"]["calls"] == 0
    assert second["run_id"] == first["run_id"]
    (made,) = second["artifacts"]
    assert read(made["path"]) == b"kept"


async def test_a_request_may_ask_anew(server: OllamaServer) -> None:
    serve(server, "print('first')", "print('second')")
    await solve()
    assert (await solve(use_cache=False))["output"] == "second\n"
    assert len(server.chats) == 6
    assert (await solve())["output"] == "second\n", "the newest is recalled"


async def test_the_setting_switches_it_off_and_a_request_on(
    server: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_CODER_CACHE", "false")
    serve(server, "print('first')", "print('second')")
    await solve()
    assert (await solve())["output"] == "second\n"
    assert (await solve(use_cache=True))["output"] == "second\n"
    assert len(server.chats) == 6


async def test_a_file_that_has_changed_is_another_task(
    server: OllamaServer, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    serve(server, *["print(open('a.txt').read())"] * 2)
    assert (await solve(file_paths=[str(path)]))["output"] == "one\n"
    path.write_text("two")
    assert (await solve(file_paths=[str(path)]))["output"] == "two\n"
    path.write_text("one")
    again = await solve(file_paths=[str(path)])
    assert (again["output"], again["cached"]) == ("one\n", True)


@pytest.mark.parametrize(
    "other",
    [
        {"context": "in metres"},
        {"constraints": ("short",)},
        {"outputs": {"x": int}},
        {"max_retries": 1},
        {"language": "python"},
        {"inputs": {"y": 1}},
        {"model": "other:7b"},
        {"skip_tests": True},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_whatever_else_is_asked_makes_it_another_task(
    server: OllamaServer, other: dict[str, Any]
) -> None:
    serve(server, "x = 1\nprint('first')", "x = 1\nprint('second')")
    await solve()
    result = await solve(**other)
    assert (result["output"], result["cached"]) == ("second\n", False)


async def test_what_failed_is_asked_anew(server: OllamaServer) -> None:
    server.add({"reply": program("print(1 / 0)")}, {"reply": APPROVE["reply"]})
    serve(server, "print('now')")
    first = await solve(max_retries=0)
    second = await solve(max_retries=0)
    assert (first["success"], second["success"], second["cached"]) == (False, True, False)


async def test_a_program_that_only_its_judge_refused_is_asked_anew(server: OllamaServer) -> None:
    wrong = '{"answers_request": false, "reason": "no total"}'
    server.add(*({"reply": reply} for reply in (program("print(1)"), APPROVE["reply"], wrong)))
    serve(server, "print('total 1')")
    assert (await solve(max_retries=0))["success"] is False
    assert (await solve(max_retries=0))["output"] == "total 1\n"


async def test_plain_variables_are_told_from_each_other_and_living_ones_are_not_recalled(
    server: OllamaServer,
) -> None:
    serve(server, *["print(len(rows))"] * 4)
    assert (await solve(inputs={"rows": [1]}))["output"] == "1\n"
    assert (await solve(inputs={"rows": [1]}))["cached"] is True
    assert (await solve(inputs={"rows": [1, 2]}))["output"] == "2\n"
    frame = pd.DataFrame({"a": [1, 2, 3]})
    assert (await solve(inputs={"rows": frame}))["output"] == "3\n"
    assert (await solve(inputs={"rows": frame}))["cached"] is False


async def test_each_task_leaves_a_record(server: OllamaServer, tmp_path: Path) -> None:
    data = tmp_path / "a.csv"
    data.write_text("x\n1\n2\n")
    server.add(
        {"reply": program("import socket")},
        {"reply": program("print(1 / 0)")},
        {"reply": APPROVE["reply"]},
        {"reply": program("print('sum', 3)")},
        {"reply": ASSESS["reply"]},
    )
    told = await solve("Sum x", file_paths=[str(data)], context="in metres", max_retries=2)
    record = run("runs", "show", told["run_id"], "--json").document
    assert (record["status"], record["request"]) == ("completed", "Sum x")
    assert record["code"] == "print('sum', 3)"
    assert record["session_id"] is None
    assert record["model"] == "gpt-oss:20b"
    assert record["spec"]["background"] == "in metres"
    assert record["spec"]["options"]["max_retries"] == 2
    assert set(record["spec"]["files"]) == {"a.csv"}
    result = record["result"]
    actions = [entry["action"] for entry in result["verification_history"]]
    assert actions == ["needs_modification", "approved", "approved"]
    assert [attempt["error"] for attempt in result["attempts"]] == [
        "ZeroDivisionError: division by zero",
        None,
    ]
    assert result["assessment"]["answers_request"] is True
    assert record["usage"]["calls"] == 5
    assert record["timings"]["total_s"] > 0
    assert {stage: len(hashes) for stage, hashes in record["prompts"].items()} == {
        "generate": 1,
        "repair": 2,
        "review": 1,
        "assess": 1,
    }


async def test_what_failed_leaves_a_record_too(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    play(generate("import socket"))
    refused = await solve("Refused", max_iterations=0)
    play({"stage": "generate", "error": "down"})
    down = await solve("Down")
    for told, kind in ((refused, "policy"), (down, "model")):
        record = run("runs", "show", told["run_id"], "--json").document
        assert record["status"] == "failed"
        assert record["result"]["error_kind"] == kind
    text = run("runs", "show", refused["run_id"]).out
    assert "import socket" in text
    listed = json.loads(run("runs", "list", "--json").out)["runs"]
    assert [entry["request"] for entry in listed] == ["Down", "Refused"]


async def test_a_batch_leaves_a_record_of_each(server: OllamaServer) -> None:
    serve(server, "print(1)", "print(2)")
    tasks = [{"query": "One"}, {"query": "Two"}]
    results = await python_coder_tool.execute_code_tasks(tasks, parallel=1)
    assert len({result["run_id"] for result in results}) == 2


MADE = "open('made.txt', 'w').write('kept')\nprint(%r)"


def made_by(result: dict[str, Any]) -> Path:
    (made,) = result["artifacts"]
    return Path(made["path"])


async def test_what_a_cut_off_file_was_made_by_is_done_again(server: OllamaServer) -> None:
    serve(server, MADE % "first", MADE % "second")
    path = made_by(await solve())
    path.write_text("k")
    again = await solve()
    assert (again["output"], again["cached"]) == ("second\n", False)
    assert made_by(again).read_text() == "kept"


async def test_a_recalled_result_names_its_files_where_they_lie_now(
    server: OllamaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(server, MADE % "first")
    await solve()
    (tmp_path / "data").rename(tmp_path / "moved")
    monkeypatch.setenv("PYTHON_CODER_DATA_DIR", str(tmp_path / "moved"))
    again = await solve()
    assert (again["cached"], made_by(again).read_text()) == (True, "kept")
