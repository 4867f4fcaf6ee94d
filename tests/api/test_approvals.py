"""A program that waits for approval, in a plain conversation and by the run's address."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from backend.api.approvals import read_word
from tests.api.conftest import Serve
from tests.api.test_presence import until
from tests.api.test_server import START
from tests.commands import needs_sandbox
from tests.ollama_server import OllamaServer
from tests.scripts import APPROVE, act, answer, generate, plan

pytestmark = [pytest.mark.sandbox, needs_sandbox]

QUESTION = "Compute the product of 6 and 7"
WRITING = "You write one Python program"
REVIEW = "before it runs in a sandbox"
DRAFT = {**generate("print(6 * 7)"), "when": WRITING}
LINES = (
    act("python_coder", QUESTION, when="You answer a request step by step"),
    DRAFT,
    {"reply": '{"verdict": "approve", "findings": []}', "when": REVIEW, "repeat": True},
    act("finish", "It is 42.", when="Observation: 42"),
)
REPLAYED = (
    act("python_coder", QUESTION),
    generate("print(6 * 7)"),
    APPROVE,
    act("finish", "It is 42.", when="Observation: 42"),
)


def say(client: httpx.Client, *turns: str, headers: Any = None, **more: Any) -> dict[str, Any]:
    """The completion of a conversation whose turns are the user's and the assistant's in turn."""
    roles = ["user", "assistant"] * len(turns)
    messages = [{"role": role, "content": text} for role, text in zip(roles, turns, strict=False)]
    body = {"messages": messages, "agent_type": "react", "approve": "always"} | more
    reply = client.post("/v1/chat/completions", json=body, headers=headers)
    assert reply.status_code == 200, reply.text
    document: dict[str, Any] = reply.json()
    return document


def text_of(document: dict[str, Any]) -> str:
    return str(document["choices"][0]["message"]["content"])


def run_of(client: httpx.Client, run_id: str) -> dict[str, Any]:
    document: dict[str, Any] = client.get(f"/v1/runs/{run_id}").json()
    return document


def test_the_program_is_shown_and_a_yes_runs_it(serve: Serve) -> None:
    client = serve(*REPLAYED)
    waiting = say(client, QUESTION)
    text, approval = text_of(waiting), waiting["x_agent_metadata"]["approval"]
    assert "```python\nprint(6 * 7)\n```" in text
    assert "Reply **yes** to run it, **no** to leave it." in text
    assert approval["run_id"] in text
    assert (approval["code"], approval["language"]) == ("print(6 * 7)", "python")
    assert waiting["x_agent_metadata"]["success"] is False
    assert run_of(client, approval["run_id"])["status"] == "waiting_approval"
    assert run_of(client, approval["run_id"])["approval"] == approval

    done = say(client, "Yes!", session_id=waiting["x_session_id"])
    assert text_of(done) == "It is 42."
    assert done["x_agent_metadata"]["run_id"] == approval["run_id"]
    assert done["x_session_id"] == waiting["x_session_id"]
    after = run_of(client, approval["run_id"])
    assert (after["status"], after["answer"], after["approval"]) == ("completed", "It is 42.", None)
    session = client.get(f"/v1/sessions/{waiting['x_session_id']}/messages").json()["data"]
    assert [turn["content"] for turn in session] == [QUESTION, text, "Yes!", "It is 42."]


def test_a_front_end_that_sends_history_only_is_recognised(serve: Serve) -> None:
    client = serve(*REPLAYED)
    waiting = say(client, QUESTION)
    done = say(client, QUESTION, text_of(waiting), "ja", approve=None, agent_type=None)
    assert text_of(done) == "It is 42."
    assert done["x_session_id"] == waiting["x_session_id"]


def test_a_no_leaves_it(serve: Serve) -> None:
    client = serve(*REPLAYED)
    chat = {"X-OpenWebUI-Chat-Id": "chat-1"}
    waiting = say(client, QUESTION, headers=chat)
    refused = say(client, QUESTION, text_of(waiting), "no.", headers=chat)
    assert text_of(refused) == "The program was not run: it was not approved."
    assert refused["x_agent_metadata"]["approval"] is None
    run_id = waiting["x_agent_metadata"]["run_id"]
    assert run_of(client, run_id)["status"] == "failed"


def test_anything_else_is_a_new_question(serve: Serve) -> None:
    client = serve(*REPLAYED, {"stage": "chat", "reply": "Hello."})
    waiting = say(client, QUESTION)
    session = waiting["x_session_id"]
    assert text_of(say(client, "hello", session_id=session, agent_type="chat")) == "Hello."
    left = run_of(client, waiting["x_agent_metadata"]["run_id"])
    assert (left["status"], left["success"]) == ("cancelled", False)
    assert "Something else was asked" in left["error"]["message"]


def test_a_title_for_the_conversation_leaves_the_program_waiting(serve: Serve) -> None:
    client = serve(*REPLAYED, {"stage": "chat", "reply": "Products", "repeat": True})
    waiting = say(client, QUESTION, headers={"X-OpenWebUI-Chat-Id": "chat-2"})
    title = say(
        client,
        "### Task:\nGenerate a title",
        headers={"X-OpenWebUI-Chat-Id": "chat-2", "X-Task": "title_generation"},
        agent_type=None,
    )
    assert text_of(title) == "Products"
    assert run_of(client, waiting["x_agent_metadata"]["run_id"])["status"] == "waiting_approval"


def test_the_same_streaming(serve: Serve) -> None:
    client = serve(*REPLAYED)

    def stream(*turns: str) -> tuple[str, dict[str, Any]]:
        roles = ["user", "assistant"] * len(turns)
        body = {
            "messages": [
                {"role": role, "content": text} for role, text in zip(roles, turns, strict=False)
            ],
            "stream": True,
            "agent_type": "react",
            "approve": "always",
        }
        with client.stream("POST", "/v1/chat/completions", json=body) as reply:
            lines = [line[6:] for line in reply.iter_lines() if line.startswith("data: {")]
        chunks = [json.loads(line) for line in lines]
        words = [chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks]
        return "".join(words), chunks[-1]["x_agent_metadata"]

    text, metadata = stream(QUESTION)
    assert "print(6 * 7)" in text
    assert metadata["approval"]["run_id"] in text
    text, metadata = stream(QUESTION, text, "yes")
    assert (text, metadata["approval"]) == ("It is 42.", None)


@pytest.mark.parametrize("chunked", [False, True], ids=["whole", "chunked"])
def test_a_run_is_decided_about_by_its_address(serve: Serve, chunked: bool) -> None:
    client = serve(*REPLAYED)
    waiting = say(client, QUESTION)
    run_id = waiting["x_agent_metadata"]["run_id"]
    body = b'{"code": "print(21 * 2)"}'
    edited = client.post(
        f"/v1/runs/{run_id}/approve",
        content=iter([body]) if chunked else body,
        headers={"Content-Type": "application/json"},
    )
    assert edited.status_code == 200
    assert text_of(edited.json()) == "It is 42."
    [result] = edited.json()["x_agent_metadata"]["python_coder_results"]
    assert (result["code"], result["modifications"][0]["by"]) == ("print(21 * 2)", "user")
    again = client.post(f"/v1/runs/{run_id}/reject")
    assert again.status_code == 409
    assert again.headers["x-should-retry"] == "false"
    assert "waits for no approval" in again.json()["error"]["message"]
    assert "GET /v1/runs?status=waiting_approval" in again.json()["error"]["message"]
    for path in ("", "/approve", "/reject"):
        method = "POST" if path else "GET"
        assert client.request(method, f"/v1/runs/run-0000{path}").status_code == 404


def test_a_run_is_rejected_by_its_address(serve: Serve) -> None:
    client = serve(*REPLAYED)
    waiting = say(client, QUESTION)
    run_id = waiting["x_agent_metadata"]["run_id"]
    used = run_of(client, run_id)["usage"]
    assert {key: used[key] for key in waiting["usage"]} == waiting["usage"]
    refused = client.post(f"/v1/runs/{run_id}/reject", json={"note": "Too dear."}).json()
    assert text_of(refused) == "The program was not run: it was not approved (Too dear)."


def test_what_was_used_before_an_approval_is_told_of_a_run_that_is_cancelled_after_it(
    serve: Serve,
) -> None:
    client = serve(act("python_coder", "wait"), generate("import time\ntime.sleep(60)"), APPROVE)
    waiting = say(client, QUESTION)
    run_id = waiting["x_agent_metadata"]["run_id"]
    used = run_of(client, run_id)["usage"]
    with ThreadPoolExecutor(1) as thread:
        approved = thread.submit(client.post, f"/v1/runs/{run_id}/approve", json={})
        until(lambda: run_of(client, run_id)["status"] == "running")
        client.post(f"/v1/runs/{run_id}/cancel")
        assert approved.result(30).status_code == 499
    assert run_of(client, run_id)["usage"] == used


def test_an_approved_program_finds_what_the_turn_before_left(serve: Serve) -> None:
    client = serve(
        act("python_coder", "keep a number"),
        generate("kept = 41\nprint('kept', kept)"),
        APPROVE,
        act("finish", "Kept.", when="Observation: kept 41"),
        act("python_coder", "add one to it"),
        generate("print('sum', kept + 1)"),
        act("finish", "It is 42.", when="Observation: sum 42"),
    )
    first = say(client, "Compute and keep 41", approve="off")
    assert text_of(first) == "Kept."
    session = first["x_session_id"]
    waiting = say(client, "Compute it plus one", session_id=session)
    assert waiting["x_agent_metadata"]["approval"]["code"] == "print('sum', kept + 1)"
    assert text_of(say(client, "ok", session_id=session)) == "It is 42."


def test_only_risky_programs_are_asked_about(serve: Serve) -> None:
    client = serve(*REPLAYED)
    assert text_of(say(client, QUESTION, approve="risky")) == "It is 42."


def test_the_setting_is_what_holds_without_a_word(serve: Serve) -> None:
    client = serve(*REPLAYED, approve="always")
    assert say(client, QUESTION, approve=None)["x_agent_metadata"]["approval"] is not None


@contextmanager
def server(environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """A server in a process of its own, which a test may kill."""
    process = subprocess.Popen(
        [sys.executable, "-c", START],
        env=os.environ | environment | {"PYTHON_CODER_PORT": "0"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        address = process.stderr.readline().strip()
        assert urlsplit(address).port, address
        with httpx.Client(base_url=address, timeout=60) as client:
            yield process, client
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("agent", "by"), [("react", "chat"), ("plan_execute", "address")])
def test_a_program_waits_through_kill_9(
    by: str, agent: str, ollama_server: OllamaServer, tmp_path: Path
) -> None:
    environment = {
        "PYTHON_CODER_MODEL": "ollama:gpt-oss:20b",
        "OLLAMA_HOST": ollama_server.url,
        "PYTHON_CODER_DATA_DIR": str(tmp_path / "data"),
    }
    if agent == "react":
        ollama_server.add(*LINES)
    else:
        ollama_server.add(
            DRAFT,
            LINES[2],
            answer("It is 42.", when="Write the answer"),
            plan(("python_coder", QUESTION), when="(?s)plan"),
        )
    with server(environment) as (process, client):
        waiting = say(client, QUESTION, agent_type=agent)
        approval = waiting["x_agent_metadata"]["approval"]
        process.kill()
        process.wait()
    asked = len(ollama_server.chats)
    with server(environment) as (_, client):
        assert run_of(client, approval["run_id"])["status"] == "waiting_approval"
        if by == "chat":
            done = say(client, "yes", session_id=waiting["x_session_id"])
        else:
            done = client.post(f"/v1/runs/{approval['run_id']}/approve").json()
        assert text_of(done) == "It is 42."
        assert done["x_agent_metadata"]["resumed"] is True
        assert run_of(client, approval["run_id"])["status"] == "completed"
    prompts = [request.body["messages"][-1]["content"] for request in ollama_server.chats]
    assert sum(WRITING in prompt for prompt in prompts) == 1, "no second generate call"
    assert len(prompts) == asked + 1, "only the answer was still to be asked for"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("yes", "approve"), ("Yes, please.", "approve"), ("**Ja!**", "approve"), ("네", "approve"),
        ("はい。", "approve"), ("好的", "approve"), ("Да", "approve"), ("ok 👍".split()[1], "approve"),
        ("Approve", "approve"), ("run it", "approve"), ("Sí!", "approve"),
        ("no", "reject"), ("Nein danke", "reject"), ("don\u2019t", "reject"), ("いいえ", "reject"),
        ("아니요", "reject"), ("Stop!", "reject"), ("不要", "reject"),
        ("yes, but by month", None), ("no, the mean", None), ("What does it do?", None), ("", None),
        ("?", None), ("now plot that", None),
    ],
)  # fmt: skip
def test_a_word_is_understood_and_a_sentence_is_a_question(said: str, meant: str | None) -> None:
    assert read_word(said) == meant
