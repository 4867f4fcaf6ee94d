"""A client that goes at any moment ends its request: the record says so, the next turn works."""

from __future__ import annotations

import asyncio
import json
import socket

import httpx
import psutil
import pytest

from backend.config.settings import load_settings
from backend.store.database import LOCAL_OWNER, open_database
from backend.store.runs import RunStore
from tests.api.conftest import Serve
from tests.api.test_presence import busy, gone, until
from tests.commands import needs_sandbox
from tests.core.test_cancelling import FIRST, HELD, QUESTION, lines_for
from tests.ollama_server import Line, OllamaServer

pytestmark = [pytest.mark.sandbox, needs_sandbox]


def statuses() -> list[str]:
    async def read() -> list[str]:
        async with open_database(load_settings()) as database:
            page = await RunStore(database).page(owner=LOCAL_OWNER, order="asc")
            return [run.status for run in page.runs]

    return asyncio.run(read())


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


def _request(client: httpx.Client, content: bytes) -> bytes:
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\n"
        f"Host: {client.base_url.host}:{client.base_url.port}\r\n"
        "X-OpenWebUI-Chat-Id: chat-1\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content
