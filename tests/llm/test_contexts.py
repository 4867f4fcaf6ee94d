"""The context of a compatible server's model, as far as the server tells it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from backend.config.settings import load_settings
from backend.errors import BadReply
from backend.llm.asking import ask
from backend.llm.models import LanguageModel, Reply, open_models
from backend.prompts import variables
from backend.types import Message
from tests.ollama_server import OllamaServer


@asynccontextmanager
async def opened(name: str = "gpt-oss:20b", **settings: Any) -> AsyncIterator[LanguageModel]:
    async with open_models(load_settings(model=f"openai:{name}", **settings)) as models:
        yield models.get()


async def say(model: LanguageModel, words: str = "Go on.") -> Reply:
    return await model.call([Message(role="user", content=words)], stage="answer")


def listings(server: OllamaServer) -> int:
    return sum(request.path == "/v1/models" for request in server.requests)


TOLD: dict[str, tuple[dict[str, Any], bool]] = {
    "vLLM": ({"max_model_len": 2048}, True),
    "llama.cpp": ({"meta": {"n_ctx": 2048, "n_ctx_train": 131_072}}, True),
    "a router": ({"context_length": 2048}, True),
    "nothing": ({}, False),
    "what it was trained with": ({"meta": {"n_ctx_train": 2048}}, False),
    "nonsense": ({"max_model_len": "2048", "context_length": 0, "meta": None}, False),
}


@pytest.mark.parametrize("case", TOLD.values(), ids=TOLD)
async def test_a_reply_may_have_what_the_context_leaves(
    ollama_server: OllamaServer, case: tuple[dict[str, Any], bool]
) -> None:
    ollama_server.told_of_models, is_known = case
    ollama_server.add({"reply": "Yes.", "repeat": True})
    async with opened(max_tokens=4000) as model:
        for _ in range(2):
            await say(model)
    limits = {request.body["max_tokens"] for request in ollama_server.chats}
    assert len(limits) == 1
    assert (limits.pop() < 2048) is is_known
    assert listings(ollama_server) == 1


async def test_a_prompt_that_is_too_long_for_it_is_shortened(ollama_server: OllamaServer) -> None:
    ollama_server.told_of_models = {"max_model_len": 4096}
    ollama_server.add({"reply": "Yes."})
    values = dict.fromkeys(variables("assess") - {"reason"}, "") | {"output": "word " * 8000}
    async with opened(max_tokens=1024) as model:
        asked = await ask(model, "assess", values, lambda text: text)
    assert asked.calls[0]["shortened"] == ["output"]


async def test_a_question_that_cannot_fit_is_not_sent(ollama_server: OllamaServer) -> None:
    ollama_server.told_of_models = {"max_model_len": 4096}
    async with opened() as model:
        with pytest.raises(BadReply, match=r"context of 4096.*Give the server a larger") as caught:
            await say(model, "word " * 8000)
    assert caught.value.reason == "context"
    assert ollama_server.chats == []


async def test_the_only_model_answers_to_every_name(ollama_server: OllamaServer) -> None:
    ollama_server.told_of_models = {"meta": {"n_ctx": 2048}}
    ollama_server.add({"reply": "Yes."})
    async with opened("whatever", max_tokens=4000) as model:
        ollama_server.accepts_any_name = True
        await say(model)
    assert ollama_server.chats[0].body["max_tokens"] < 2048


async def test_a_server_without_a_list_is_asked_all_the_same(ollama_server: OllamaServer) -> None:
    ollama_server.list_status = 500
    ollama_server.add({"reply": "Yes.", "repeat": True})
    async with opened(max_tokens=4000) as model:
        for _ in range(2):
            await say(model)
    assert [request.body["max_tokens"] for request in ollama_server.chats] == [4000, 4000]
    assert listings(ollama_server) == 1
