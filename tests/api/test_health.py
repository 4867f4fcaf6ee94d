from __future__ import annotations

import asyncio
import re
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.api.probes import FRESH_S, OLD_S, Probe
from backend.tools.python_executor_engine import PythonExecutor
from backend.types import ExecutionRequest, ExecutionResult
from tests.api.conftest import Serve
from tests.api.guarded import guarded_server
from tests.postgres import Cluster


def test_health_names_the_model_the_sandbox_and_the_version(client: httpx.Client) -> None:
    health = client.get("/health").json()
    assert health["status"] == "ok"
    assert health["model"]["name"] == "scripted"
    assert health["model"]["reachable"] is True
    assert health["sandbox"]["executor"] == "local"
    assert health["version"]


def test_load_balancers_may_ask_for_the_head_alone(client: httpx.Client) -> None:
    for path in ("/health", "/ready"):
        reply = client.head(path)
        assert (reply.status_code, reply.content) == (200, b"")


def test_ready_has_the_state_of_each_part(client: httpx.Client) -> None:
    reply = client.get("/ready")
    assert reply.status_code == 200, reply.text
    assert {name: reply.json()[name]["state"] for name in ("model", "sandbox", "store")} == {
        "model": "ok",
        "sandbox": "ok",
        "store": "ok",
    }


def test_a_model_that_is_gone_is_told_and_the_rest_is_well(serve: Serve) -> None:
    client = serve(model="ollama:some:1b", ollama_host="127.0.0.1:9")
    health = client.get("/health")
    assert health.status_code == 200
    assert health.json()["model"]["reachable"] is False
    assert "127.0.0.1:9" in health.json()["model"]["error"]
    ready = client.get("/ready")
    assert ready.status_code == 503
    assert ready.json()["model"]["state"] == "failed"
    assert ready.json()["sandbox"]["state"] == "ok"


def test_who_has_no_key_learns_no_address_and_nobody_a_password(tmp_path: Path) -> None:
    hello = {"messages": [{"role": "user", "content": "hi"}], "agent_type": "chat"}
    for setting, model in (("ollama_host", "ollama:some:1b"), ("openai_base_url", "openai:some")):
        address = {setting: "http://somebody:sesame@127.0.0.1:9"}
        folder = tmp_path / setting
        folder.mkdir()
        with guarded_server(folder, model=model, **address) as guarded:
            told = [guarded.client().get(path).text for path in ("/health", "/ready")]
            user = guarded.user("somebody")
            told.append(user.post("/v1/chat/completions", json=hello).text)
            told.append(user.get("/v1/models").text)
        for text in told:
            assert "The model server cannot be reached." in text
            assert not {"127.0.0.1", "sesame"} & {*re.split(r"[:/@]", text)}


def test_the_operator_learns_the_address_without_its_password(serve: Serve) -> None:
    client = serve(model="ollama:some:1b", ollama_host="http://somebody:sesame@127.0.0.1:9")
    for path in ("/health", "/v1/models"):
        text = client.get(path).text
        assert "http://***@127.0.0.1:9" in text
        assert "sesame" not in text


def test_a_database_that_is_gone_is_told_and_the_server_lives(
    serve: Serve, postgres: Cluster
) -> None:
    with postgres.database() as url:
        client = serve({"stage": "chat", "reply": "ok"}, database_url=url)
        assert client.get("/v1/files").status_code == 200
    assert client.get("/v1/files").status_code == 503
    assert client.get("/health").status_code == 200, "another process would not have it either"
    ready = client.get("/ready")
    assert ready.status_code == 503
    assert [ready.json()[part]["state"] for part in ("store", "sandbox")] == ["failed", "ok"]


def test_a_data_folder_that_takes_nothing_is_not_ready(serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    client = serve({"stage": "chat", "reply": "ok"}, data_dir=folder)
    client.get("/v1/files")
    shutil.rmtree(folder)
    ready = client.get("/ready")
    assert ready.status_code == 503
    assert ready.json()["store"]["state"] == "failed"
    assert "Nothing can be written" in ready.json()["store"]["error"]


def test_switched_off_is_not_ready(serve: Serve) -> None:
    client = serve({"stage": "chat", "reply": "ok"}, enabled=False)
    assert client.get("/ready").json()["sandbox"]["state"] == "disabled"


class Hanging:
    """A model server that takes every connection and never answers."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"

    @property
    def connections(self) -> int:
        """How many have come since the last time."""
        self._socket.setblocking(False)
        count = 0
        with suppress(BlockingIOError):
            while True:
                self._socket.accept()[0].close()
                count += 1
        return count

    def close(self) -> None:
        self._socket.close()


def test_a_model_server_that_hangs_is_asked_once_however_many_want_to_know(serve: Serve) -> None:
    hanging = Hanging()
    client = serve(model="ollama:some:1b", ollama_host=hanging.address)
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda _: client.get("/health"), range(32)))
    assert {reply.status_code for reply in replies} == {200}
    assert {reply.json()["model"]["state"] for reply in replies} == {"failed"}
    assert "did not answer within 1 s" in replies[0].json()["model"]["error"]
    assert hanging.connections == 1
    hanging.close()


def test_who_asks_for_readiness_again_and_again_has_no_program_run_each_time(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = []
    execute = PythonExecutor.execute

    async def counted(
        engine: PythonExecutor, request: ExecutionRequest, **more: Any
    ) -> ExecutionResult:
        codes.append(request.code)
        return await execute(engine, request, **more)

    monkeypatch.setattr(PythonExecutor, "execute", counted)
    client = serve({"stage": "chat", "reply": "ok"})
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: client.get("/ready"), range(64)))
    assert {reply.status_code for reply in replies} == {200}
    assert len(codes) == 1
    assert "python_coder_programs_total{" not in client.get("/metrics").text, "it is no user's"


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_was_found_is_told_at_once_while_another_look_hangs() -> None:
    looks: list[asyncio.Event] = []

    async def look() -> dict[str, Any]:
        looks.append(asyncio.Event())
        await looks[-1].wait()
        return {"state": "ok", "look": len(looks)}

    now = 0.0
    probe = Probe(look, {"state": "too slow"}, clock=lambda: now)
    first = asyncio.gather(*(probe.state() for _ in range(5)))
    await settled()
    looks[0].set()
    assert [each["look"] for each in await first] == [1] * 5
    now = FRESH_S + 1
    assert (await probe.state())["look"] == 1, "and another look has begun"
    await settled()
    assert len(looks) == 2
    looks[1].set()
    await settled()
    assert (await probe.state())["look"] == 2
    now += OLD_S + 1
    assert await probe.state() == {"state": "too slow"}, "what is old is told to nobody"
    await probe.aclose()
