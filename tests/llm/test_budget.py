from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from backend.config.settings import load_settings
from backend.errors import BadReply, BudgetExceeded
from backend.llm.asking import Unreadable, ask
from backend.llm.budget import Budget
from backend.llm.models import LanguageModel, Reply, open_models
from backend.prompts import variables
from backend.types import Message
from tests.ollama_server import Line, OllamaServer


@asynccontextmanager
async def opened(budget: Budget, **settings: Any) -> AsyncIterator[LanguageModel]:
    async with open_models(load_settings(model="ollama:gpt-oss:20b", **settings)) as models:
        yield models.get().within(budget)


async def say(model: LanguageModel, words: str = "Hi", **more: Any) -> Reply:
    return await model.call([Message(role="user", content=words)], stage="answer", **more)


def test_it_is_made_from_the_settings() -> None:
    settings = load_settings(max_calls=3, max_total_tokens=0, max_seconds=60)
    left = Budget.of(settings).remaining
    assert (left.calls, left.tokens) == (3, None)
    assert left.seconds is not None
    assert 0 < left.seconds <= 60


async def test_what_is_used_adds_up_over_all_calls(ollama_server: OllamaServer) -> None:
    ollama_server.add({"reply": "one", "tokens": (30, 2)}, {"reply": "two", "tokens": (40, 3)})
    budget = Budget(max_calls=5, max_tokens=10_000)
    async with opened(budget) as model:
        await say(model)
        await say(model.within(budget))
    assert (budget.spent.calls, budget.spent.tokens) == (2, 75)
    assert (budget.remaining.calls, budget.remaining.tokens) == (3, 9925)
    assert [call["input_tokens"] for call in budget.calls] == [30, 40]


async def test_no_call_is_made_over_the_number_that_is_allowed(ollama_server: OllamaServer) -> None:
    ollama_server.add({"reply": "one", "repeat": True})
    async with opened(Budget(max_calls=2)) as model:
        await say(model)
        await say(model)
        with pytest.raises(BudgetExceeded, match="2 of the 2 model calls") as caught:
            await say(model)
    error = caught.value
    assert (error.budget, error.value, error.limit) == ("calls", 2, 2)
    assert error.setting == "PYTHON_CODER_MAX_CALLS"
    assert error.setting in error.remedy
    assert (error.error_kind, error.calls) == ("budget", ())
    assert len(ollama_server.chats) == 2


async def test_second_attempts_are_calls(ollama_server: OllamaServer) -> None:
    ollama_server.add(Line(reply="It is", fault="drop"), Line(reply="It is 42."))
    async with opened(Budget(max_calls=1)) as model:
        with pytest.raises(BudgetExceeded) as caught:
            await say(model)
    assert caught.value.calls[0]["output_tokens"] == 2
    assert len(ollama_server.chats) == 1


async def test_a_prompt_that_needs_more_than_is_left_is_not_sent(
    ollama_server: OllamaServer,
) -> None:
    ollama_server.add({"reply": "one", "tokens": (900, 100), "repeat": True})
    async with opened(Budget(max_tokens=3000)) as model:
        await say(model)
        with pytest.raises(BudgetExceeded, match="1000 of the 3000 tokens") as caught:
            await say(model, "word " * 2500)
    assert caught.value.setting == "PYTHON_CODER_MAX_TOTAL_TOKENS"
    assert len(ollama_server.chats) == 1


async def test_a_reply_may_have_what_is_left(ollama_server: OllamaServer) -> None:
    ollama_server.add({"reply": "and so", "done_reason": "length", "tokens": (50, 800)})
    async with opened(Budget(max_tokens=1000)) as model:
        with pytest.raises(BudgetExceeded, match="the last reply was cut off") as caught:
            await say(model)
    (request,) = ollama_server.chats
    assert 512 <= request.body["options"]["num_predict"] < 1000
    assert (caught.value.budget, caught.value.value) == ("tokens", 850)
    assert caught.value.calls[0]["output_tokens"] == 800


async def test_calls_side_by_side_do_not_use_more_than_there_is(
    ollama_server: OllamaServer,
) -> None:
    ollama_server.add({"reply": "one", "tokens": (100, 5000), "fault": "hold", "repeat": True})
    budget = Budget(max_tokens=6000, max_calls=10)
    async with opened(budget) as model:
        tasks = [asyncio.create_task(say(model)) for _ in range(5)]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        # 4096 and a prompt are set aside for the first, what is left of 6000 for the second.
        assert {type(task.exception()) for task in done} == {BudgetExceeded}
        ollama_server.release()
        assert len([await task for task in pending]) == 2
    sent = sorted(request.body["options"]["num_predict"] for request in ollama_server.chats)
    assert sum(sent) < 6000
    assert sent[1] == 4096


async def test_a_call_under_way_ends_with_the_time(ollama_server: OllamaServer) -> None:
    ollama_server.add({"reply": "one two", "fault": "hold_midway"})
    async with opened(Budget(max_seconds=0.5)) as model:
        with pytest.raises(BudgetExceeded, match=r"of the 0\.5 seconds") as caught:
            await say(model)
        with pytest.raises(BudgetExceeded):
            await say(model)
    assert caught.value.setting == "PYTHON_CODER_MAX_SECONDS"
    assert caught.value.calls[0]["output_tokens"] == 2
    (request,) = ollama_server.chats
    assert await asyncio.to_thread(request.client_left.wait, 30)


async def test_a_cancel_from_outside_stays_one(ollama_server: OllamaServer) -> None:
    ollama_server.add({"reply": "one two", "fault": "hold"})
    budget = Budget(max_seconds=60, max_tokens=9000)
    async with opened(budget) as model:
        task = asyncio.create_task(say(model))
        await asyncio.to_thread(ollama_server.next_request)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert budget.remaining.tokens == 9000  # nothing stays set aside


async def test_a_failed_call_is_paid_for(ollama_server: OllamaServer) -> None:
    ollama_server.add({"reply": "", "tokens": (70, 5)})
    budget = Budget()
    async with opened(budget) as model:
        with pytest.raises(BadReply):
            await say(model)
    assert budget.spent.tokens == 70 + 5
    assert budget.calls[0]["input_tokens"] == 70


async def test_an_asking_that_ends_for_want_of_budget_tells_its_first_call(
    ollama_server: OllamaServer,
) -> None:
    ollama_server.add({"reply": "no JSON", "tokens": (70, 5), "repeat": True})

    def read(text: str) -> str:
        raise Unreadable(f"{text} is not it")

    values = dict.fromkeys(variables("assess") - {"reason"}, "")
    async with opened(Budget(max_calls=1)) as model:
        with pytest.raises(BudgetExceeded) as caught:
            await ask(model, "assess", values, read)
    assert [call["input_tokens"] for call in caught.value.calls] == [70]


async def test_without_limits_nothing_is_refused(ollama_server: OllamaServer) -> None:
    ollama_server.add({"reply": "one", "tokens": (10**9, 5), "repeat": True})
    budget = Budget()
    async with opened(budget, num_ctx=2_000_000) as model:
        with pytest.raises(BadReply):  # so many tokens fill any context
            await say(model)
    assert budget.remaining.calls is budget.remaining.tokens is budget.remaining.seconds is None
