"""Calls through the real client libraries to a server on a real socket."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph

from backend.config.settings import load_settings
from backend.errors import (
    BadReply,
    ContextExceeded,
    ModelError,
    ModelNotFound,
    ModelUnavailable,
    PythonCoderError,
    RequestError,
    SettingsError,
)
from backend.llm.models import LanguageModel, Models, Reply, open_models
from backend.types import Message
from tests.ollama_server import PATIENCE_S, Line, OllamaServer

OLLAMA = "ollama:gpt-oss:20b"
OPENAI = "openai:gpt-oss:20b"
both = pytest.mark.parametrize("model", [OLLAMA, OPENAI], ids=["ollama", "openai"])


class TagWatcher(AsyncCallbackHandler):
    def __init__(self) -> None:
        self.tags: list[str] = []

    async def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.tags += kwargs["tags"]


@asynccontextmanager
async def opened(model: str = OLLAMA, **settings: Any) -> AsyncIterator[LanguageModel]:
    async with open_models(load_settings(model=model, **settings)) as models:
        yield models.get()


async def call(model: str = OLLAMA, question: str = "What is 6 * 7?", **settings: Any) -> Reply:
    async with opened(model, **settings) as language_model:
        return await ask(language_model, question)


async def ask(
    model: LanguageModel, question: str = "Go on.", on_text: Callable[[str], None] | None = None
) -> Reply:
    messages = [Message(role="user", content=question)]
    return await model.call(messages, stage="answer", on_text=on_text)


async def failing(model: str = OLLAMA, **settings: Any) -> PythonCoderError:
    with pytest.raises(PythonCoderError) as caught:
        await call(model, **settings)
    assert "\n" not in str(caught.value)
    return caught.value


# --- what arrives ----------------------------------------------------------------------------


@both
async def test_a_reply_comes_with_its_words_tokens_and_stage(
    ollama_server: OllamaServer, model: str
) -> None:
    ollama_server.add({"reply": "The answer\nis 42.", "tokens": (31, 7)})
    reply = await call(model)
    assert (reply.text, reply.done_reason, reply.thinking) == ("The answer\nis 42.", "stop", "")
    assert reply.call["stage"] == "answer"
    assert reply.call["model"] == "gpt-oss:20b"
    assert (reply.call["input_tokens"], reply.call["output_tokens"]) == (31, 7)
    assert reply.call["duration_s"] > 0


@both
async def test_the_conversation_arrives_with_its_roles(
    ollama_server: OllamaServer, model: str
) -> None:
    ollama_server.add({"reply": "Yes."})
    async with opened(model) as language_model:
        await language_model.call(
            [
                Message(role="system", content="Be brief."),
                Message(role="user", content="Hello"),
                Message(role="assistant", content="Hi"),
                Message(role="user", content="Well?"),
            ],
            stage="chat",
        )
    sent = ollama_server.next_request().body["messages"]
    assert [(m["role"], m["content"]) for m in sent] == [
        ("system", "Be brief."),
        ("user", "Hello"),
        ("assistant", "Hi"),
        ("user", "Well?"),
    ]


async def test_ollama_is_always_told_the_size_of_the_context(ollama_server: OllamaServer) -> None:
    ollama_server.add({"reply": "Yes."})
    await call(num_ctx=8192, max_tokens=512, temperature=0.3, keep_alive="5m")
    body = ollama_server.next_request().body
    assert body["options"] == {"num_ctx": 8192, "num_predict": 512, "temperature": 0.3}
    assert body["keep_alive"] == "5m"
    assert body["model"] == "gpt-oss:20b"
    assert body["stream"] is True
    assert body.get("think") is None
    assert body.get("format") is None


@pytest.mark.parametrize(("setting", "sent"), [("-1", -1), ("300", 300), ("2h", "2h")])
async def test_a_bare_number_to_keep_the_model_goes_out_as_a_number(
    ollama_server: OllamaServer, setting: str, sent: str | int
) -> None:
    ollama_server.add({"reply": "Yes."})
    await call(keep_alive=setting)
    assert ollama_server.next_request().body["keep_alive"] == sent


@pytest.mark.parametrize(
    ("model", "where"),
    [
        (OLLAMA, lambda body: body["format"]),
        (OPENAI, lambda body: body["response_format"]["json_schema"]["schema"]),
    ],
    ids=["ollama", "openai"],
)
async def test_a_schema_and_the_limits_of_one_call_are_sent(
    ollama_server: OllamaServer, model: str, where: Callable[[dict[str, Any]], Any]
) -> None:
    schema = {"type": "object", "properties": {"verdict": {"type": "string"}}}
    ollama_server.add({"reply": '{"verdict": "approve"}'})
    async with opened(model) as language_model:
        reply = await language_model.call(
            [Message(role="user", content="Judge.")],
            stage="review",
            schema=schema,
            temperature=0.0,
            max_tokens=99,
        )
    assert json.loads(reply.text) == {"verdict": "approve"}
    body = ollama_server.next_request().body
    assert where(body) == schema
    limits = body.get("options", body)
    assert limits["temperature"] == 0.0
    assert limits.get("num_predict", limits.get("max_tokens")) == 99


async def test_a_compatible_server_without_schemas_is_asked_without(
    ollama_server: OllamaServer,
) -> None:
    ollama_server.refuses_schemas = True
    ollama_server.add({"reply": '{"a": 1}', "repeat": True})
    async with opened(OPENAI) as model:
        for _ in range(2):
            messages = [Message(role="user", content="Judge.")]
            reply = await model.call(messages, stage="review", schema={"type": "object"})
            assert reply.text == '{"a": 1}'
    sent = ["response_format" in request.body for request in ollama_server.chats]
    assert sent == [True, False, False]


@both
async def test_words_are_handed_on_as_they_come(ollama_server: OllamaServer, model: str) -> None:
    ollama_server.add(Line(reply="one two three", fault="hold_midway"))
    words: list[str] = []
    all_there = asyncio.Event()

    def watch(piece: str) -> None:
        words.append(piece)
        if "".join(words) == "one two three":
            all_there.set()

    async with opened(model) as language_model:
        task = asyncio.create_task(ask(language_model, on_text=watch))
        async with asyncio.timeout(PATIENCE_S):
            await all_there.wait()
        assert not task.done()
        ollama_server.release()
        assert (await task).text == "one two three"
    assert len(words) == 3


@pytest.mark.parametrize(
    "line",
    [
        {"thinking": "Six times seven, hm.", "reply": "It is 42."},
        {"reply": "<think>\nSix times seven, hm.\n</think>\n\nIt is 42."},
        {"reply": "  <thinking>Six times seven, hm.</thinking>It is 42."},
    ],
    ids=["a field of its own", "tags in the words", "the other tags"],
)
async def test_thoughts_are_kept_apart_and_not_shown(
    ollama_server: OllamaServer, line: dict[str, Any]
) -> None:
    ollama_server.add(line)
    words: list[str] = []
    async with opened() as model:
        reply = await ask(model, on_text=words.append)
    assert reply.text == "".join(words) == "It is 42."
    assert reply.thinking == "Six times seven, hm."


async def test_what_the_watcher_raises_is_its_own_and_ends_the_call(
    ollama_server: OllamaServer,
) -> None:
    ollama_server.add(Line(reply="one two", fault="hold_midway"))

    def watch(piece: str) -> None:
        raise ZeroDivisionError(piece)

    async with opened() as model:
        with pytest.raises(ZeroDivisionError):
            await ask(model, on_text=watch)
    request = ollama_server.next_request()
    assert await asyncio.to_thread(request.client_left.wait, PATIENCE_S)


@both
@pytest.mark.parametrize("fault", ["hold", "hold_midway"])
async def test_a_cancelled_call_ends_at_the_server_too(
    ollama_server: OllamaServer, model: str, fault: Any
) -> None:
    ollama_server.add(Line(reply="one two", fault=fault))
    async with opened(model) as language_model:
        task = asyncio.create_task(ask(language_model))
        request = await asyncio.to_thread(ollama_server.next_request)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(request.client_left.wait, PATIENCE_S)


@both
async def test_a_slow_first_token_is_waited_for(ollama_server: OllamaServer, model: str) -> None:
    ollama_server.add(Line(reply="Here I am.", fault="hold"))
    async with opened(model, connect_timeout_s=0.2) as language_model:
        task = asyncio.create_task(ask(language_model))
        await asyncio.to_thread(ollama_server.next_request)
        # Longer than the time-out to connect, which must not count for a model being loaded.
        done, _ = await asyncio.wait([task], timeout=0.4)
        assert not done
        ollama_server.release()
        assert (await task).text == "Here I am."


async def test_an_outer_run_sees_the_stage_and_no_tokens(ollama_server: OllamaServer) -> None:
    ollama_server.add({"reply": "one two three"})

    async def node(state: MessagesState) -> dict[str, Any]:
        async with opened() as model:
            reply = await ask(model)
        return {"messages": [AIMessage(reply.text, id="the-answer")]}

    graph = StateGraph(MessagesState).add_node(node).add_edge(START, "node").compile()
    watcher = TagWatcher()
    config: RunnableConfig = {"callbacks": [watcher]}
    streamed = graph.astream({"messages": []}, config, stream_mode="messages")
    assert [message.id async for message, _ in streamed] == ["the-answer"]
    assert {"stage:answer", "nostream"} <= set(watcher.tags)


@both
async def test_a_proxy_is_not_asked_for_a_server_of_this_machine(
    ollama_server: OllamaServer, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    ollama_server.add({"reply": "Directly."})
    assert (await call(model)).text == "Directly."


async def test_several_calls_at_once_share_a_client(ollama_server: OllamaServer) -> None:
    for name in "abc":
        ollama_server.add({"when": f"question {name}", "reply": f"answer {name}"})
    async with opened() as model:
        replies = await asyncio.gather(*(ask(model, f"question {name}") for name in "abc"))
    assert [reply.text for reply in replies] == ["answer a", "answer b", "answer c"]


# --- faults ----------------------------------------------------------------------------------


@both
async def test_a_model_that_is_not_there_is_not_asked_for_twice(
    ollama_server: OllamaServer, model: str
) -> None:
    ollama_server.models = ["another:7b"]
    error = await failing(model)
    assert isinstance(error, ModelNotFound)
    assert error.exit_status == 3
    assert "'gpt-oss:20b'" in error.what
    assert len(ollama_server.chats) == 1
    if model == OLLAMA:
        assert "`ollama pull gpt-oss:20b`" in error.remedy


@pytest.mark.parametrize(
    ("model", "remedy"),
    [(OLLAMA, "`ollama serve`, or set OLLAMA_HOST"), (OPENAI, "set OPENAI_BASE_URL")],
    ids=["ollama", "openai"],
)
async def test_a_server_that_is_not_running_is_named_with_what_starts_it(
    model: str, remedy: str
) -> None:
    error = await failing(model)
    assert isinstance(error, ModelUnavailable)
    assert "127.0.0.1:9" in error.what_and_where
    assert remedy in error.remedy


@both
async def test_a_server_that_says_nothing_any_more_times_out(
    ollama_server: OllamaServer, model: str
) -> None:
    ollama_server.add(Line(reply="one two", fault="hold_midway"))
    error = await failing(model, model_timeout_s=1)
    assert isinstance(error, ModelUnavailable)
    assert "1 s" in error.what
    assert "PYTHON_CODER_MODEL_TIMEOUT" in error.remedy
    assert len(ollama_server.chats) == 1
    assert error.calls[0]["output_tokens"] == 2


RETRIED = {
    "tool call not parsed": (Line(error="500 error parsing tool call: raw='{'"), "tool_parse"),
    "dropped": (Line(reply="It is", fault="drop"), "dropped"),
    "unfinished": (Line(reply="It is", fault="unfinished"), "dropped"),
    "garbage": (Line(reply="It is", fault="garbage"), "dropped"),
    "the runner died": (Line(reply="It is", error="unexpected EOF"), "dropped"),
    "only loaded": (Line(fault="load"), "empty"),
}


@pytest.mark.parametrize("case", RETRIED.values(), ids=RETRIED)
async def test_what_a_second_attempt_mends_is_mended(
    ollama_server: OllamaServer, case: tuple[Line, str]
) -> None:
    ollama_server.add(case[0], Line(reply="It is 42.", tokens=(20, 4)))
    words: list[str] = []
    async with opened() as model:
        reply = await ask(model, on_text=words.append)
    assert reply.text == "It is 42."
    assert reply.call["input_tokens"] == 20
    assert len(ollama_server.chats) == 2


@pytest.mark.parametrize("case", RETRIED.values(), ids=RETRIED)
async def test_it_is_tried_a_second_time_only(
    ollama_server: OllamaServer, case: tuple[Line, str]
) -> None:
    line, reason = case
    ollama_server.add(line, line, Line(reply="Too late."))
    error = await failing()
    assert isinstance(error, BadReply)
    assert (error.reason, error.partial) == (reason, line.reply)
    assert len(ollama_server.chats) == 2


async def test_a_dropped_stream_of_a_compatible_server_is_tried_again(
    ollama_server: OllamaServer,
) -> None:
    ollama_server.add(Line(reply="It is", fault="drop"), Line(reply="It is 42."))
    assert (await call(OPENAI)).text == "It is 42."


@pytest.mark.parametrize(
    ("second", "shown"),
    [
        ("It is 42, of course.", "It is 42, of course."),
        ("Surely 42.", "It is 42,\n\nSurely 42."),
        ("It is", "It is 42,\n\nIt is"),
    ],
    ids=["goes on", "differs", "is shorter"],
)
async def test_words_of_a_second_attempt_are_not_shown_twice(
    ollama_server: OllamaServer, second: str, shown: str
) -> None:
    ollama_server.add(Line(reply="It is 42,", fault="drop"), Line(reply=second))
    words: list[str] = []
    async with opened() as model:
        reply = await ask(model, on_text=words.append)
    assert reply.text == second
    assert "".join(words) == shown


REFUSED = {
    "no tools": ("400 gpt-oss:20b does not support tools", ModelError, "another model"),
    "no memory": ("500 model requires more system memory (21 GiB)", ModelError, "NUM_CTX"),
    "key": ("401 unauthorized", ModelUnavailable, "_API_KEY"),
    "busy": ("503 server busy, please try again", ModelUnavailable, "later"),
    "gateway": ("502 bad gateway", ModelUnavailable, "Start it"),
    "slow gateway": ("504 gateway time-out", ModelUnavailable, "MODEL_TIMEOUT"),
    "context": ("400 the input length exceeds the context length", ContextExceeded, "less text"),
    "other": ("500 something else", ModelError, "log"),
}


@both
@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
async def test_what_no_second_attempt_mends_is_told_at_once(
    ollama_server: OllamaServer, model: str, case: tuple[str, type[PythonCoderError], str]
) -> None:
    said, kind, remedy = case
    ollama_server.add({"error": said})
    error = await failing(model)
    assert type(error) is kind
    assert remedy in error.remedy
    assert len(ollama_server.chats) == 1


@both
async def test_a_reply_that_was_cut_is_asked_for_with_twice_the_room(
    ollama_server: OllamaServer, model: str
) -> None:
    ollama_server.add(
        {"reply": "It is", "done_reason": "length", "tokens": (9, 64)},
        {"reply": "It is 42.", "tokens": (9, 3)},
    )
    words: list[str] = []
    async with opened(model, max_tokens=64) as language_model:
        reply = await ask(language_model, on_text=words.append)
    assert reply.text == "".join(words) == "It is 42."
    assert (reply.call["input_tokens"], reply.call["output_tokens"]) == (18, 67)
    assert [_limit(request.body) for request in ollama_server.chats] == [64, 128]


def _limit(body: dict[str, Any]) -> Any:
    limits = body.get("options", body)
    return limits.get("num_predict", limits.get("max_tokens"))


@both
async def test_a_reply_that_was_cut_twice_is_not_given_as_one(
    ollama_server: OllamaServer, model: str
) -> None:
    ollama_server.add(
        {"reply": "```python\nprint(", "done_reason": "length", "tokens": (9, 64)},
        {"reply": "```python\nprint(1", "done_reason": "length", "tokens": (9, 128)},
        {"reply": "Too late."},
    )
    error = await failing(model, max_tokens=64)
    assert isinstance(error, BadReply)
    assert (error.reason, error.partial) == ("length", "```python\nprint(1")
    assert "more than 128 tokens with PYTHON_CODER_MAX_TOKENS" in error.remedy
    assert (error.calls[0]["input_tokens"], error.calls[0]["output_tokens"]) == (18, 192)
    assert len(ollama_server.chats) == 2


async def test_a_limit_that_a_request_set_is_kept(ollama_server: OllamaServer) -> None:
    ollama_server.add({"reply": "It", "done_reason": "length"}, {"reply": "Too late."})
    async with opened() as model:
        with pytest.raises(BadReply, match="the request's max_tokens") as caught:
            await model.call([Message(role="user", content="Hi")], stage="answer", max_tokens=1)
    assert caught.value.reason == "length"
    assert len(ollama_server.chats) == 1


@both
async def test_a_reply_without_end_is_left(ollama_server: OllamaServer, model: str) -> None:
    ollama_server.add({"reply": "word " * 60_000, "fault": "hold_midway"})
    error = await failing(model, max_tokens=64)
    assert isinstance(error, BadReply)
    assert error.reason == "length"
    assert "more than 200000 characters" in error.what


async def test_a_reply_that_filled_the_context_names_the_context(
    ollama_server: OllamaServer,
) -> None:
    ollama_server.add({"reply": "and so", "done_reason": "length", "tokens": (2000, 48)})
    error = await failing(num_ctx=2048)
    assert isinstance(error, BadReply)
    assert error.reason == "length"
    assert "PYTHON_CODER_NUM_CTX (now 2048)" in error.remedy


@both
@pytest.mark.parametrize("reply", ["", "  \n"], ids=["nothing", "white space"])
async def test_an_empty_reply_is_told(ollama_server: OllamaServer, model: str, reply: str) -> None:
    ollama_server.add({"reply": reply})
    error = await failing(model)
    assert isinstance(error, BadReply)
    assert error.reason == "empty"


async def test_thoughts_alone_are_no_reply(ollama_server: OllamaServer) -> None:
    ollama_server.add({"reply": "<think>I wonder"})
    error = await failing()
    assert isinstance(error, BadReply)
    assert error.reason == "empty"
    assert "only thought" in error.what


async def test_another_end_than_stop_is_told(ollama_server: OllamaServer) -> None:
    ollama_server.add({"reply": "No.", "done_reason": "content_filter"})
    error = await failing(OPENAI)
    assert isinstance(error, BadReply)
    assert "'content_filter'" in error.what


# --- names -----------------------------------------------------------------------------------


@asynccontextmanager
async def models_for(model: str, **settings: Any) -> AsyncIterator[Models]:
    async with open_models(load_settings(model=model, **settings)) as models:
        yield models


@pytest.mark.parametrize(
    ("configured", "asked", "provider", "name"),
    [
        (OLLAMA, None, "ollama", "gpt-oss:20b"),
        (OLLAMA, "qwen3:8b", "ollama", "qwen3:8b"),
        (OLLAMA, "ollama:qwen3:8b", "ollama", "qwen3:8b"),
        (OLLAMA, "hf.co/someone/some-model:Q4_K_M", "ollama", "hf.co/someone/some-model:Q4_K_M"),
        (OLLAMA, "openai:local-model", "openai", "local-model"),
        (OPENAI, "local-model", "openai", "local-model"),
        (OPENAI, "ollama:qwen3:8b", "ollama", "qwen3:8b"),
    ],
)
async def test_a_name_finds_its_provider(
    configured: str, asked: str | None, provider: str, name: str
) -> None:
    async with models_for(configured) as models:
        model = models.get(asked)
    assert (model.provider, model.name) == (provider, name)


@pytest.mark.parametrize("asked", ["", " ", "ollama:", "openai: "])
async def test_a_name_without_a_model_is_the_callers_mistake(asked: str) -> None:
    async with models_for(OLLAMA) as models:
        with pytest.raises(RequestError, match="ollama, openai, scripted") as caught:
            models.get(asked)
    assert caught.value.param == "model"


@pytest.mark.parametrize("asked", ["scripted", "scripted:/etc/passwd"])
async def test_a_request_cannot_have_a_file_read_as_a_script(asked: str) -> None:
    async with models_for(OLLAMA) as models:
        with pytest.raises(RequestError):
            models.get(asked)


@pytest.mark.parametrize("value", ["qwen3:8b", "anthropic:claude"])
async def test_an_unknown_provider_stops_the_start_and_names_the_known_ones(value: str) -> None:
    with pytest.raises(SettingsError, match="ollama, openai, scripted") as caught:
        async with models_for(value):
            pass
    assert caught.value.exit_status == 2
    assert f"ollama:{value}" in caught.value.remedy


async def test_the_official_endpoint_wants_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL")
    with pytest.raises(SettingsError, match="OPENAI_API_KEY"):
        async with models_for(OPENAI):
            pass
    async with models_for(OLLAMA) as models:
        with pytest.raises(RequestError, match="OPENAI_API_KEY"):
            models.get(OPENAI)


async def test_the_key_is_sent_and_shown_nowhere(
    ollama_server: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    ollama_server.add({"error": "500 broken"})
    error = await failing(OPENAI)
    assert ollama_server.next_request().headers["authorization"] == "Bearer sk-secret"
    assert "sk-secret" not in str(error)


@both
async def test_the_servers_models_are_listed(ollama_server: OllamaServer, model: str) -> None:
    ollama_server.models = ["gpt-oss:20b", "qwen3:8b"]
    async with models_for(model) as models:
        assert await models.names() == ["gpt-oss:20b", "qwen3:8b"]
        await models.check()
    assert ollama_server.chats == []


@both
async def test_checking_finds_a_model_that_is_missing(
    ollama_server: OllamaServer, model: str
) -> None:
    ollama_server.models = ["qwen3:8b"]
    async with models_for(model) as models:
        with pytest.raises(ModelNotFound, match="it has qwen3:8b"):
            await models.check()


async def test_a_model_without_a_tag_is_the_latest(ollama_server: OllamaServer) -> None:
    ollama_server.models = ["mistral:latest"]
    async with models_for("ollama:mistral") as models:
        await models.check()


async def test_checking_finds_that_the_router_s_model_is_not_there(
    ollama_server: OllamaServer,
) -> None:
    ollama_server.models = ["qwen3:8b"]
    async with models_for("ollama:qwen3:8b", router_model="ollama:qwen3:1b") as models:
        with pytest.raises(ModelNotFound, match="PYTHON_CODER_ROUTER_MODEL"):
            await models.check()


@both
async def test_checking_finds_a_server_that_is_not_running(model: str) -> None:
    async with models_for(model) as models:
        with pytest.raises(ModelUnavailable):
            await models.check()


async def test_a_server_that_is_no_model_server_is_told(
    ollama_server: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{ollama_server.url}/wrong")
    error = await failing(OPENAI)
    assert isinstance(error, ModelUnavailable)
    assert "OPENAI_BASE_URL" in error.remedy


def test_importing_costs_no_client_library() -> None:
    program = (
        "import sys, backend.llm.models, backend.llm.scripted\n"
        "heavy = {'langchain_core', 'langchain_ollama', 'langchain_openai', 'openai', 'ollama'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
