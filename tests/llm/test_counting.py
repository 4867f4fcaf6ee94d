"""A server that cuts a prompt, one that leaves cached words out of its count, and one that does
neither, played on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from backend.config.settings import load_settings
from backend.errors import BadReply, ModelUnavailable
from backend.llm.models import LanguageModel, Reply, open_models
from backend.types import Message
from tests.ollama_server import Line, OllamaServer

OLLAMA = "ollama:gpt-oss:20b"
LONG = "word " * 12_000
SALTED = r"^\[[0-9a-f]{32}\]\n"


@asynccontextmanager
async def opened(model: str = OLLAMA, **settings: Any) -> AsyncIterator[LanguageModel]:
    async with open_models(load_settings(model=model, **settings)) as models:
        yield models.get()


async def say(model: LanguageModel, words: str, **more: Any) -> Reply:
    return await model.call([Message(role="user", content=words)], stage="answer", **more)


@pytest.mark.parametrize(
    ("told", "told_uncached"),
    [(2051, 2051), (2051, 2060), (4096, 4096), (8192, 8192)],
    ids=["far too few", "far too few with more", "a context of 4096", "a context of 8192"],
)
async def test_a_question_that_the_server_cut_silently_is_noticed(
    ollama_server: OllamaServer, told: int, told_uncached: int
) -> None:
    ollama_server.add(
        {"when": SALTED, "reply": "S", "tokens": (told_uncached, 1), "done_reason": "length"},
        {"reply": "Sure.", "tokens": (told, 2)},
    )
    async with opened() as model:
        with pytest.raises(BadReply, match="PYTHON_CODER_NUM_CTX") as caught:
            await say(model, LONG)
    assert (caught.value.reason, caught.value.partial) == ("context", "Sure.")
    assert caught.value.calls[0]["input_tokens"] == told + told_uncached
    options = [request.body["options"] for request in ollama_server.chats]
    assert [each["num_predict"] for each in options] == [4096, 1]
    assert [each["num_ctx"] for each in options] == [16_384, 16_384]


async def test_a_context_that_is_full_needs_no_second_look(ollama_server: OllamaServer) -> None:
    ollama_server.add({"reply": "Sure.", "tokens": (16_384, 2)})
    async with opened() as model:
        with pytest.raises(BadReply, match="PYTHON_CODER_NUM_CTX") as caught:
            await say(model, LONG)
    assert caught.value.reason == "context"
    assert len(ollama_server.chats) == 1


@pytest.mark.parametrize(
    ("words", "told", "told_uncached"),
    [(LONG, 40, 12_100), (LONG, 8192, 12_120), ("Hi " * 1500, 1024, 1040)],
    ids=["all cached", "cached down to a round number", "a round number"],
)
async def test_a_cached_beginning_is_no_cut(
    ollama_server: OllamaServer, words: str, told: int, told_uncached: int
) -> None:
    ollama_server.add(
        {"when": SALTED, "reply": "S", "tokens": (told_uncached, 1), "done_reason": "length"},
        {"reply": "Sure.", "tokens": (told, 2)},
    )
    async with opened() as model:
        assert (await say(model, words)).text == "Sure."
    assert len(ollama_server.chats) == 2


async def test_what_was_sent_before_explains_a_low_count(ollama_server: OllamaServer) -> None:
    ollama_server.add(
        {"reply": "One.", "tokens": (12_100, 2)}, {"reply": "Two.", "tokens": (35, 2)}
    )
    async with opened() as model:
        await say(model, LONG)
        assert (await say(model, f"{LONG} and a few words more")).text == "Two."
    assert len(ollama_server.chats) == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [(LONG, 12_100), (LONG, 0), ("ha " * 200, 3)],
    ids=["as many as there should be", "none told", "short"],
)
async def test_a_count_that_proves_nothing_is_believed(
    ollama_server: OllamaServer, words: str, told: int
) -> None:
    ollama_server.add({"reply": "Sure.", "tokens": (told, 2)})
    async with opened() as model:
        assert (await say(model, words)).text == "Sure."
    assert len(ollama_server.chats) == 1


async def test_a_server_that_is_gone_at_the_second_look_is_told(
    ollama_server: OllamaServer,
) -> None:
    ollama_server.add(
        {"when": SALTED, "error": "502 bad gateway"}, {"reply": "Sure.", "tokens": (2051, 2)}
    )
    async with opened() as model:
        with pytest.raises(ModelUnavailable):
            await say(model, LONG)


async def test_a_compatible_server_that_cuts_is_noticed_and_the_way_out_is_named(
    ollama_server: OllamaServer,
) -> None:
    ollama_server.add(Line(reply="Sure.", tokens=(4096, 2), repeat=True))
    async with opened("openai:gpt-oss:20b") as model:
        with pytest.raises(BadReply, match="ollama:NAME") as caught:
            await say(model, LONG)
    assert caught.value.reason == "context"


async def test_the_second_call_is_estimated_by_what_the_first_was_told(
    ollama_server: OllamaServer,
) -> None:
    question = "0123456789 " * 700
    ollama_server.add({"reply": "Sure.", "tokens": (3000, 2), "repeat": True})
    async with opened(num_ctx=8192, max_tokens=4000) as model:
        for _ in range(4):
            await say(model, question)
    limits = [request.body["options"]["num_predict"] for request in ollama_server.chats]
    assert limits[0] < 1200  # one token a digit, to be safe
    assert limits[1] > 2 * limits[0] - 200
    assert limits == sorted(limits)


async def test_a_model_with_more_tokens_than_estimated_gets_shorter_replies_at_once(
    ollama_server: OllamaServer,
) -> None:
    question = "word " * 3000
    ollama_server.add({"reply": "Sure.", "tokens": (5000, 2), "repeat": True})
    async with opened(num_ctx=8192, max_tokens=4000) as model:
        for _ in range(2):
            await say(model, question)
    limits = [request.body["options"]["num_predict"] for request in ollama_server.chats]
    assert limits[0] == 4000
    assert 2500 < limits[1] <= 8192 - 5000
