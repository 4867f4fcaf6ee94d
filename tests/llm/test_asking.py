from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from backend.config.settings import load_settings
from backend.errors import BadReply, ModelUnavailable
from backend.llm.asking import Asked, Unreadable, ask, read_object
from backend.llm.models import LanguageModel, open_models
from backend.prompts import variables
from tests.ollama_server import OllamaServer


@asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[LanguageModel]:
    async with open_models(load_settings(model="ollama:gpt-oss:20b", **settings)) as models:
        yield models.get()


async def judge(model: LanguageModel, **more: Any) -> Asked[dict[str, Any]]:
    values = dict.fromkeys(variables("assess") - {"reason"}, "")
    return await ask(model, "assess", values, lambda text: read_object(text, "ok"), **more)


async def test_a_reply_is_read(ollama_server: OllamaServer) -> None:
    ollama_server.add({"reply": 'So: {"ok": true}', "tokens": (20, 4)})
    async with opened() as model:
        asked = await judge(model, seed=7, top_p=0.5)
    assert (asked.value, asked.reason) == ({"ok": True}, "")
    assert [call["input_tokens"] for call in asked.calls] == [20]
    options = ollama_server.chats[0].body["options"]
    assert (options["seed"], options["top_p"]) == (7, 0.5)


async def test_an_unreadable_reply_is_asked_for_once_more_with_the_reason(
    ollama_server: OllamaServer,
) -> None:
    ollama_server.add(
        {"reply": '{"good": 1}', "tokens": (20, 4)},
        {"when": "the JSON object has no 'ok'", "reply": '{"ok": 1}', "tokens": (30, 4)},
    )
    async with opened() as model:
        asked = await judge(model)
    assert asked.value == {"ok": 1}
    assert [call["input_tokens"] for call in asked.calls] == [20, 30]


async def test_two_unreadable_replies_give_the_last_with_the_reason(
    ollama_server: OllamaServer,
) -> None:
    ollama_server.add({"reply": "Well."}, {"reply": "Well, well."}, {"reply": '{"ok": 1}'})
    async with opened() as model:
        asked = await judge(model)
    assert (asked.value, asked.text) == (None, "Well, well.")
    assert asked.reason == "it holds no JSON object"
    assert len(ollama_server.chats) == len(asked.calls) == 2


async def test_an_empty_reply_is_asked_for_once_more(ollama_server: OllamaServer) -> None:
    ollama_server.add({"reply": ""}, {"reply": '{"ok": 1}'})
    async with opened() as model:
        assert (await judge(model)).value == {"ok": 1}


async def test_a_reply_cut_off_twice_names_the_setting_and_is_not_read(
    ollama_server: OllamaServer,
) -> None:
    whole = {"reply": '{"ok": true}', "done_reason": "length", "tokens": (10, 64)}
    ollama_server.add(whole, whole, {"reply": '{"ok": 1}'})
    async with opened(max_tokens=64) as model:
        asked = await judge(model)
    assert asked.value is None
    assert "PYTHON_CODER_MAX_TOKENS" in asked.reason
    assert len(ollama_server.chats) == 2
    assert [call["output_tokens"] for call in asked.calls] == [128]


async def test_a_reply_cut_off_where_the_context_has_no_more_room_names_the_context(
    ollama_server: OllamaServer,
) -> None:
    ollama_server.add({"reply": "{", "done_reason": "length", "tokens": (1500, 548)})
    async with opened(num_ctx=2048, max_tokens=548) as model:
        asked = await judge(model)
    assert asked.value is None
    assert "PYTHON_CODER_NUM_CTX (now 2048)" in asked.reason
    assert len(ollama_server.chats) == 1


async def test_a_question_that_was_cut_is_not_asked_again(ollama_server: OllamaServer) -> None:
    ollama_server.add({"reply": "no JSON", "tokens": (9, 2)}, {"reply": "{", "tokens": (2048, 2)})
    async with opened(num_ctx=2048, max_tokens=548) as model:
        with pytest.raises(BadReply) as caught:
            await judge(model)
    assert caught.value.reason == "context"
    assert [call["input_tokens"] for call in caught.value.calls] == [9, 2048]


async def test_a_server_that_is_gone_at_the_second_asking_leaves_the_account_of_the_first(
    ollama_server: OllamaServer,
) -> None:
    ollama_server.add({"reply": "no JSON", "tokens": (9, 2)}, {"error": "503 busy"})
    async with opened() as model:
        with pytest.raises(ModelUnavailable) as caught:
            await judge(model)
    assert [call["input_tokens"] for call in caught.value.calls] == [9]


@pytest.mark.parametrize(
    ("reply", "said"), [("Well.", "no JSON object"), ('{"a": 1}', "has no 'ok'")]
)
def test_an_object_is_read_or_refused_with_the_reason(reply: str, said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        read_object(reply, "ok")
