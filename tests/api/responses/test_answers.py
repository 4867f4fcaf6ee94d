from __future__ import annotations

import asyncio
from typing import Any

import httpx
import openai
import pytest
from langchain_openai import ChatOpenAI
from openai.types.responses import ResponseCodeInterpreterToolCall, ResponseOutputMessage

from tests.api.responses.conftest import AUTO, OUTPUTS, ask, events_of, items, text_of


def test_a_question_is_answered_in_words(api: openai.OpenAI) -> None:
    reply = api.responses.create(model="scripted", input="hello")
    assert reply.output_text == "one two"
    assert reply.status == "completed"
    assert reply.usage is not None
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (3, 2)
    assert [item.type for item in reply.output] == ["message"]
    assert reply.model_extra is not None
    assert reply.model_extra["x_agent_metadata"]["agent_selected"] == "chat"


def test_the_code_interpreter_runs_a_program(api: openai.OpenAI) -> None:
    reply = api.responses.create(
        model="scripted", input="Plot kappa with Python code", tools=[AUTO], include=OUTPUTS
    )
    call, message = reply.output
    assert isinstance(call, ResponseCodeInterpreterToolCall)
    assert isinstance(message, ResponseOutputMessage)
    assert call.status == "completed"
    assert call.code is not None
    assert "plt.savefig" in call.code
    logs, image = call.outputs or []
    assert logs.type == "logs"
    assert logs.logs == "saved kappa\n"
    assert image.type == "image"
    assert httpx.get(image.url).content.startswith(b"\x89PNG")
    part = message.content[0]
    assert part.type == "output_text"
    [citation] = part.annotations
    assert citation.type == "container_file_citation"
    cited = part.text[citation.start_index : citation.end_index]
    assert cited == f"![kappa.png]({image.url})"
    assert reply.output_text == f"Here is kappa.\n\n{cited}"
    assert citation.filename == "kappa.png"
    assert citation.container_id == call.container_id
    content = api.containers.files.content.retrieve(
        citation.file_id, container_id=citation.container_id
    )
    assert content.read().startswith(b"\x89PNG")
    assert reply.usage is not None
    assert reply.usage.total_tokens > 7 + 3 + 5 + 2 + 5 + 2


def test_outputs_are_told_only_where_they_are_wanted(http: httpx.Client) -> None:
    body = ask(http, "Plot kappa", tools=[AUTO], tool_choice="required")
    [call] = items(body, "code_interpreter_call")
    assert call["outputs"] is None
    stored = http.get(f"/v1/responses/{body['id']}").json()
    assert items(stored, "code_interpreter_call") == [call]
    wanted = http.get(f"/v1/responses/{body['id']}", params={"include[]": OUTPUTS}).json()
    [call] = items(wanted, "code_interpreter_call")
    assert call["outputs"] == [{"type": "logs", "logs": "saved kappa\n"}]


def test_every_program_that_ran_is_an_item(http: httpx.Client) -> None:
    body = ask(http, "Divide for mu", tools=[AUTO], tool_choice="required", include=OUTPUTS)
    failed, repaired = items(body, "code_interpreter_call")
    assert failed["code"] == "print(1 / 0)"
    assert failed["status"] == "failed"
    assert "ZeroDivisionError" in failed["outputs"][0]["logs"]
    assert repaired["status"] == "completed"
    assert repaired["outputs"] == [{"type": "logs", "logs": "mu is 42.0\n"}]
    assert failed["id"] != repaired["id"]
    assert failed["container_id"] == repaired["container_id"] == body["x_container_id"]


@pytest.mark.parametrize(
    ("more", "agent"),
    [
        ({}, "chat"),
        ({"tools": [AUTO]}, "react"),
        ({"tools": [AUTO], "tool_choice": "none"}, "chat"),
        ({"agent_type": "react"}, "react"),
        ({"model": "scripted@react"}, "react"),
        ({"model": "scripted@chat", "tools": [AUTO], "tool_choice": "required"}, "chat"),
        ({"tools": [AUTO], "tool_choice": {"type": "code_interpreter"}}, "react"),
    ],
    ids=["plain", "tool", "none", "named", "suffix", "suffix_wins", "forced"],
)
def test_the_tools_say_whether_code_may_run(
    http: httpx.Client, more: dict[str, Any], agent: str
) -> None:
    body = ask(http, "Write Python code to compute mu", **more)
    assert body["x_agent_metadata"]["agent_selected"] == agent
    assert bool(items(body, "code_interpreter_call")) == (agent == "react")


