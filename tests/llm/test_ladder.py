"""Native tool calls, JSON by a schema, words: on which rung a model is asked, over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from backend.config.settings import load_settings
from backend.errors import BadReply, ModelError, ModelUnavailable
from backend.llm.asking import Asked, Unreadable, ask, read_object
from backend.llm.budget import Budget
from backend.llm.calling import Prompt
from backend.llm.models import LanguageModel, Reply, open_models
from backend.llm.replies import extract_json, strip_thinking
from backend.prompts import variables
from backend.types import Message, Rung, ToolSpec
from tests.ollama_server import Line, OllamaServer

NAME = "gpt-oss:20b"
OLLAMA = f"ollama:{NAME}"
OPENAI = f"openai:{NAME}"
both = pytest.mark.parametrize("name", [OLLAMA, OPENAI], ids=["ollama", "openai"])

TASK: ToolSpec = {
    "name": "python_coder",
    "description": "Writes and runs a program.",
    "parameters": {
        "type": "object",
        "properties": {"task": {"type": "string", "description": "What to do."}},
        "required": ["task"],
    },
}
FINISH: ToolSpec = {
    "name": "finish",
    "description": "The request is answered.",
    "parameters": {
        "type": "object",
        "properties": {"answer": {"type": "string"}},
        "required": ["answer"],
    },
}
TOOLS = (TASK, FINISH)
SCHEMA = {"type": "object", "properties": {"action": {"type": "string"}}}
CALL = {"name": "python_coder", "arguments": {"task": "Add up the prices."}}
JSON_STEP = json.dumps({"action": "python_coder", "action_input": "Add up the prices."})
WORDS = "I would rather not."


@pytest.fixture
def server(ollama_server: OllamaServer) -> OllamaServer:
    ollama_server.models_with_tools = {NAME}
    return ollama_server


@asynccontextmanager
async def opened(name: str = OLLAMA, **settings: Any) -> AsyncIterator[LanguageModel]:
    async with open_models(load_settings(model=name, **settings)) as models:
        yield models.get()


async def act(model: LanguageModel, request: str = "R", **more: Any) -> Asked[dict[str, Any]]:
    values = {**dict.fromkeys(variables("act") - {"reason"}, ""), "request": request}
    given = {"schema": SCHEMA, "tools": TOOLS, **more}
    return await ask(model, "act", values, lambda text: read_object(text, "action"), **given)


def forms(server: OllamaServer) -> list[Rung]:
    """In which form each question arrived."""
    found: list[Rung] = []
    for request in server.chats:
        has_schema = bool(request.body.get("format") or request.body.get("response_format"))
        has_tools = bool(request.body.get("tools"))
        assert not (has_schema and has_tools)
        found.append("tools" if has_tools else "schema" if has_schema else "text")
    return found


# --- native calls --------------------------------------------------------------------------------


@both
async def test_a_model_with_tools_is_asked_for_a_call_and_answers_like_any_other(
    server: OllamaServer, name: str
) -> None:
    server.add(Line(reply="The file first.", thinking="Hm.", tool_calls=[CALL], tokens=(90, 12)))
    async with opened(name) as model:
        asked = await act(model)
    assert asked.value == {
        "thought": "The file first.",
        "action": "python_coder",
        "action_input": {"task": "Add up the prices."},
    }
    assert json.loads(asked.text) == asked.value
    (call,) = asked.calls
    assert (call["rung"], call["input_tokens"], call["output_tokens"]) == ("tools", 90, 12)
    (request,) = server.chats
    assert request.body["tools"] == [{"type": "function", "function": tool} for tool in TOOLS]
    assert forms(server) == ["tools"]


@both
async def test_a_call_needs_no_words_beside_it(server: OllamaServer, name: str) -> None:
    server.add({"tool_calls": [CALL]})
    async with opened(name) as model:
        asked = await act(model)
    assert asked.value is not None
    assert (asked.value["thought"], asked.value["action"]) == ("", "python_coder")


@both
async def test_of_several_calls_the_first_counts(server: OllamaServer, name: str) -> None:
    second = {"name": "finish", "arguments": {"answer": "42"}}
    server.add({"tool_calls": [CALL, second]})
    async with opened(name) as model:
        asked = await act(model)
    assert asked.value is not None
    assert asked.value["action"] == "python_coder"
    assert asked.value["action_input"] == CALL["arguments"]


@pytest.mark.parametrize(
    ("calls", "given"),
    [
        ([{**CALL, "index": 0}, {**CALL, "name": "finish", "index": 0}], CALL["arguments"]),
        ([{**CALL, "index": None}, {**CALL, "index": None}], CALL["arguments"]),
        ([{**CALL, "repeats_name": True}], CALL["arguments"]),
        ([{**CALL, "ids": "each"}], CALL["arguments"]),
        ([{**CALL, "arguments": ""}], ""),
        ([{**CALL, "arguments": {}}], ""),
        ([{**CALL, "arguments": "Add up the prices."}], "Add up the prices."),
        ([{**CALL, "arguments": '"Add up"'}], "Add up"),
        ([{**CALL, "arguments": '{"task": "two\nlines"}'}], {"task": "two\nlines"}),
        ([{**CALL, "arguments": '{"task": "Add'}], '{"task": "Add'),
    ],
    ids=[
        "all calls have one number",
        "calls have no numbers",
        "the name comes again",
        "every piece has its own id",
        "no arguments",
        "an empty object",
        "words for arguments",
        "a text for arguments",
        "a bare line break",
        "no JSON",
    ],
)
async def test_what_compatible_servers_make_of_calls_is_understood(
    server: OllamaServer, calls: list[dict[str, Any]], given: Any
) -> None:
    server.add({"tool_calls": calls})
    async with opened(OPENAI) as model:
        asked = await act(model)
    assert asked.value is not None
    assert (asked.value["action"], asked.value["action_input"]) == ("python_coder", given)


@pytest.mark.parametrize(
    "task", ['{"a": 1}', "[1, 2]", "{'a': 1}"], ids=["an object", "a list", "a dict"]
)
async def test_a_text_that_looks_like_data_stays_a_text(server: OllamaServer, task: str) -> None:
    server.add({"tool_calls": [{**CALL, "arguments": {"task": task}}]})
    async with opened() as model:
        asked = await act(model)
    assert asked.value is not None
    assert asked.value["action_input"]["task"] == task.replace("'", '"')


@both
async def test_a_program_in_a_call_stays_whole(server: OllamaServer, name: str) -> None:
    code = 'print("<think>")\nprint("</think> and <|end|>")\n```\nObservation: "none"'
    server.add({"tool_calls": [{**CALL, "arguments": {"task": code}}]})
    async with opened(name) as model:
        text = (await act(model)).text
    read = extract_json(strip_thinking(text))
    assert read is not None
    assert read["action_input"]["task"] == code


@both
async def test_words_without_a_call_are_handed_over_as_they_are(
    server: OllamaServer, name: str
) -> None:
    server.add({"reply": "It is 42."})
    async with opened(name) as model:
        asked = await act(model, read_words=lambda words: {"action": "finish", "input": words})
    assert asked.value == {"action": "finish", "input": "It is 42."}
    assert len(server.chats) == 1


@both
async def test_a_call_that_was_written_as_words_is_read_as_one(
    server: OllamaServer, name: str
) -> None:
    server.add({"reply": JSON_STEP})
    async with opened(name) as model:
        asked = await act(model, read_words=lambda words: {"action": "finish"})
    assert asked.value == json.loads(JSON_STEP)


async def test_words_are_an_answer_only_where_tools_were_offered_natively(
    ollama_server: OllamaServer,
) -> None:
    ollama_server.add({"reply": WORDS, "repeat": True})
    async with opened() as model:
        asked = await act(model, read_words=lambda words: {"action": "finish"})
    assert asked.value is None
    assert forms(ollama_server) == ["schema", "schema"]


@both
@pytest.mark.parametrize("fault", ["drop", "unfinished"])
async def test_a_stream_that_ends_within_a_call_is_tried_again(
    server: OllamaServer, name: str, fault: Any
) -> None:
    server.add(Line(reply="So", tool_calls=[CALL], fault=fault), Line(tool_calls=[CALL]))
    async with opened(name) as model:
        asked = await act(model)
    assert asked.value is not None
    assert asked.value["action_input"] == CALL["arguments"]
    assert forms(server) == ["tools", "tools"]


async def test_a_call_that_was_cut_off_is_asked_for_with_more_room(server: OllamaServer) -> None:
    half = {**CALL, "arguments": '{"task": "Add'}
    server.add({"tool_calls": [half], "done_reason": "length"}, {"tool_calls": [CALL]})
    async with opened(OPENAI, max_tokens=64) as model:
        asked = await act(model)
    assert asked.value is not None
    assert asked.value["action_input"] == CALL["arguments"]
    assert [request.body["max_tokens"] for request in server.chats] == [64, 128]


async def test_a_model_that_was_only_loaded_is_asked_again_in_the_same_form(
    server: OllamaServer,
) -> None:
    server.add(Line(fault="load"), Line(tool_calls=[CALL]))
    async with opened() as model:
        assert (await act(model)).value is not None
    assert forms(server) == ["tools", "tools"]


# --- where a model starts ------------------------------------------------------------------------


async def test_ollama_is_asked_once_what_each_model_can(server: OllamaServer) -> None:
    server.models = [NAME, "small:1b"]
    server.add({"when": "^Act", "reply": JSON_STEP, "repeat": True})
    server.add({"reply": JSON_STEP, "repeat": True})
    async with open_models(load_settings(model=OLLAMA)) as models:
        await asyncio.gather(*(act(models.get()) for _ in range(3)))
        for _ in range(2):
            assert (await act(models.get("small:1b"))).calls[0]["rung"] == "schema"
    assert [request.body["model"] for request in server.shows] == [NAME, "small:1b"]
    assert forms(server) == ["tools"] * 3 + ["schema"] * 2


async def test_a_question_without_tools_asks_nothing_of_the_kind(server: OllamaServer) -> None:
    server.add({"reply": JSON_STEP, "repeat": True})
    async with opened() as model:
        assert (await act(model, tools=())).calls[0]["rung"] == "schema"
        assert (await act(model, tools=(), schema=None)).calls[0]["rung"] == "text"
    assert server.shows == []
    assert forms(server) == ["schema", "text"]


async def test_a_server_that_cannot_tell_is_asked_for_json_and_not_asked_again(
    server: OllamaServer,
) -> None:
    server.show_status = 500
    server.add({"reply": JSON_STEP, "repeat": True})
    async with opened() as model:
        for _ in range(2):
            assert (await act(model)).value is not None
    assert forms(server) == ["schema", "schema"]
    assert len(server.shows) == 1


async def test_a_model_that_was_not_there_yet_is_looked_at_again(server: OllamaServer) -> None:
    server.models = []
    server.add({"tool_calls": [CALL]})
    async with opened() as model:
        with pytest.raises(ModelError):
            await act(model)
        server.models = [NAME]
        assert (await act(model)).calls[0]["rung"] == "tools"


async def test_a_server_that_is_gone_is_told_as_ever() -> None:
    async with opened() as model:
        with pytest.raises(ModelUnavailable):
            await act(model)


async def test_a_stages_own_model_stands_where_it_stands(server: OllamaServer) -> None:
    server.models = [NAME, "small:1b"]
    server.add({"reply": JSON_STEP, "repeat": True})
    async with opened(stages="act model=ollama:small:1b") as model:
        assert await model.rung("act", schema=SCHEMA, tools=TOOLS) == "schema"
        assert await model.rung("plan", schema=SCHEMA, tools=TOOLS) == "tools"


async def test_a_recorded_conversation_is_text(tmp_path: Path) -> None:
    script = tmp_path / "script.jsonl"
    script.write_text(json.dumps({"reply": JSON_STEP}) + "\n", encoding="utf-8")
    async with opened(f"scripted:{script}") as model:
        asked = await act(model)
    assert asked.value == json.loads(JSON_STEP)
    assert asked.calls[0]["rung"] == "schema"


# --- refusals ------------------------------------------------------------------------------------

REFUSALS = {
    "Ollama": f"400 registry.ollama.ai/library/{NAME} does not support tools",
    "llama.cpp": "500 tools param requires --jinja flag",
    "vLLM": '400 "auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser',
    "strict": "422 Extra inputs are not permitted: tools",
    "a template": "500 template: :3:12: executing at <index .Tools 0>: error calling index",
    "a router": "404 No endpoints found that support tool use",
}


@both
@pytest.mark.parametrize("said", REFUSALS.values(), ids=REFUSALS)
async def test_a_server_that_refuses_tools_is_asked_for_json_at_once_and_from_then_on(
    server: OllamaServer, name: str, said: str
) -> None:
    server.add({"error": said}, {"reply": JSON_STEP, "tokens": (50, 9), "repeat": True})
    budget = Budget(max_calls=2)
    async with opened(name) as unbound:
        model = unbound.within(budget)
        asked = await act(model)
        assert asked.value == json.loads(JSON_STEP)
        assert [call["rung"] for call in asked.calls] == ["schema"]
        await act(model)
    assert forms(server) == ["tools", "schema", "schema"]
    # The refused question generated nothing: two calls are two calls.
    assert (budget.spent.calls, budget.spent.tokens) == (2, 2 * 59)
    assert len(budget.calls) == 2


@both
@pytest.mark.parametrize(
    "said",
    ["400 unknown field response_format", "500 failed to parse grammar", "400 invalid format"],
)
async def test_a_server_that_refuses_schemas_is_asked_in_words(
    ollama_server: OllamaServer, name: str, said: str
) -> None:
    ollama_server.add({"error": said}, {"reply": JSON_STEP, "repeat": True})
    async with opened(name) as model:
        for _ in range(2):
            assert (await act(model, tools=())).calls[0]["rung"] == "text"
    assert forms(ollama_server) == ["schema", "text", "text"]


async def test_all_the_way_down_in_one_asking(server: OllamaServer) -> None:
    server.refuses_schemas = True
    server.models_with_tools = set()
    server.add({"reply": JSON_STEP})
    async with opened(OPENAI, max_calls=1) as model:
        assert (await act(model.within(Budget(max_calls=1)))).value is not None
    assert forms(server) == ["tools", "schema", "text"]


@pytest.mark.parametrize(
    "said",
    [
        "500 model requires more system memory (21 GiB)",
        "400 the context length of 4096 is exceeded by 5000 tokens with the tools",
        "400 something else",
    ],
)
async def test_other_complaints_are_no_refusals(server: OllamaServer, said: str) -> None:
    server.add({"error": said})
    async with opened() as model:
        with pytest.raises(ModelError):
            await act(model)
        assert await model.rung("act", schema=SCHEMA, tools=TOOLS) == "tools"
    assert forms(server) == ["tools"]


async def test_a_question_is_worded_for_the_form_it_is_asked_in(server: OllamaServer) -> None:
    server.add({"error": REFUSALS["Ollama"]}, {"reply": "Yes."})

    def write(rung: Rung) -> Prompt:
        return Prompt(messages=(Message(role="user", content=f"By {rung}?"),))

    async with opened() as model:
        await model.call(write, stage="act", schema=SCHEMA, tools=TOOLS)
    sent = [request.body["messages"][0]["content"] for request in server.chats]
    assert sent == ["By tools?", "By schema?"]


# --- replies that cannot be read -----------------------------------------------------------------

PARSE_ERRORS = {
    "the server's parser": Line(error="500 error parsing tool call: raw='{', err=invalid"),
    "the client's": Line(tool_calls=[{**CALL, "arguments": '{"task": "Add"}'}]),
}


@pytest.mark.parametrize("line", PARSE_ERRORS.values(), ids=PARSE_ERRORS)
async def test_a_call_that_could_not_be_parsed_is_asked_for_as_json(
    server: OllamaServer, line: Line
) -> None:
    answer = Line(reply=JSON_STEP)
    server.add(line, answer, Line(tool_calls=[CALL]), line, answer, line, answer, answer)
    async with opened() as model:
        for _ in range(2):
            assert (await act(model)).value is not None
        # A call that was read in between: the model can do it, mostly.
        assert forms(server) == ["tools", "schema", "tools"]
        for _ in range(3):
            assert (await act(model)).value is not None
    assert forms(server)[3:] == ["tools", "schema", "tools", "schema", "schema"]


@both
async def test_two_unreadable_replies_in_a_row_lead_one_rung_down(
    server: OllamaServer, name: str
) -> None:
    server.add(*[{"reply": WORDS}] * 4, {"reply": JSON_STEP})
    async with opened(name) as model:
        assert (await act(model)).value is None
        assert (await act(model)).value is None
        assert (await act(model)).value is not None
    assert forms(server) == ["tools", "tools", "schema", "schema", "text"]


@both
async def test_one_unreadable_reply_now_and_then_changes_nothing(
    server: OllamaServer, name: str
) -> None:
    server.add(*[Line(reply=WORDS), Line(tool_calls=[CALL])] * 3)
    async with opened(name) as model:
        for _ in range(3):
            assert (await act(model)).value is not None
    assert forms(server) == ["tools"] * 6


NO_CALL = {
    "only thoughts": (OLLAMA, Line(thinking="Hm.", tokens=(9, 1))),
    "nothing": (OPENAI, Line(tokens=(9, 1))),
    "an end by a call that is not there": (OPENAI, Line(done_reason="tool_calls")),
}


@pytest.mark.parametrize("case", NO_CALL.values(), ids=NO_CALL)
async def test_where_no_call_arrives_json_is_asked_for_and_the_second_time_it_stays_so(
    server: OllamaServer, case: tuple[str, Line]
) -> None:
    name, line = case
    answer = Line(reply=JSON_STEP)
    server.add(line, answer, line, answer, answer)
    async with opened(name) as model:
        for _ in range(3):
            assert (await act(model)).value is not None
    assert forms(server) == ["tools", "schema", "tools", "schema", "schema"]


async def test_giving_up_schemas_leaves_tools_alone(server: OllamaServer) -> None:
    server.add(*[{"reply": WORDS}] * 2, {"tool_calls": [CALL]}, {"reply": JSON_STEP})
    async with opened() as model:
        await act(model, tools=())
        assert (await act(model)).value is not None
        assert (await act(model, tools=())).value is not None
    assert forms(server) == ["schema", "schema", "tools", "text"]


async def test_what_is_not_asked_for_in_a_form_moves_nothing(server: OllamaServer) -> None:
    def refuse(text: str) -> str:
        raise Unreadable("no")

    server.add({"reply": WORDS, "repeat": True})
    values = dict.fromkeys(variables("act") - {"reason"}, "")
    async with opened() as model:
        await ask(model, "act", values, refuse)
        assert await model.rung("act", schema=SCHEMA, tools=TOOLS) == "tools"
        assert await model.rung("act", schema=SCHEMA) == "schema"


async def test_what_was_learned_is_forgotten_when_the_models_are_opened_again(
    server: OllamaServer,
) -> None:
    server.add({"error": REFUSALS["Ollama"]}, {"reply": JSON_STEP}, {"tool_calls": [CALL]})
    for rung in ("schema", "tools"):
        async with opened() as model:
            assert (await act(model)).calls[0]["rung"] == rung


# --- room ----------------------------------------------------------------------------------------


def many(count: int) -> list[ToolSpec]:
    return [
        {**TASK, "name": f"tool_{n}", "description": "what it does " * 20} for n in range(count)
    ]


async def say(model: LanguageModel, words: str, tools: list[ToolSpec]) -> Reply:
    messages = [Message(role="user", content=words)]
    return await model.call(messages, stage="act", schema=SCHEMA, tools=tools)


async def test_tools_take_room_in_the_context(server: OllamaServer) -> None:
    server.add({"reply": JSON_STEP, "tokens": (100, 5), "repeat": True})
    async with opened(num_ctx=4096, max_tokens=4000) as model:
        await say(model, "Go on.", many(1))
        await say(model, "Go on.", many(12))
    first, second = (request.body["options"]["num_predict"] for request in server.chats)
    assert first < 4000
    assert 12 * 40 < first - second < 12 * 200


async def test_a_prompt_makes_room_for_tools(server: OllamaServer) -> None:
    server.add({"reply": JSON_STEP, "repeat": True})
    values = {**dict.fromkeys(variables("act") - {"reason"}, ""), "history": "word " * 1200}
    async with opened(num_ctx=4096, max_tokens=1024) as model:
        for tools in ([], many(15)):
            await ask(model, "act", values, lambda text: text, schema=SCHEMA, tools=tools)
    without, with_tools = (request.body["messages"][0]["content"] for request in server.chats)
    assert "left out" not in without
    assert "left out" in with_tools
    assert forms(server) == ["schema", "tools"]


async def test_tools_that_do_not_fit_are_left_to_the_words_of_the_prompt(
    server: OllamaServer,
) -> None:
    server.add({"reply": JSON_STEP, "repeat": True})
    async with opened(num_ctx=2048, max_tokens=512) as model:
        assert (await say(model, "Go on.", many(60))).call["rung"] == "schema"
        assert (await say(model, "Go on.", many(1))).call["rung"] == "tools"
        with pytest.raises(BadReply, match="PYTHON_CODER_NUM_CTX"):
            await say(model, "word " * 3000, many(1))


async def test_the_look_for_a_cut_prompt_offers_the_same_tools(server: OllamaServer) -> None:
    server.add(
        {
            "when": r"^\[[0-9a-f]{32}\]\n",
            "reply": "S",
            "tokens": (3000, 1),
            "done_reason": "length",
        },
        {"reply": JSON_STEP, "tokens": (1024, 2)},
    )
    async with opened() as model:
        assert (await say(model, "word " * 1500, many(12))).text == JSON_STEP
    assert forms(server) == ["tools", "tools"]
