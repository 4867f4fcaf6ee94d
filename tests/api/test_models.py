from __future__ import annotations

import httpx
import pytest

from tests.api.conftest import Serve
from tests.ollama_server import OllamaServer

SUFFIXES = ["", "@auto", "@react", "@plan_execute", "@chat"]


def test_a_model_is_listed_plain_and_with_every_agent(client: httpx.Client) -> None:
    listed = client.get("/v1/models").json()
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == [
        *(f"scripted{each}" for each in SUFFIXES),
        "python-coder@task",
    ]
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


def test_a_listed_model_answers_by_any_of_its_names(
    serve: Serve, ollama_server: OllamaServer
) -> None:
    ollama_server.models[:] = ["gpt-oss:20b", "qwen3:8b", "llama:latest"]
    ollama_server.add({"reply": "hello", "repeat": True})
    client = serve(model="ollama:gpt-oss:20b", ollama_host=ollama_server.url)
    assert len(client.get("/v1/models").json()["data"]) == 16
    asked = {
        "": "gpt-oss:20b",
        "default@chat": "gpt-oss:20b",
        "gpt-oss:20b@chat": "gpt-oss:20b",
        "qwen3:8b@chat": "qwen3:8b",
        "ollama:qwen3:8b@chat": "qwen3:8b",
        "llama@chat": "llama:latest",
    }
    for name, model in asked.items():
        body = {"model": name, "messages": [{"role": "user", "content": "hello there"}]}
        reply = client.post("/v1/chat/completions", json=body | {"temperature": 0.7})
        assert reply.status_code == 200, reply.text
        assert reply.json()["model"] == (name or "gpt-oss:20b")
        sent = ollama_server.next_request().body
        assert (sent["model"], sent["options"]["temperature"]) == (model, 0.7)


def test_a_model_that_was_never_pulled_is_not_found(
    serve: Serve, ollama_server: OllamaServer
) -> None:
    client = serve(model="ollama:none:1b", ollama_host=ollama_server.url)
    body = {"messages": [{"role": "user", "content": "hi"}]}
    reply = client.post("/v1/chat/completions", json=body)
    assert reply.status_code == 404
    assert "ollama pull none:1b" in reply.json()["error"]["message"]


def test_the_limit_of_tokens_reaches_the_model(serve: Serve, ollama_server: OllamaServer) -> None:
    ollama_server.add({"reply": "ok", "repeat": True})
    client = serve(model="ollama:gpt-oss:20b", ollama_host=ollama_server.url)
    for field in ("max_tokens", "max_completion_tokens"):
        body = {"messages": [{"role": "user", "content": "hello there"}], field: 77}
        assert client.post("/v1/chat/completions", json=body).status_code == 200
        assert ollama_server.next_request().body["options"]["num_predict"] == 77


def test_lists_of_models_are_good_for_a_moment_and_a_new_model_is_found(
    serve: Serve, ollama_server: OllamaServer
) -> None:
    ollama_server.add({"reply": "ok", "repeat": True})
    client = serve(model="ollama:gpt-oss:20b", ollama_host=ollama_server.url)

    def ask(model: str) -> int:
        body = {"model": model, "messages": [{"role": "user", "content": "hello there"}]}
        return client.post("/v1/chat/completions", json=body).status_code

    for _ in range(3):
        assert client.get("/v1/models").status_code == 200
        assert ask("gpt-oss:20b@chat") == ask("@chat") == 200
    listings = [each for each in ollama_server.requests if each.path == "/api/tags"]
    assert len(listings) == 1
    assert ask("qwen3:8b@chat") == 404
    ollama_server.models.append("qwen3:8b")
    assert ask("qwen3:8b@chat") == 200
    assert client.get("/v1/models/qwen3:8b@plan_execute").json()["owned_by"] == "ollama"


def test_ids_with_slashes_and_colons_are_found(serve: Serve, ollama_server: OllamaServer) -> None:
    name = "hf.co/bartowski/Qwen_Qwen3-8B-GGUF:Q4_K_M"
    ollama_server.models[:] = [name]
    client = serve(model=f"ollama:{name}", ollama_host=ollama_server.url)
    for each in (name, f"{name}@react"):
        assert client.get(f"/v1/models/{each}").json()["id"] == each