def test_a_stream_tells_each_step_in_its_place(http: httpx.Client) -> None:
    events = events_of(http, "Divide for mu", tools=[AUTO], tool_choice="required")
    program = [
        "response.output_item.added",
        "response.code_interpreter_call.in_progress",
        "response.code_interpreter_call_code.delta",
        "response.code_interpreter_call_code.done",
        "response.code_interpreter_call.interpreting",
        "response.code_interpreter_call.completed",
        "response.output_item.done",
    ]
    assert [event["type"] for event in events] == [
        "response.created",
        "response.in_progress",
        *program,
        *program,
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    final = events[-1]["response"]
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert done == final["output"]
    for event in events:
        if "item_id" in event:
            assert event["item_id"] == final["output"][event["output_index"]]["id"]
    assert text_of(final) == "It is 42."
    assert http.get(f"/v1/responses/{final['id']}").json() == final


def test_outputs_and_files_come_with_the_stream(http: httpx.Client) -> None:
    events = events_of(http, "Plot kappa", tools=[AUTO], tool_choice="required", include=OUTPUTS)
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    logs, image = done[0]["outputs"]
    assert logs == {"type": "logs", "logs": "saved kappa\n"}
    [annotation] = [
        event["annotation"]
        for event in events
        if event["type"] == "response.output_text.annotation.added"
    ]
    assert annotation["file_id"] in image["url"]
    assert [item["id"] for item in http.get("/v1/files").json()["data"]].count(
        annotation["file_id"]
    ) == 1
    words = "".join(event["delta"] for event in events if event["type"].endswith("text.delta"))
    assert words == text_of(events[-1]["response"])


def test_steps_are_told_where_a_summary_is_wanted(http: httpx.Client) -> None:
    asked = {"tools": [AUTO], "tool_choice": "required", "reasoning": {"summary": "auto"}}
    body = ask(http, "Divide for mu", **asked)
    steps = [item["summary"][0]["text"] for item in items(body, "reasoning")]
    assert "Task: divide mu" in steps[0]
    assert "Repair:" in steps[1]
    events = events_of(http, "Divide for mu", **asked)
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert [item["type"] for item in done] == [item["type"] for item in body["output"]]
    told = "".join(
        event["delta"] for event in events if event["type"].endswith("summary_text.delta")
    )
    assert told == "".join(item["summary"][0]["text"] for item in done if "summary" in item)


def test_programs_side_by_side_keep_their_events_apart(http: httpx.Client) -> None:
    events = events_of(
        http, "Compare the twins", tools=[AUTO], agent_type="plan_execute", include=OUTPUTS
    )
    final = events[-1]["response"]
    told = {
        call["code"]: call["outputs"][0]["logs"] for call in items(final, "code_interpreter_call")
    }
    assert told == {
        "print('twin', 'castor')": "twin castor\n",
        "print('twin', 'pollux')": "twin pollux\n",
    }
    for call in items(final, "code_interpreter_call"):
        own = [event for event in events if event.get("item_id") == call["id"]]
        assert "".join(event.get("delta", "") for event in own) == call["code"]
    assert text_of(final) == "Both."


def test_the_sdk_gathers_a_stream(api: openai.OpenAI) -> None:
    with api.responses.stream(
        model="scripted", input="Divide for mu", tools=[AUTO], tool_choice="required"
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[0] == "response.created"
    assert "response.code_interpreter_call_code.delta" in kinds
    assert final.output_text == "It is 42."
    assert [item.type for item in final.output].count("code_interpreter_call") == 2


def test_the_async_sdk_asks_and_streams(url: str) -> None:
    async def both() -> tuple[str, list[str]]:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as api:
            reply = await api.responses.create(model="scripted", input="hello", tools=[AUTO])
            stream = await api.responses.create(
                model="scripted", input="hello", tools=[AUTO], stream=True
            )
            kinds = [str(event.type) async for event in stream]
            return reply.output_text, kinds

    text, kinds = asyncio.run(both())
    assert text == "one two"
    assert kinds[-1] == "response.completed"


def test_langchain_binds_the_code_interpreter(url: str) -> None:
    model = ChatOpenAI(
        model="scripted",
        base_url=f"{url}/v1",
        api_key="none",  # type: ignore[arg-type]
        max_retries=0,
        use_responses_api=True,
        include=OUTPUTS,
    ).bind_tools([AUTO], tool_choice="code_interpreter")
    reply = model.invoke("Plot kappa with Python code")
    assert "Here is kappa." in reply.text
    assert reply.usage_metadata is not None
    call = next(
        block
        for block in reply.content
        if isinstance(block, dict) and block["type"] == "code_interpreter_call"
    )
    assert call["outputs"][0] == {"type": "logs", "logs": "saved kappa\n"}
    whole: Any = None
    for part in model.stream("Plot kappa with Python code"):
        whole = part if whole is None else whole + part
    assert whole is not None
    assert "Here is kappa." in whole.text


def test_a_reply_cut_at_its_limit_is_incomplete(http: httpx.Client) -> None:
    body = ask(http, "a cut off one", max_output_tokens=16)
    assert body["status"] == "incomplete"
    assert body["incomplete_details"] == {"reason": "max_output_tokens"}
    assert text_of(body) == "half of"
    events = events_of(http, "a cut off one")
    assert events[-1]["type"] == "response.incomplete"
    assert items(events[-1]["response"], "message")[0]["status"] == "incomplete"


def test_what_fails_before_anything_ran_has_a_status(http: httpx.Client) -> None:
    reply = http.post("/v1/responses", json={"input": "a broken one"})
    assert reply.status_code == 502
    assert "boom" in reply.json()["error"]["message"]


def test_a_model_that_is_gone_has_its_status_in_a_stream_too(http: httpx.Client) -> None:
    asked = {"input": "a broken one", "agent_type": "react", "stream": True}
    reply = http.post("/v1/responses", json=asked)
    assert reply.status_code == 502
    assert "boom" in reply.json()["error"]["message"]


def test_what_fails_in_a_stream_is_told_and_kept(http: httpx.Client) -> None:
    events = events_of(http, "a broken one")
    last = events[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["status"] == "failed"
    assert last["response"]["error"]["code"] == "server_error"
    assert "boom" in last["response"]["error"]["message"]
    stored = http.get(f"/v1/responses/{last['response']['id']}").json()
    assert stored == last["response"]


def test_the_answer_can_be_json(http: httpx.Client) -> None:
    form = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    reply = http.post("/v1/responses", json={"input": "hello", "text": {"format": form}})
    body = reply.json()
    assert body["text"] == {"format": form}
    [message] = items(body, "message")
    [part] = message["content"]
    # The scripted model has no JSON to give, and says so in the form there is for that.
    assert part["type"] == "refusal"
    events = events_of(http, "hello", text={"format": form})
    assert "response.refusal.done" in [event["type"] for event in events]
