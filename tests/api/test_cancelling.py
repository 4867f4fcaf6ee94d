"""A client that goes at any moment ends its request: the record says so, the next turn works."""

from __future__ import annotations

import asyncio
import json
import socket
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from backend.config.settings import load_settings
from backend.store.database import LOCAL_OWNER, open_database
from backend.store.run_records import RunSummary
from backend.store.runs import RunStore
from tests.api.conftest import Serve
from tests.api.test_presence import busy, gone, until
from tests.commands import needs_sandbox
from tests.core.test_cancelling import FIRST, HELD, QUESTION, lines_for
from tests.ollama_server import Line, OllamaServer

pytestmark = [pytest.mark.sandbox, needs_sandbox]


def recorded() -> list[RunSummary]:
    async def read() -> list[RunSummary]:
        async with open_database(load_settings()) as database:
            page = await RunStore(database).page(owner=LOCAL_OWNER, order="asc")
            return page.runs

    return asyncio.run(read())


def statuses() -> list[str]:
    return [run.status for run in recorded()]


def ids() -> list[str]:
    return [run.id for run in recorded()]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("moment", ["writing", "review", "run", "answer"])
@pytest.mark.parametrize("agent", list(FIRST))
def test_a_client_that_goes_leaves_nothing_and_its_next_turn_is_answered(
    agent: str, moment: str, stream: bool, serve: Serve, ollama_server: OllamaServer
) -> None:
    lines = lines_for(agent, moment)
    ollama_server.add(*(Line(**line) for line in lines))
    client = serve(model="ollama:gpt-oss:20b", timeout_s=300)
    body = {
        "messages": [{"role": "user", "content": QUESTION}],
        "agent_type": agent,
        "stream": stream,
    }
    with socket.create_connection((client.base_url.host, client.base_url.port or 80)) as connection:
        connection.sendall(_request(client, json.dumps(body).encode()))
        if moment in HELD:
            for _ in lines:
                ollama_server.next_request()
            running = set[psutil.Process]()
        else:
            running = until(lambda: busy(psutil.Process()))
    until(lambda: gone(running))
    until(lambda: statuses() == ["cancelled"])
    if moment in HELD:
        assert ollama_server.chats[-1].client_left.wait(30), "the model still works"

    ollama_server.add(*(Line(**line) for line in lines_for(agent, "")))
    headers = {"X-OpenWebUI-Chat-Id": "chat-1"}
    reply = client.post("/v1/chat/completions", json=body | {"stream": False}, headers=headers)
    assert reply.json()["choices"][0]["message"]["content"] == "It is 42."
    assert statuses() == ["cancelled", "completed"]


@pytest.mark.parametrize("moment", ["writing", "run"])
def test_a_request_is_cancelled_by_its_address(
    moment: str, serve: Serve, ollama_server: OllamaServer
) -> None:
    lines = lines_for("react", moment)
    ollama_server.add(*(Line(**line) for line in lines))
    client = serve(model="ollama:gpt-oss:20b", timeout_s=300)
    body = {"messages": [{"role": "user", "content": QUESTION}], "agent_type": "react"}
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(client.post, "/v1/chat/completions", json=body)
        running = set[psutil.Process]()
        if moment == "run":
            running = until(lambda: busy(psutil.Process()))
        else:
            for _ in lines:
                ollama_server.next_request()
        (run_id,) = ids()
        cancelled = client.post(f"/v1/runs/{run_id}/cancel")
        assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
        reply = asked.result(30)
    assert reply.status_code == 499, "no client asks again by itself"
    assert reply.json()["error"]["message"] == "The request was cancelled."
    until(lambda: gone(running))
    again = client.post(f"/v1/runs/{run_id}/cancel")
    assert (again.status_code, "it is cancelled" in again.text) == (409, True)
    assert client.post("/v1/runs/run-0/cancel").status_code == 404


def test_a_request_that_waits_is_cancelled_by_its_address(
    serve: Serve, ollama_server: OllamaServer
) -> None:
    ollama_server.add(*(Line(**line) for line in lines_for("react", "")))
    client = serve(model="ollama:gpt-oss:20b")
    body = {
        "messages": [{"role": "user", "content": QUESTION}],
        "agent_type": "react",
        "approve": "always",
    }
    waiting = client.post("/v1/chat/completions", json=body).json()["x_agent_metadata"]
    cancelled = client.post(f"/v1/runs/{waiting['run_id']}/cancel").json()
    ended = {"kind": "cancelled", "message": "The request was cancelled."}
    assert (cancelled["status"], cancelled["error"]) == ("cancelled", ended)
    assert client.post(f"/v1/runs/{waiting['run_id']}/approve").status_code == 409


def _request(client: httpx.Client, content: bytes) -> bytes:
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\n"
        f"Host: {client.base_url.host}:{client.base_url.port}\r\n"
        "X-OpenWebUI-Chat-Id: chat-1\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content
