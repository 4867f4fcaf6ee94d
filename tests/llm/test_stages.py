"""Which model a stage asks, and with which options, on a real socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backend.config.settings import load_settings
from backend.errors import BadReply, ModelNotFound, SettingsError
from backend.llm.models import Models, open_models
from backend.types import Message, Stage
from tests.ollama_server import OllamaServer

OLLAMA = "ollama:gpt-oss:20b"
OPENAI = "openai:gpt-oss:20b"
both = pytest.mark.parametrize("model", [OLLAMA, OPENAI], ids=["ollama", "openai"])


@pytest.fixture
def server(ollama_server: OllamaServer) -> OllamaServer:
    ollama_server.models = ["gpt-oss:20b", "qwen3:4b", "other:7b"]
    ollama_server.add({"reply": "Yes.", "repeat": True})
    return ollama_server


async def send(
    models: Models, server: OllamaServer, stage: Stage, name: str | None = None, **options: Any
) -> dict[str, Any]:
    """The body of a call, and in it the account's model under ``told``."""
    messages = [Message(role="user", content="Well?")]
    reply = await models.get(name).call(messages, stage=stage, **options)
    body = server.chats[-1].body
    return {**body, **body.get("options", {}), "told": reply.call["model"]}


async def test_each_stage_asks_its_own_model(server: OllamaServer) -> None:
    stages = (
        "review model=ollama:qwen3:4b temperature=0; repair max_tokens=8000; plan model=qwen3:4b"
    )
    async with open_models(load_settings(model=OLLAMA, stages=stages)) as models:
        generate = await send(models, server, "generate")
        review = await send(models, server, "review")
        plan = await send(models, server, "plan")
        repair = await send(models, server, "repair")
        assert models.get().name == "gpt-oss:20b"
    assert (generate["model"], generate["temperature"]) == ("gpt-oss:20b", 0.1)
    assert generate["num_predict"] == 4096
    assert (review["model"], review["told"], review["temperature"]) == ("qwen3:4b", "qwen3:4b", 0)
    assert (plan["model"], plan["temperature"]) == ("qwen3:4b", 0.1)
    assert (repair["model"], repair["num_predict"]) == ("gpt-oss:20b", 8000)


async def test_a_stages_model_may_be_of_another_provider(server: OllamaServer) -> None:
    stages = f"review model={OPENAI}"
    async with open_models(load_settings(model=OLLAMA, stages=stages)) as models:
        await send(models, server, "review")
        await send(models, server, "generate")
    assert [request.path for request in server.chats] == ["/v1/chat/completions", "/api/chat"]


async def test_a_stages_choice_beats_the_requests_and_that_beats_the_setting(
    server: OllamaServer,
) -> None:
    stages = "review model=ollama:qwen3:4b temperature=0 max_tokens=300 top_p=0.5 seed=3"
    asked: dict[str, Any] = {"temperature": 0.9, "max_tokens": 99, "top_p": 0.8, "seed": 5}
    async with open_models(load_settings(model=OLLAMA, stages=stages)) as models:
        review = await send(models, server, "review", "other:7b", **asked)
        generate = await send(models, server, "generate", "other:7b", **asked)
    names = ("model", "temperature", "num_predict", "top_p", "seed")
    assert [review[name] for name in names] == ["qwen3:4b", 0, 300, 0.5, 3]
    assert [generate[name] for name in names] == ["other:7b", 0.9, 99, 0.8, 5]


@both
async def test_seed_and_top_p_are_sent_when_they_are_asked_for(
    server: OllamaServer, model: str
) -> None:
    async with open_models(load_settings(model=model)) as models:
        with_them = await send(models, server, "chat", top_p=0.25, seed=0)
        without = await send(models, server, "chat")
    assert (with_them["top_p"], with_them["seed"]) == (0.25, 0)
    assert without.keys().isdisjoint({"top_p", "seed"})


async def test_a_limit_of_a_stage_names_the_setting_it_comes_from(
    ollama_server: OllamaServer,
) -> None:
    ollama_server.add({"reply": "Y", "done_reason": "length", "repeat": True})
    settings = load_settings(model=OLLAMA, stages="review max_tokens=64")
    async with open_models(settings) as models:
        with pytest.raises(BadReply, match="'review' in PYTHON_CODER_STAGES"):
            await send(models, ollama_server, "review")
    limits = [request.body["options"]["num_predict"] for request in ollama_server.chats]
    assert limits == [64, 128]


@pytest.mark.parametrize("named", ["ollama:", "scripted:/etc/passwd", "openai:gpt"])
async def test_a_stages_model_that_cannot_be_asked_stops_the_start(
    named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL")
    with pytest.raises(SettingsError, match="PYTHON_CODER_STAGES gives 'review' the model"):
        async with open_models(load_settings(model=OLLAMA, stages=f"review model={named}")):
            pass


async def test_checking_finds_a_stages_model_that_is_missing(server: OllamaServer) -> None:
    settings = load_settings(model=OLLAMA, stages="review model=ollama:absent:1b")
    async with open_models(settings) as models:
        with pytest.raises(ModelNotFound, match=r"'absent:1b'.*PYTHON_CODER_STAGES \(review\)"):
            await models.check()


async def test_a_recorded_conversation_may_stand_beside_a_stages_model(
    server: OllamaServer, tmp_path: Path
) -> None:
    script = tmp_path / "script.jsonl"
    script.write_text('{"reply": "From the script."}\n', encoding="utf-8")
    stages = "review model=ollama:qwen3:4b"
    async with open_models(load_settings(model=f"scripted:{script}", stages=stages)) as models:
        await models.check()
        model = models.get()
        hello = [Message(role="user", content="Hello")]
        assert (await model.call(hello, stage="chat")).text == "From the script."
        assert (await model.call(hello, stage="review")).text == "Yes."
