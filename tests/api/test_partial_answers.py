"""Answers of models that go away in the middle: they tell no user where the model server is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from backend.store.database import LOCAL_OWNER
from tests.api.guarded import guarded_server
from tests.api.test_presence import until
from tests.commands import needs_sandbox
from tests.core.test_cancelling import ACTING, APPROVED, REVIEW, WRITING
from tests.ollama_server import OllamaServer
from tests.scripts import act, answer, generate, plan

pytestmark = [pytest.mark.sandbox, needs_sandbox]

QUESTION = "Compute the product of 6 and 7"
DRAFT: dict[str, Any] = {**generate("print(6 * 7)"), "when": WRITING}
REVIEWED: dict[str, Any] = {"reply": APPROVED, "when": REVIEW}
REACT = [act("python_coder", QUESTION, when=ACTING), DRAFT, REVIEWED, act("finish", "It is 42.")]
STEP = plan(("python_coder", QUESTION))
PLANNED = [{**STEP, "when": "You plan how"}, DRAFT, REVIEWED, answer("It is 42.")]


@pytest.mark.parametrize("fault", ["error", "drop", "garbage", "load"])
@pytest.mark.parametrize("form", [None, {"type": "json_object"}], ids=["words", "form"])
@pytest.mark.parametrize("agent", ["react", "plan_execute"])
def test_a_user_is_not_told_where_the_model_is(
    tmp_path: Path, ollama_server: OllamaServer, agent: str, form: Any, fault: str
) -> None:
    lines = REACT if agent == "react" else PLANNED
    asked = {"messages": [{"role": "user", "content": QUESTION}], "agent_type": agent}
    asked |= {"response_format": form} if form else {}
    gone = {"error": "out of memory"} if fault == "error" else {"reply": "{", "fault": fault}
    port = ollama_server.url.rpartition(":")[2]
    model = {"model": "ollama:gpt-oss:20b", "ollama_host": ollama_server.url}
    with guarded_server(tmp_path, **model) as guarded:
        user = guarded.user("ada")
        for count in range(len(lines) + (form is not None)):
            ollama_server.replace(*lines[:count], {**gone, "repeat": True})
            before = len(ollama_server.chats)
            told = user.post("/v1/chat/completions", json=asked)
            assert len(ollama_server.chats) > before, told.text
            runs = user.get("/v1/runs").json()["data"]
            details = [user.get(f"/v1/runs/{run['id']}").json() for run in runs]
            for text in (told.text, json.dumps(details)):
                assert f":{port}" not in text, (count, told.status_code, text)


@pytest.mark.parametrize("way", ["run", "response"])
def test_whose_key_reaches_the_operators_rows_is_no_operator(
    tmp_path: Path, ollama_server: OllamaServer, way: str
) -> None:
    """Also in the background, where nobody asks any more."""
    ollama_server.add({"error": "out of memory", "repeat": True})
    model = {"model": "ollama:gpt-oss:20b", "ollama_host": ollama_server.url}
    path, body = {
        "run": ("/v1/runs", {"messages": [{"role": "user", "content": QUESTION}]}),
        "response": ("/v1/responses", {"input": QUESTION, "background": True}),
    }[way]
    with guarded_server(tmp_path, **model) as guarded:
        user = guarded.user("ada", owner=LOCAL_OWNER)
        begun = user.post(path, json=body | {"agent_type": "react"})
        address = f"{path}/{begun.json()['id']}"
        until(lambda: user.get(address).json()["status"] == "failed")
        told = user.get(address).text
        assert "out of memory" in told
        assert f":{ollama_server.url.rpartition(':')[2]}" not in told
