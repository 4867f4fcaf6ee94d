"""Answers in the JSON that ``response_format`` asks for: in it, or refused with the reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel

from backend.config.settings import load_settings
from tests.api.conftest import running
from tests.api.test_streaming import chunks, deltas
from tests.ollama_server import OllamaServer
from tests.scripts import APPROVE, act, generate, write_script

SCHEMA = {
    "type": "object",
    "properties": {"mean": {"type": "number"}},
    "required": ["mean"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "mean", "schema": SCHEMA}}
OBJECT = {"type": "json_object"}
PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.savefig('p.png')\nprint(3.5)"


def first(case: str) -> str:
    return rf"(?s)^(?!.*does not fit).*\b{case}\b"


def again(case: str) -> str:
    return rf"(?s)\b{case}\b.*does not fit"


def chat_line(when: str, reply: str, **more: Any) -> dict[str, Any]:
    return {"stage": "chat", "when": when, "reply": reply, "repeat": True, **more}


def agent_lines(case: str, said: str) -> list[dict[str, Any]]:
    return [
        act("finish", said, when=rf"(?s)\b{case}\b.*Observation", repeat=True, tokens=[1, 1]),
        act("python_coder", f"{case} plot", when=rf"\b{case}\b", repeat=True, tokens=[1, 1]),
    ]


LINES = [
    chat_line(first("right"), '{"mean": 3.5}'),
    chat_line(first("fenced"), 'Here:\n```json\n{"mean": 3}\n```'),
    chat_line(first("mended"), '{"mean": "three"}', tokens=[10, 1]),
    chat_line(again("mended"), '{"mean": 3}', tokens=[10, 2]),
    chat_line(r"\bhopeless\b", "three and a half"),
    chat_line(r"\bcut\b", '{"mean": 3', done_reason="length"),
    chat_line(r"\bendless\b", '{"name": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"}'),
    *agent_lines("kiwi", "The mean is 3.5."),
    {
        "stage": "answer",
        "when": r"(?s)Put the answer.*\bkiwi\b.*The mean is 3\.5",
        "reply": '{"mean": 3.5}',
        "tokens": [7, 7],
        "repeat": True,
    },
    *agent_lines("plum", '{"mean": 3.5}'),
    *agent_lines("pear", "It is about three."),
    {"stage": "answer", "when": r"\bpear\b", "reply": "No.", "repeat": True},
    *agent_lines("lime", "The mean is 3.5."),
    {"stage": "answer", "when": r"\blime\b", "error": "500 boom", "repeat": True},
    generate(PLOT, repeat=True, tokens=[1, 1]),
    {**APPROVE, "tokens": [1, 1]},
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("forms")
    settings = load_settings(
        model=f"scripted:{write_script(folder / 'script.jsonl', *LINES)}",
        data_dir=folder / "data",
        execution_dir=folder / "data" / "code_execution",
    )
    with running(settings) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def ask(server: httpx.Client, text: str, form: Any = FORMAT, **more: Any) -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": text}], "response_format": form} | more
    reply = server.post("/v1/chat/completions", json=body)
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def message(answer: dict[str, Any]) -> dict[str, Any]:
    [choice] = answer["choices"]
    assert choice["finish_reason"] == "stop"
    found: dict[str, Any] = choice["message"]
    return found


@pytest.mark.parametrize("form", [FORMAT, OBJECT], ids=["schema", "object"])
@pytest.mark.parametrize(
    ("text", "mean"), [("right hello", 3.5), ("fenced hello", 3)], ids=["right", "fenced"]
)
def test_a_conversation_answers_in_the_form(
    server: httpx.Client, form: Any, text: str, mean: float
) -> None:
    said = message(ask(server, text, form, agent_type="chat"))
    assert json.loads(said["content"]) == {"mean": mean}
    assert said["refusal"] is None


def test_what_does_not_fit_is_asked_for_once_more(server: httpx.Client) -> None:
    answer = ask(server, "mended hello", agent_type="chat")
    assert message(answer)["content"] == '{"mean": 3}'
    assert answer["usage"]["completion_tokens"] == 3


def test_what_never_fits_is_refused_and_no_answer(server: httpx.Client) -> None:
    answer = ask(server, "hopeless hello", agent_type="chat")
    said = message(answer)
    assert said["content"] is None
    assert "no JSON" in said["refusal"]
    assert not answer["x_agent_metadata"]["success"]
    [_, kept] = server.get(f"/v1/sessions/{answer['x_session_id']}/messages").json()["data"]
    assert kept["content"] == said["refusal"]


def test_json_that_was_cut_off_says_so(server: httpx.Client) -> None:
    [choice] = ask(server, "cut hello", agent_type="chat", max_tokens=4)["choices"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("length", '{"mean": 3')


def test_a_pattern_that_takes_for_ever_holds_nobody_up(
    server: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.tools.coder.proof.schema._SECONDS", 1.5)
    schema = {"type": "object", "properties": {"name": {"pattern": "^(a+)+$"}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    said = message(ask(server, "endless hello", form, agent_type="chat"))
    assert said["content"] is None
    assert "could not be held against the schema" in said["refusal"]


def test_an_agents_words_are_put_into_the_form(server: httpx.Client) -> None:
    answer = ask(server, "Compute kiwi and plot it", agent_type="react", stop=["mean"])
    assert message(answer)["content"] == '{"mean": 3.5}'
    metadata = answer["x_agent_metadata"]
    assert [each["name"] for each in metadata["artifacts"]] == ["p.png"]
    assert server.get(metadata["artifacts"][0]["url"]).content.startswith(b"\x89PNG")
    assert metadata["usage_by_stage"]["answer"] == {
        "input_tokens": 7,
        "output_tokens": 7,
        "calls": 1,
    }
    assert answer["usage"]["prompt_tokens"] == 11


def test_an_agents_answer_that_is_in_the_form_costs_no_call(server: httpx.Client) -> None:
    answer = ask(server, "Compute plum and plot it", agent_type="react")
    assert message(answer)["content"] == '{"mean": 3.5}'
    assert "answer" not in answer["x_agent_metadata"]["usage_by_stage"]


@pytest.mark.parametrize("case", ["pear", "lime"])
def test_words_that_cannot_be_put_into_it_are_in_the_refusal(
    server: httpx.Client, case: str
) -> None:
    answer = ask(server, f"Compute {case} and plot it", agent_type="react")
    said = message(answer)
    assert said["content"] is None
    assert "In words:" in said["refusal"]
    assert answer["x_agent_metadata"]["python_coder_results"][0]["success"]


@pytest.mark.parametrize("case", ["right", "hopeless"])
def test_a_stream_tells_it_whole(server: httpx.Client, case: str) -> None:
    body = {
        "messages": [{"role": "user", "content": f"{case} hello"}],
        "response_format": FORMAT,
        "agent_type": "chat",
        "stream": True,
    }
    reply = server.post("/v1/chat/completions", json=body)
    parts = chunks([line for line in reply.text.splitlines() if line])
    assert parts[-1]["choices"][0]["finish_reason"] == "stop"
    if case == "right":
        assert json.loads(deltas(parts, "content")) == {"mean": 3.5}
    else:
        assert deltas(parts, "content") == ""
        assert "no JSON" in deltas(parts, "refusal")


class Mean(BaseModel):
    mean: float


def test_the_sdk_parses_it_into_a_model(server: httpx.Client) -> None:
    with openai.OpenAI(base_url=f"{server.base_url}/v1", api_key="none", max_retries=0) as api:
        for case, parsed in (("right", Mean(mean=3.5)), ("hopeless", None)):
            reply = api.chat.completions.parse(
                model="scripted@chat",
                messages=[{"role": "user", "content": f"{case} hello"}],
                response_format=Mean,
            )
            assert reply.choices[0].message.parsed == parsed
            assert (reply.choices[0].message.refusal is None) == (case == "right")


@pytest.mark.parametrize(
    "form",
    [
        {"type": "xml"},
        {"type": "json_schema"},
        {"type": "json_schema", "json_schema": {"schema": {"type": "nonsense"}}},
        {"type": "json_schema", "json_schema": {"schema": {"enum": ["x" * 70_000]}}},
        "json",
    ],
    ids=["type", "no schema", "no valid schema", "too long", "no object"],
)
def test_a_form_that_cannot_be_is_refused_before_anything_is_done(
    server: httpx.Client, form: Any
) -> None:
    body = {"messages": [{"role": "user", "content": "hello"}], "response_format": form}
    reply = server.post("/v1/chat/completions", json=body)
    assert reply.status_code == 400
    assert reply.json()["error"]["param"].startswith("response_format")


def test_the_model_server_is_given_the_schema(
    tmp_path_factory: pytest.TempPathFactory, ollama_server: OllamaServer
) -> None:
    ollama_server.add({"reply": '{"mean": 3.5}', "repeat": True})
    folder = tmp_path_factory.mktemp("given")
    settings = load_settings(
        model="ollama:gpt-oss:20b", data_dir=folder, execution_dir=folder / "code_execution"
    )
    with running(settings) as url, httpx.Client(base_url=url, timeout=60) as client:
        ask(client, "hello there", agent_type="chat")
        assert ollama_server.next_request().body["format"] == SCHEMA
        ask(client, "hello there", OBJECT, agent_type="chat")
        assert ollama_server.next_request().body["format"] == {"type": "object"}
