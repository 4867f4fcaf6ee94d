from __future__ import annotations

import httpx

from tests.api.conftest import Serve


def test_health_names_the_model_the_sandbox_and_the_version(client: httpx.Client) -> None:
    health = client.get("/health").json()
    assert health["status"] == "ok"
    assert health["model"]["name"] == "scripted"
    assert health["model"]["reachable"] is True
    assert health["sandbox"]["executor"] == "local"
    assert health["version"]


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


def test_switched_off_is_not_ready(serve: Serve) -> None:
    client = serve({"stage": "chat", "reply": "ok"}, enabled=False)
    assert client.get("/ready").json()["sandbox"]["state"] == "disabled"
