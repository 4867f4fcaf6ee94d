"""Which model, temperature and length each step of a task really asks for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ollama_server import OllamaServer
from tests.scripts import APPROVE, ASSESS, program
from tests.solving import solve

pytestmark = pytest.mark.sandbox

TESTS = program("def test_it():\n    import solution\n    assert solution.x == 1")
ODD = "class Odd(Exception): pass\nraise Odd('again')"
"""No rule knows why; the second time the model is asked."""
DIAGNOSIS = '{"kind": "logic", "root_cause": "it exits", "advice": ["do not"], "packages": []}'


async def test_every_stage_of_a_task_asks_its_own_model(
    server: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.models = [f"{stage}:1b" for stage in ("g", "v", "r", "d", "t", "a")]
    monkeypatch.setenv("PYTHON_CODER_MODEL", "ollama:g:1b")
    monkeypatch.setenv(
        "PYTHON_CODER_STAGES",
        "review model=ollama:v:1b temperature=0; repair model=r:1b temperature=0.4 max_tokens=900;"
        "diagnose model=d:1b top_p=0.5; tests model=t:1b seed=3;"
        "assess model=ollama:a:1b max_tokens=300 temperature=0.9",
    )
    server.add(
        {"reply": program(ODD)},
        {"reply": APPROVE["reply"]},
        {"reply": program(f"x = 0\n{ODD}")},
        {"reply": DIAGNOSIS, "when": "You find out why"},
        {"reply": program("x = 1\nprint(x)")},
        {"reply": TESTS},
        {"reply": ASSESS["reply"]},
    )
    result = await solve(write_tests=True)
    assert result["success"] is True
    asked = [_asked(chat.body) for chat in server.chats]
    assert asked == [
        {"model": "g:1b", "temperature": 0.1, "num_predict": 4096},
        {"model": "v:1b", "temperature": 0, "num_predict": 4096},
        {"model": "r:1b", "temperature": 0.4, "num_predict": 900},
        {"model": "d:1b", "temperature": 0.1, "num_predict": 4096, "top_p": 0.5},
        {"model": "r:1b", "temperature": 0.4, "num_predict": 900},
        {"model": "t:1b", "temperature": 0.1, "num_predict": 4096, "seed": 3},
        {"model": "a:1b", "temperature": 0.9, "num_predict": 300},
    ]
    told = [(call["stage"], call["model"]) for call in result["calls"]]
    assert told == [
        *(("generate", "g:1b"), ("review", "v:1b"), ("repair", "r:1b")),
        *(("diagnose", "d:1b"), ("repair", "r:1b"), ("tests", "t:1b"), ("assess", "a:1b")),
    ]


def _asked(body: dict[str, Any]) -> dict[str, Any]:
    names = ("temperature", "num_predict", "top_p", "seed")
    options = {name: body["options"][name] for name in names if name in body["options"]}
    assert body["options"]["num_ctx"] == 16384
    return {"model": body["model"], **options}


async def test_a_requests_model_is_asked_where_a_stage_has_none_of_its_own(
    server: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_CODER_STAGES", "review model=qwen3:4b")
    server.add(
        {"reply": program("print(1)")},
        {"reply": APPROVE["reply"]},
        {"reply": ASSESS["reply"]},
    )
    assert (await solve(model="other:7b"))["success"] is True
    assert [chat.body["model"] for chat in server.chats] == ["other:7b", "qwen3:4b", "other:7b"]


async def test_a_stages_model_that_is_not_there_is_named(
    server: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_CODER_STAGES", "repair model=absent:3b")
    server.add({"reply": program("print(1 / 0)")}, {"reply": APPROVE["reply"]})
    result = await solve()
    assert result["error_kind"] == "model"
    assert "absent:3b" in result["error"]
    assert len(result["attempts"]) == 1
