from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from backend.config.settings import load_settings
from backend.errors import BadReply
from backend.llm.asking import Asked, ask
from backend.llm.fitting import KEPT, LEAST_REPLY_TOKENS, PARTS, cut_facts, drop_oldest
from backend.llm.models import LanguageModel, open_models
from backend.prompts import CEILINGS, variables
from backend.prompts.texts import list_facts
from backend.types import Message, Stage
from tests.ollama_server import OllamaServer

NUM_CTX = 4096


@asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[LanguageModel]:
    settings = {"num_ctx": NUM_CTX, "max_tokens": 1024, **settings}
    async with open_models(load_settings(model="ollama:gpt-oss:20b", **settings)) as models:
        yield models.get()


async def asked(model: LanguageModel, stage: Stage, **values: str) -> Asked[str]:
    every = dict.fromkeys(variables(stage) - {"reason"}, "") | values
    return await ask(model, stage, every, lambda text: text)


def words(name: str, count: int) -> str:
    return " ".join(f"{name}{number}" for number in range(count))


def sent(server: OllamaServer) -> str:
    return str(server.chats[-1].body["messages"][0]["content"])


async def test_a_prompt_that_fits_is_sent_whole(ollama_server: OllamaServer) -> None:
    ollama_server.add({"reply": "Fine."})
    async with opened() as model:
        result = await asked(model, "repair", request="R", attempts=words("a", 100), code="x = 1")
    assert "shortened" not in result.calls[0]
    assert "left out" not in sent(ollama_server)
    assert words("a", 100) in sent(ollama_server)


async def test_former_attempts_go_first_and_their_oldest(ollama_server: OllamaServer) -> None:
    ollama_server.add({"reply": "Fine."})
    context = words("c", 200)
    async with opened() as model:
        result = await asked(
            model, "repair", request="R", attempts=words("a", 3000), context=context, code="x = 1"
        )
    assert result.calls[0]["shortened"] == ["attempts"]
    prompt = sent(ollama_server)
    assert "[the oldest" in prompt
    assert "a2999" in prompt
    assert "a0 " not in prompt
    assert context in prompt


async def test_what_must_not_be_cut_stays_while_all_the_rest_gives_way(
    ollama_server: OllamaServer,
) -> None:
    ollama_server.add({"reply": "Fine."})
    request, code = words("request", 80), words("code", 150)
    columns = "\n".join(f"  column 'name_{n}' float64: min 1, max 2" for n in range(40))
    rows = "\n".join(f"    {words('cell', 30)}" for _ in range(40))
    async with opened() as model:
        result = await asked(
            model,
            "repair",
            request=request,
            code=code,
            attempts=words("a", 3000),
            context=words("c", 3000),
            files=f"- 'a.csv' (csv, 9 bytes)\n{columns}\n  first rows:\n{rows}",
            problem=words("p", 2000),
        )
    prompt = sent(ollama_server)
    assert request in prompt
    assert code in prompt
    assert all(f"column 'name_{n}' float64" in prompt for n in range(40))
    assert "cell" not in prompt
    assert "Print every result" in prompt
    assert result.calls[0].get("shortened") == ["attempts", "context", "files", "problem"]
    assert prompt.count("left out") == 4
    options = ollama_server.chats[-1].body["options"]
    assert options["num_ctx"] == NUM_CTX
    assert LEAST_REPLY_TOKENS <= options["num_predict"] <= 1024


async def test_a_program_is_cut_only_where_it_is_judged(ollama_server: OllamaServer) -> None:
    ollama_server.add({"reply": "Fine.", "repeat": True})
    code = words("code", 2500)
    async with opened() as model:
        result = await asked(model, "review", request="R", code=code)
        assert result.calls[0]["shortened"] == ["code"]
        with pytest.raises(BadReply, match="PYTHON_CODER_NUM_CTX") as caught:
            await asked(model, "repair", request="R", code=code)
    assert caught.value.reason == "context"


