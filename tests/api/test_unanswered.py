"""What came with a question goes with it when it is not answered; nothing else does."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.conftest import Serve
from tests.api.test_presence import until
from tests.commands import needs_sandbox
from tests.ollama_server import OllamaServer

pytestmark = [pytest.mark.sandbox, needs_sandbox]

DATA = base64.b64encode(b"x\n1\n").decode()
FILE = {"type": "file", "file": {"filename": "a.csv", "file_data": DATA}}
INPUT = {"type": "input_file", "filename": "a.csv", "file_data": f"data:text/csv;base64,{DATA}"}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Sum x"}, FILE]}],
        "agent_type": "react",
    },
    "/v1/responses": {
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hello"}, INPUT]}],
        "agent_type": "chat",
    },
}
PATHS = pytest.mark.parametrize("path", list(BODIES))


def kept(client: httpx.Client) -> list[str]:
    return [each["filename"] for each in client.get("/v1/files").json()["data"]]


def blobs(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "data" / "blobs").glob("??/*"))


@PATHS
def test_a_model_that_fails(serve: Serve, path: str, tmp_path: Path) -> None:
    client = serve({"stage": "plan", "reply": "never asked"})
    assert client.post(path, json=BODIES[path]).status_code >= 500
    assert (kept(client), blobs(tmp_path)) == ([], [])


def test_a_model_that_fails_in_a_stream(serve: Serve, tmp_path: Path) -> None:
    client = serve({"stage": "plan", "reply": "never asked"})
    client.post("/v1/chat/completions", json=BODIES["/v1/chat/completions"] | {"stream": True})
    assert (kept(client), blobs(tmp_path)) == ([], [])


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_no_turn_is_to_be_had_and_a_client_that_goes(
    serve: Serve, ollama_server: OllamaServer, stream: bool
) -> None:
    ollama_server.add({"reply": "Never told.", "fault": "hold"})
    client = serve(model="ollama:gpt-oss:20b", max_requests=1, max_queue=0)
    other = httpx.Client(base_url=client.base_url)
    body = BODIES["/v1/chat/completions"]
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(other.post, "/v1/chat/completions", json=body, timeout=60)
        held = ollama_server.next_request()
        assert kept(client) == ["a.csv"], "it is used"
        refused = client.post("/v1/chat/completions", json=body | {"stream": stream})
        assert refused.status_code == 429
        assert kept(client) == ["a.csv"], "the one of the request that is under way"
        (run,) = client.get("/v1/runs").json()["data"]
        client.post(f"/v1/runs/{run['id']}/cancel")
        assert asked.result(30).status_code == 499
    assert held.client_left.wait(30)
    until(lambda: kept(client) == [])
    other.close()


def test_what_was_uploaded_or_answered_or_sent_to_a_named_conversation_stays(
    serve: Serve, tmp_path: Path
) -> None:
    client = serve({"stage": "chat", "reply": "ok"}, {"stage": "chat", "reply": "ok"})
    body = BODIES["/v1/chat/completions"] | {"agent_type": "chat"}
    assert client.post("/v1/chat/completions", json=body).status_code == 200
    uploaded = client.post("/v1/files", files={"file": ("b.csv", b"y\n2\n")}).json()["id"]
    headers = {"X-Session-Id": "named"}
    failing = body | {"agent_type": "react", "file_ids": [uploaded]}
    assert client.post("/v1/chat/completions", json=failing, headers=headers).status_code >= 500
    assert client.post("/v1/chat/completions", json=failing).status_code >= 500
    assert sorted(kept(client)) == ["a.csv", "a.csv", "b.csv"]
    assert len(blobs(tmp_path)) == 2
