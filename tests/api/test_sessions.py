from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.conftest import Serve
from tests.api.test_chat import chat, text_of
from tests.scripts import APPROVE, act, answer, generate, plan


def messages(client: httpx.Client, session_id: str) -> list[dict[str, Any]]:
    reply = client.get(f"/v1/sessions/{session_id}/messages")
    assert reply.status_code == 200, reply.text
    data = reply.json()["data"]
    assert isinstance(data, list)
    return data


def test_a_conversation_begins_by_itself_and_goes_on_by_its_id(serve: Serve) -> None:
    client = serve(
        {"stage": "chat", "reply": "4"},
        {"stage": "chat", "reply": "8", "when": r"(?s)two and two\?.*\b4\b.*twice that\?"},
    )
    first = chat(client, "two and two?", agent_type="chat").json()
    session_id = first["x_session_id"]
    second = chat(client, "twice that?", agent_type="chat", session_id=session_id)
    assert text_of(second) == "8"
    assert second.json()["x_session_id"] == session_id
    kept = messages(client, session_id)
    assert [(turn["role"], turn["content"]) for turn in kept] == [
        ("user", "two and two?"),
        ("assistant", "4"),
        ("user", "twice that?"),
        ("assistant", "8"),
    ]
    assert kept[1]["metadata"]["agent_selected"] == "chat"
    [listed] = client.get("/v1/sessions").json()["data"]
    assert (listed["id"], listed["title"], listed["message_count"]) == (
        session_id,
        "two and two?",
        4,
    )


@pytest.mark.parametrize("agent_type", ["react", "plan_execute"])
def test_both_agents_know_what_was_said_before(serve: Serve, agent_type: str) -> None:
    lines = {
        "react": [act("python_coder", "42 * 2", when=r"\b42\b")],
        "plan_execute": [plan(("python_coder", "42 * 2"), when=r"\b42\b")],
    }[agent_type]
    client = serve(
        {"stage": "chat", "reply": "It is 42."},
        *lines,
        generate("print(42 * 2)"),
        APPROVE,
        act("finish", "84", when="84"),
        answer("84", when="84"),
    )
    session_id = chat(client, "Hello, the answer?", agent_type="chat").json()["x_session_id"]
    reply = chat(
        client,
        "now multiply that by 2",
        agent_type=agent_type,
        metadata={"session_id": session_id},
    )
    assert text_of(reply) == "84"


@pytest.mark.parametrize("name", ["X-Session-Id", "X-OpenWebUI-Chat-Id", "X-Conversation-ID"])
def test_a_front_ends_header_opens_and_continues_one(serve: Serve, name: str) -> None:
    client = serve(
        {"stage": "chat", "reply": "first"},
        {"stage": "chat", "reply": "second", "when": "(?s)one.*first.*two"},
    )
    headers = {name: "chat-7"}
    assert chat(client, "one", headers, agent_type="chat").json()["x_session_id"] == "chat-7"
    assert text_of(chat(client, "two", headers, agent_type="chat")) == "second"
    assert len(messages(client, "chat-7")) == 4


def test_the_body_beats_the_headers_and_one_header_the_next(serve: Serve) -> None:
    client = serve({"stage": "chat", "reply": "ok", "repeat": True})
    chat(client, "hello", {"X-Session-Id": "a"})
    headers = {"X-Session-Id": "b", "X-OpenWebUI-Chat-Id": "c", "X-Conversation-ID": "d"}
    assert chat(client, "hello", headers, session_id="a").json()["x_session_id"] == "a"
    assert chat(client, "hello", headers).json()["x_session_id"] == "b"
    del headers["X-Session-Id"]
    assert chat(client, "hello", headers).json()["x_session_id"] == "c"


@pytest.mark.parametrize("session_id", ["*", "../x", "a/b", "x" * 200])
def test_a_header_that_is_no_id_is_refused(client: httpx.Client, session_id: str) -> None:
    reply = chat(client, "hello", {"X-Session-Id": session_id})
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "session_id"


def test_a_front_end_that_sends_its_turns_is_right_about_them(serve: Serve) -> None:
    client = serve(
        {"stage": "chat", "reply": "red"},
        {"stage": "chat", "reply": "ok", "when": "(?s)^(?!.*apple).*pear.*green.*sure"},
    )
    headers = {"X-OpenWebUI-Chat-Id": "chat-1"}
    chat(client, "an apple is", headers, agent_type="chat")
    edited = [
        {"role": "user", "content": "a pear is"},
        {"role": "assistant", "content": "green"},
        {"role": "user", "content": "sure?"},
    ]
    body = {"messages": edited, "agent_type": "chat"}
    assert text_of(client.post("/v1/chat/completions", json=body, headers=headers)) == "ok"


def test_turns_sent_with_the_first_request_are_kept(serve: Serve) -> None:
    client = serve(
        {"stage": "chat", "reply": "8"},
        {"stage": "chat", "reply": "16", "when": r"(?s)two\?.*\b4\b.*twice\?.*\b8\b.*again\?"},
    )
    sent = [
        {"role": "user", "content": "two and two?"},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": "twice?"},
    ]
    body = {"messages": sent, "agent_type": "chat"}
    first = client.post("/v1/chat/completions", json=body).json()
    reply = chat(client, "again?", agent_type="chat", session_id=first["x_session_id"])
    assert text_of(reply) == "16"


def test_a_file_stays_with_its_conversation(serve: Serve) -> None:
    read = "print('sum', sum(int(x) for x in open('data.csv').read().split()[1:]))"
    client = serve(
        act("python_coder", "sum of x"),
        generate(read),
        APPROVE,
        act("finish", "9", when="sum 9"),
        act("python_coder", "sum of x again", when="again"),
        generate(read),
        act("finish", "still 9", when="sum 9"),
    )
    file_id = client.post("/v1/files", files={"file": ("data.csv", b"x\n4\n5\n")}).json()["id"]
    first = chat(client, "Compute the sum of x", agent_type="react", file_ids=[file_id]).json()
    session_id = first["x_session_id"]
    second = chat(client, "Compute it again", agent_type="react", session_id=session_id)
    assert text_of(second) == "still 9"
    client.delete(f"/v1/files/{file_id}")
    assert messages(client, session_id)[0]["metadata"]["file_ids"] == [file_id]


def test_pictures_of_an_old_answer_have_links_that_work(serve: Serve) -> None:
    client = serve(
        act("python_coder", "write"),
        generate("open('a.txt', 'w').write('x')"),
        APPROVE,
        act("finish", "Done."),
    )
    session_id = chat(client, "Write a file", agent_type="react").json()["x_session_id"]
    turn = messages(client, session_id)[1]
    assert turn["content"] == "Done."
    [artifact] = turn["metadata"]["artifacts"]
    assert client.get(artifact["url"]).content == b"x"


def test_a_deleted_conversation_is_gone(client: httpx.Client) -> None:
    session_id = chat(client, "hello").json()["x_session_id"]
    assert client.delete(f"/v1/sessions/{session_id}").json()["deleted"] is True
    assert client.get(f"/v1/sessions/{session_id}/messages").status_code == 404
    assert chat(client, "hello", session_id=session_id).status_code == 404
    assert client.get("/v1/sessions").json()["data"] == []