async def test_a_request_that_does_not_fit_is_refused_before_it_is_sent(
    ollama_server: OllamaServer,
) -> None:
    async with opened() as model:
        with pytest.raises(BadReply) as caught:
            await asked(model, "generate", request=words("request", 4000))
    assert caught.value.reason == "context"
    assert "about" in caught.value.what
    assert "context of 4096" in caught.value.what
    assert "Raise PYTHON_CODER_NUM_CTX (now 4096)" in caught.value.remedy
    assert ollama_server.chats == []


async def test_a_reply_gets_less_room_but_never_less_than_is_stated(
    ollama_server: OllamaServer,
) -> None:
    ollama_server.add({"reply": "Fine.", "repeat": True})
    async with opened() as model:
        await asked(model, "generate", request="word " * 2900)
    tokens = ollama_server.chats[-1].body["options"]["num_predict"]
    assert LEAST_REPLY_TOKENS <= tokens < 1024


async def test_a_recorded_conversation_is_shortened_by_the_same_rule(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "script.jsonl"
    script.write_text('{"reply": "Fine.", "when": "the oldest .* left out"}\n', encoding="utf-8")
    settings = load_settings(model=f"scripted:{script}", num_ctx=NUM_CTX, max_tokens=1024)
    async with open_models(settings) as models:
        result = await asked(models.get(), "repair", request="R", attempts=words("a", 3000))
    assert result.value == "Fine."


async def test_a_long_conversation_loses_its_oldest_turns(ollama_server: OllamaServer) -> None:
    ollama_server.add({"reply": "Fine."})
    rules = Message(role="system", content="Be brief.")
    turns = [
        Message(role="user" if n % 2 == 0 else "assistant", content=words(f"turn{n}_", 60))
        for n in range(41)
    ]
    async with opened() as model:
        reply = await model.call([rules, *turns], stage="chat")
    assert reply.call["shortened"] == ["messages"]
    messages = ollama_server.chats[-1].body["messages"]
    assert messages[0]["content"] == "Be brief."
    dropped = 41 - (len(messages) - 2)
    assert 0 < dropped < 40
    assert f"the oldest {dropped} messages" in messages[1]["content"]
    assert [m["content"] for m in messages[2:]] == [turn.content for turn in turns[dropped:]]


def test_dropping_stops_at_the_last_message() -> None:
    messages = [Message(role="user", content=str(n)) for n in range(4)]
    kept, dropped = drop_oldest(messages, lambda _: False)
    assert dropped == 3
    assert [message.content for message in kept[1:]] == ["3"]
    assert drop_oldest(messages[:1], lambda _: False) == (tuple(messages[:1]), 0)
    assert drop_oldest([], lambda _: True) == ((), 0)


def test_samples_of_files_go_before_details_and_names_stay() -> None:
    facts = [
        {
            "name": f"{name}.csv",
            "type": "csv",
            "size": 9,
            "encoding": "utf-8",
            "columns": [{"name": f"{name}: 'x' {n}", "dtype": "int64", "min": 1} for n in range(5)],
            "preview": ["1,2,3"] * 5,
        }
        for name in "ab"
    ]
    text = list_facts(facts)
    names = [line.partition(" int64")[0] for line in text.splitlines() if "column" in line]
    assert len(names) == 10
    without_rows = cut_facts(text, len(text) - 60)
    assert "1,2,3" in without_rows
    assert without_rows.count("1,2,3") < text.count("1,2,3")
    assert "min 1" in without_rows
    bare = cut_facts(text, 0)
    assert "1,2,3" not in bare
    assert "min 1" not in bare
    assert all(name in bare for name in names)
    assert "'a.csv'" in bare
    assert f"of {len(text)} characters left out" in bare
    assert cut_facts(text, len(text)) == text


@pytest.mark.parametrize("stage", sorted(CEILINGS))
def test_every_value_of_a_prompt_is_either_cut_by_the_rule_or_never(stage: str) -> None:
    unknown = variables(stage) - PARTS.keys() - KEPT
    assert not unknown, f"say in backend/llm/fitting.py how far to cut {unknown}, if at all"
