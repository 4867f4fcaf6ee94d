"""What becomes of each field of a chat request, beyond its words."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from backend.errors import StoreUnavailable
from backend.store.files import FileStore
from backend.store.sessions import SessionStore
from tests.api.conftest import Serve
from tests.api.test_chat import CSV, chat, text_of
from tests.api.test_conversation import PNG
from tests.api.test_streaming import chunks, deltas, stream
from tests.ollama_server import OllamaServer
from tests.scripts import APPROVE, act, generate

SAMPLING = {"temperature": 0.25, "top_p": 0.5, "seed": 11, "max_tokens": 321}


def test_how_tokens_are_drawn_reaches_every_call_of_an_agent(
    serve: Serve, ollama_server: OllamaServer
) -> None:
    script = [
        act("python_coder", "multiply"),
        generate("print(6 * 7)"),
        {k: v for k, v in APPROVE.items() if k != "repeat"},
        act("finish", "It is 42."),
    ]
    ollama_server.add(*({"reply": line["reply"]} for line in script))
    client = serve(model="ollama:gpt-oss:20b", ollama_host=ollama_server.url)
    reply = chat(client, "Compute 6 * 7", agent_type="react", stop=["42"], **SAMPLING)
    assert text_of(reply) == "It is "
    sent = [request.body["options"] for request in ollama_server.chats]
    assert len(sent) == 4
    drawn = {key: value for key, value in SAMPLING.items() if key != "max_tokens"}
    for options in sent:
        assert {key: options[key] for key in drawn} == drawn
        assert options["num_predict"] == 321
        assert "stop" not in options, "it would cut the agent's own steps"


def test_a_conversation_stops_at_the_model(serve: Serve, ollama_server: OllamaServer) -> None:
    ollama_server.add({"reply": "one two"}, {"reply": ""}, {"reply": ""})
    client = serve(model="ollama:gpt-oss:20b", ollama_host=ollama_server.url)
    assert text_of(chat(client, "hello there", agent_type="chat", stop=["END", "\n"])) == "one two"
    assert ollama_server.next_request().body["options"]["stop"] == ["END", "\n"]
    began_with_it = chat(client, "hello there", agent_type="chat", stop="\n").json()["choices"][0]
    assert (began_with_it["message"]["content"], began_with_it["finish_reason"]) == ("", "stop")


def test_what_a_client_tells_of_a_request_is_kept_with_the_question(
    steady: httpx.Client,
) -> None:
    told = {"user": "ada", "metadata": {"ticket": "7"}}
    session = chat(steady, "hello", logprobs=True, top_logprobs=3, **told).json()
    assert session["choices"][0]["logprobs"] is None
    kept = steady.get(f"/v1/sessions/{session['x_session_id']}/messages").json()["data"]
    assert {key: kept[0]["metadata"][key] for key in told} == told


@pytest.mark.parametrize(
    ("field", "value"),
    [("n", 2), ("tools", [{"type": "function"}]), ("tool_choice", "required")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_would_change_the_answer_and_is_not_offered_is_refused(
    steady: httpx.Client, field: str, value: Any
) -> None:
    reply = chat(steady, "hello", **{field: value})
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_parameter", field)


def test_parts_and_messages_of_other_apis_are_understood(serve: Serve) -> None:
    client = serve({"stage": "chat", "reply": "ok", "when": r"(?s)It is a secret\..*what now"})
    file_id = client.post("/v1/files", files={"file": ("data.csv", CSV)}).json()["id"]
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    last = [
        {"type": "input_text", "text": "what now"},
        {"type": "input_image", "image_url": PNG, "detail": "auto"},
        {"type": "input_image", "file_id": file_id},
        {"type": "input_file", "file_id": file_id},
        {"type": "image_url", "image_url": PNG},
    ]
    messages = [
        {"role": "developer", "content": "Be brief.", "name": "dev"},
        {"role": "user", "content": "which?"},
        {"role": "assistant", "content": None, "tool_calls": [call], "audio": None},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "4"}]},
        {"role": "assistant", "content": None, "refusal": "It is a secret."},
        {"role": "user", "content": last},
    ]
    body = {"messages": messages, "agent_type": "chat", "metadata": {}, "stream": None}
    assert text_of(client.post("/v1/chat/completions", json=body)) == "ok"


def test_a_model_for_side_requests_answers_plainly_and_keeps_nothing(serve: Serve) -> None:
    client = serve({"stage": "chat", "reply": "Primes", "repeat": True})
    assert client.get("/v1/models/python-coder@task").json()["object"] == "model"
    for model in ("python-coder@task", "scripted@task"):
        reply = chat(client, "Compute a title, in 5 words", {"X-Session-Id": "s1"}, model=model)
        assert text_of(reply) == "Primes"
        assert reply.json()["x_session_id"] is reply.json()["x_run_id"] is None
        assert reply.json()["x_agent_metadata"]["agent_selected"] == "chat"
    parts = chunks(stream(client, "Compute a title", model="python-coder@task"))
    assert deltas(parts, "content") == "Primes"
    assert client.get("/v1/sessions").json()["data"] == []


def test_what_was_told_with_a_pending_answer_is_not_counted_again(serve: Serve) -> None:
    client = serve(
        act("python_coder", "multiply", tokens=[10, 1]),
        generate("print(6 * 7)", tokens=[20, 2]),
        {**APPROVE, "tokens": [30, 3]},
        act("finish", "It is 42.", when=r"\b42\b", tokens=[40, 4]),
    )
    pending = chat(client, "Compute 6 * 7", agent_type="react", approve="always").json()
    assert pending["usage"]["prompt_tokens"] == 60
    assert pending["x_run_id"] == pending["x_agent_metadata"]["run_id"] is not None
    done = chat(client, "yes", session_id=pending["x_session_id"]).json()
    assert done["choices"][0]["message"]["content"] == "It is 42."
    assert done["usage"] == {"prompt_tokens": 40, "completion_tokens": 4, "total_tokens": 44}
    metadata = done["x_agent_metadata"]
    assert metadata["model_calls"] == 1
    assert metadata["usage_by_stage"] == {
        "act": {"input_tokens": 40, "output_tokens": 4, "calls": 1}
    }


async def _fails(*_args: Any, **_more: Any) -> None:
    raise StoreUnavailable("The disk is full.", "Make room.")


@pytest.mark.parametrize("way", ["whole", "stream"])
def test_a_store_that_fails_at_the_end_costs_the_record_and_not_the_answer(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    client = serve(
        act("python_coder", "write"),
        generate("open('a.txt', 'w').write('x')\nprint(6 * 7)"),
        APPROVE,
        act("finish", "It is 42."),
    )
    monkeypatch.setattr(SessionStore, "append", _fails)
    monkeypatch.setattr(FileStore, "add_artifact", _fails)
    if way == "whole":
        body = chat(client, "Compute it", agent_type="react").json()
        text, metadata = body["choices"][0]["message"]["content"], body["x_agent_metadata"]
    else:
        parts = chunks(stream(client, "Compute it", agent_type="react"))
        text, metadata = deltas(parts, "content"), parts[-1]["x_agent_metadata"]
    assert text == "It is 42."
    assert len(metadata["notes"]) == 2
    assert "The disk is full." in json.dumps(metadata["notes"])
    assert metadata["output"] == "42\n"
