"""ReAct with models that can call tools natively, with those that say so and cannot, and both."""

from __future__ import annotations

from typing import Any

import pytest

from backend.config.settings import load_settings
from backend.core.assistant import open_assistant
from backend.core.requests import Answer, Ask
from tests.commands import needs_sandbox
from tests.ollama_server import Line, OllamaServer
from tests.scripts import program

pytestmark = [pytest.mark.sandbox, needs_sandbox]

NAME = "gpt-oss:20b"
ACT, GENERATE = "step by step with tools", "(?i)fenced|block"
WRITE = Line(when=GENERATE, reply=program("print(sum([20, 21, 1]))"))
REFUSAL = Line(when=ACT, error=f"400 {NAME} does not support tools")


def call(name: str, reply: str = "", **arguments: Any) -> Line:
    return Line(when=ACT, reply=reply, tool_calls=[{"name": name, "arguments": arguments}])


CODER = call("python_coder", "First the sum.", task="Add up 20, 21 and 1.")


async def put(server: OllamaServer, *lines: Line, provider: str = "ollama") -> Answer:
    server.models_with_tools = {NAME}
    server.add(*lines)
    settings = load_settings(model=f"{provider}:{NAME}", review=False)
    async with open_assistant(settings) as assistant:
        return await assistant.run(Ask(question="Compute 20 + 21 + 1", agent_type="react"))


def forms(server: OllamaServer) -> list[str]:
    asked = [each.body for each in server.chats if ACT in each.body["messages"][0]["content"]]
    return ["tools" if body.get("tools") else "json" for body in asked]


@pytest.mark.parametrize("provider", ["ollama", "openai"])
@pytest.mark.parametrize(
    "last",
    [call("finish", answer="It is 42."), Line(when=ACT, reply="It is 42.")],
    ids=["finish is called", "no tool is called"],
)
async def test_a_request_is_answered_by_native_calls(
    ollama_server: OllamaServer, provider: str, last: Line
) -> None:
    given = await put(ollama_server, CODER, WRITE, last, provider=provider)
    assert (given.success, given.text) == (True, "It is 42.")
    assert [step["action"] for step in given.steps] == ["python_coder", "finish"]
    assert given.steps[0]["thought"] == "First the sum."
    assert given.steps[0]["action_input"] == "Add up 20, 21 and 1."
    assert "42" in given.steps[0]["observation"]
    assert forms(ollama_server) == ["tools", "tools"]
    assert len(ollama_server.chats) == 3


async def test_each_question_says_how_it_wants_its_answer(ollama_server: OllamaServer) -> None:
    done = Line(when=ACT, reply='{"action": "finish", "action_input": "It is 42."}')
    await put(ollama_server, CODER, WRITE, REFUSAL, done)
    sent = [each.body["messages"][0]["content"] for each in ollama_server.chats]
    wanted = ["Answer with JSON only" in prompt for prompt in sent if ACT in prompt]
    assert wanted == [False, False, True]


async def test_words_instead_of_a_program_are_no_answer_natively_either(
    ollama_server: OllamaServer,
) -> None:
    words = Line(when=ACT, reply="It is 43, surely.")
    given = await put(ollama_server, words, WRITE, call("finish", answer="It is 42."))
    assert given.text == "It is 42."
    assert given.steps[0]["by"] == "rule"


async def test_a_model_that_cannot_after_all_goes_on_with_json(
    ollama_server: OllamaServer,
) -> None:
    json_call = Line(
        when=ACT, reply='{"thought": "", "action": "python_coder", "action_input": "Add up."}'
    )
    done = Line(when=ACT, reply='{"thought": "", "action": "finish", "action_input": "It is 42."}')
    given = await put(ollama_server, REFUSAL, json_call, WRITE, done)
    assert (given.success, given.text) == (True, "It is 42.")
    assert forms(ollama_server) == ["tools", "json", "json"]
