from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest

from tests.api.responses.conftest import AUTO, OUTPUTS, ask, events_of, items, text_of


def test_a_response_goes_on_from_the_one_before(http: httpx.Client) -> None:
    first = ask(http, "I like blue")
    second = ask(http, "which colour?", previous_response_id=first["id"])
    assert text_of(second) == "You said blue."
    assert second["previous_response_id"] == first["id"]
    assert second["x_session_id"] == first["x_session_id"]


def test_a_chain_branches(http: httpx.Client) -> None:
    first = ask(http, "hello")
    ask(http, "I like blue", previous_response_id=first["id"])
    other = ask(http, "which colour?", previous_response_id=first["id"])
    assert text_of(other) == "I do not know."


def test_a_chain_ends_where_a_response_was_deleted(api: openai.OpenAI, http: httpx.Client) -> None:
    first = ask(http, "I like blue")
    second = ask(http, "hello", previous_response_id=first["id"])
    api.responses.delete(first["id"])
    with pytest.raises(openai.NotFoundError):
        api.responses.retrieve(first["id"])
    third = ask(http, "which colour?", previous_response_id=second["id"])
    assert text_of(third) == "I do not know."


def test_instructions_are_not_carried_over(http: httpx.Client) -> None:
    first = ask(http, "hello", instructions="I like blue")
    assert first["instructions"] == "I like blue"
    asked = ask(http, "which colour?", instructions="I like blue")
    assert text_of(asked) == "You said blue."
    later = ask(http, "which colour?", previous_response_id=first["id"])
    assert text_of(later) == "I do not know."


def test_programs_of_a_chain_find_what_the_last_one_left(http: httpx.Client) -> None:
    first = ask(http, "Plot kappa", tools=[AUTO], tool_choice="required")
    second = ask(
        http,
        "Use sigma",
        tools=[AUTO],
        tool_choice="required",
        previous_response_id=first["id"],
        include=OUTPUTS,
    )
    [call] = items(second, "code_interpreter_call")
    assert call["outputs"] == [{"type": "logs", "logs": "sigma 42\n"}]
    assert call["container_id"] == first["x_container_id"]


def test_a_container_is_gone_on_in_without_its_words(http: httpx.Client) -> None:
    first = ask(http, "Plot kappa", tools=[AUTO], tool_choice="required")
    tool = {"type": "code_interpreter", "container": first["x_container_id"]}
    second = ask(http, "Use sigma", tools=[tool], tool_choice="required")
    assert text_of(second) == "It goes on."
    assert second["x_container_id"] == first["x_container_id"]
    asked = {"tools": [tool], "tool_choice": "none"}
    assert text_of(ask(http, "I like blue", **asked)) == "one two"
    assert text_of(ask(http, "which colour?", **asked)) == "I do not know."


def test_a_program_that_waits_runs_once_it_is_approved(http: httpx.Client) -> None:
    asked = {"tools": [AUTO], "tool_choice": "required", "approve": "always"}
    first = ask(http, "Plot kappa", **asked)
    assert items(first, "code_interpreter_call") == []
    assert "plt.savefig" in text_of(first)
    second = ask(http, "yes", tools=[AUTO], previous_response_id=first["id"])
    [call] = items(second, "code_interpreter_call")
    assert "plt.savefig" in call["code"]
    assert call["container_id"] == first["x_container_id"]
    assert "Here is kappa." in text_of(second)


def test_a_conversation_is_a_session(http: httpx.Client) -> None:
    first = ask(http, "I like blue")
    second = ask(http, "which colour?", conversation=first["x_session_id"])
    assert text_of(second) == "You said blue."
    assert second["conversation"] == {"id": first["x_session_id"]}
    third = ask(http, "which colour?", conversation={"id": first["x_session_id"]})
    assert text_of(third) == "You said blue."
    messages = http.get(f"/v1/sessions/{first['x_session_id']}/messages").json()["data"]
    assert [message["content"] for message in messages][:2] == ["I like blue", "one two"]


def test_items_of_a_former_response_can_be_sent_back(api: openai.OpenAI) -> None:
    first = api.responses.create(
        model="scripted",
        input="Plot kappa with Python",
        tools=[AUTO],
        reasoning={"summary": "auto"},
        include=OUTPUTS,
    )
    sent: list[Any] = [
        {"role": "user", "content": "I like blue"},
        *(item.model_dump(mode="json", exclude_none=True) for item in first.output),
        {"role": "user", "content": [{"type": "input_text", "text": "which colour?"}]},
    ]
    second = api.responses.create(model="scripted", input=sent)
    assert second.output_text == "You said blue."


