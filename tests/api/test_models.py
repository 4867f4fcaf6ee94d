from __future__ import annotations

import httpx
import pytest

from tests.api.conftest import Serve

SUFFIXES = ["", "@auto", "@react", "@plan_execute", "@chat"]


def test_a_model_is_listed_plain_and_with_every_agent(client: httpx.Client) -> None:
    listed = client.get("/v1/models").json()
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == [f"scripted{each}" for each in SUFFIXES]
    for model in listed["data"]:
        assert model["object"] == "model"
        assert model["owned_by"] == "scripted"
        assert client.get(f"/v1/models/{model['id']}").json() == model


@pytest.mark.parametrize("name", ["gpt-9", "openai:gpt-9", "ollama:x", "a/b:c", "scripted:other"])
def test_a_model_that_is_not_listed_is_not_found(client: httpx.Client, name: str) -> None:
    reply = client.get(f"/v1/models/{name}")
    assert reply.status_code == 404
    assert reply.json()["error"]["code"] == "model_not_found"


def test_without_its_model_server_it_starts_and_says_so(serve: Serve) -> None:
    client = serve(model="ollama:some:1b", ollama_host="127.0.0.1:9")
    body = {"messages": [{"role": "user", "content": "hi"}]}
    for reply in (
        client.get("/v1/models"),
        client.get("/v1/models/x"),
        client.post("/v1/chat/completions", json=body),
        client.post("/v1/chat/completions", json=body | {"stream": True}),
    ):
        assert reply.status_code == 503
        assert int(reply.headers["retry-after"]) > 0
        assert reply.json()["error"]["code"] == "model_unavailable"