def test_a_session_that_is_deleted_takes_its_responses_along(http: httpx.Client) -> None:
    body = ask(http, "Plot kappa", tools=[AUTO], tool_choice="required")
    assert http.delete(f"/v1/sessions/{body['x_session_id']}").status_code == 200
    assert http.get(f"/v1/responses/{body['id']}").status_code == 404
    assert http.get(f"/v1/containers/{body['x_container_id']}").status_code == 404
    [annotation] = items(body, "message")[0]["content"][0]["annotations"]
    assert http.get(f"/v1/files/{annotation['file_id']}").status_code == 404


def test_input_items_are_listed(api: openai.OpenAI, http: httpx.Client) -> None:
    sent = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "noted"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "last"}]},
    ]
    body = ask(http, sent)
    listed: list[Any] = list(api.responses.input_items.list(body["id"], limit=2))
    texts = [item.content[0].text for item in listed]
    assert texts == ["last", "noted", "first"]
    assert [item.type for item in listed] == ["message"] * 3
    rising = http.get(f"/v1/responses/{body['id']}/input_items", params={"order": "asc"}).json()
    assert [item["content"][0]["text"] for item in rising["data"]] == ["first", "noted", "last"]
    after = {"after": rising["last_id"], "order": "asc"}
    assert http.get(f"/v1/responses/{body['id']}/input_items", params=after).json()["data"] == []


def test_bytes_of_a_request_are_not_listed_again(http: httpx.Client) -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    body = ask(http, [{"role": "user", "content": [picture, {"type": "input_text", "text": "hi"}]}])
    reply = http.get(f"/v1/responses/{body['id']}/input_items")
    assert "iVBOR" not in reply.text
    assert reply.json()["data"][0]["content"][0]["image_url"] is None


def test_what_is_not_stored_cannot_be_read(http: httpx.Client) -> None:
    def listed(noun: str) -> list[str]:
        return [each["id"] for each in http.get(f"/v1/{noun}").json()["data"]]

    before = {noun: listed(noun) for noun in ("sessions", "runs")}
    body = ask(http, "Divide for mu", store=False, tools=[AUTO], tool_choice="required")
    assert text_of(body) == "It is 42."
    assert body["store"] is False
    assert body["x_session_id"] is None
    assert http.get(f"/v1/responses/{body['id']}").status_code == 404
    assert {noun: listed(noun) for noun in before} == before
    asked = {"input": "hi", "previous_response_id": body["id"]}
    assert http.post("/v1/responses", json=asked).status_code == 404


def test_files_of_what_is_not_stored_go_with_the_request(http: httpx.Client) -> None:
    def listed() -> set[str]:
        return {each["id"] for each in http.get("/v1/files", params={"limit": 1000}).json()["data"]}

    file = {
        "type": "input_file",
        "filename": "passing.csv",
        "file_data": "data:text/csv;base64,bgoxCjIKMwo=",
    }
    asked: Any = [{"role": "user", "content": [file, {"type": "input_text", "text": "hello"}]}]
    before = listed()
    assert ask(http, asked, store=False)["status"] == "completed"
    assert events_of(http, asked, store=False)[-1]["type"] == "response.completed"
    assert listed() == before
    ask(http, asked)
    assert len(listed() - before) == 1, "of what is stored it stays"


def test_a_container_of_what_is_not_stored_has_its_files(http: httpx.Client) -> None:
    body = ask(http, "Plot kappa", store=False, tools=[AUTO], tool_choice="required")
    files = http.get(f"/v1/containers/{body['x_container_id']}/files").json()["data"]
    assert [file["path"] for file in files] == ["/mnt/data/kappa.png"]


def test_the_events_of_a_response_can_be_had_again(api: openai.OpenAI, http: httpx.Client) -> None:
    live = events_of(http, "Divide for mu", tools=[AUTO], tool_choice="required")
    id_ = live[-1]["response"]["id"]
    with api.responses.stream(response_id=id_) as stream:
        again = [event.type for event in stream]
        assert stream.get_final_response().output_text == "It is 42."
    assert again == [event["type"] for event in live]
    with api.responses.retrieve(id_, stream=True, starting_after=len(again) - 2) as rest:
        assert [event.type for event in rest] == ["response.completed"]
