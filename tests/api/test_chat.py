from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.api.conftest import Serve
from tests.scripts import APPROVE, act, answer, generate, plan

MEAN = "import pandas as pd\nprint('mean', pd.read_csv('data.csv')['x'].mean())"
CSV = b"x\n1\n2\n6\n"


def chat(client: httpx.Client, text: str, headers: Any = None, **more: Any) -> httpx.Response:
    body = {"messages": [{"role": "user", "content": text}]} | more
    return client.post("/v1/chat/completions", json=body, headers=headers)


def text_of(reply: httpx.Response) -> str:
    assert reply.status_code == 200, reply.text
    content = reply.json()["choices"][0]["message"]["content"]
    assert isinstance(content, str)
    return content


def test_a_completion_has_every_field_that_clients_read(client: httpx.Client) -> None:
    body = chat(client, "hello there").json()
    assert body["object"] == "chat.completion"
    assert body["id"].startswith("chatcmpl-")
    assert body["created"] > 0
    assert body["model"] == "scripted"
    assert body["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "ok", "refusal": None},
            "finish_reason": "stop",
            "logprobs": None,
        }
    ]
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    assert body["x_agent_metadata"]["agent_selected"] == "chat"
    assert body["x_agent_metadata"]["agent_selection_mode"] == "auto"


def test_usage_is_the_sum_of_all_calls_and_the_metadata_tells_of_the_run(serve: Serve) -> None:
    client = serve(
        act("python_coder", "multiply", tokens=[10, 1]),
        generate("print(6 * 7)", tokens=[20, 2]),
        {**APPROVE, "tokens": [30, 3]},
        act("finish", "It is 42.", when=r"\b42\b", tokens=[40, 4]),
    )
    body = chat(client, "Compute 6 * 7", agent_type="react").json()
    assert body["choices"][0]["message"]["content"] == "It is 42."
    assert body["usage"] == {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    metadata = body["x_agent_metadata"]
    assert (metadata["agent_selected"], metadata["agent_selection_mode"]) == ("react", "explicit")
    assert metadata["model_calls"] == 4
    assert metadata["isolation"]["executor"] == "local"
    assert metadata["timings"]["total_s"] > 0
    [result] = metadata["python_coder_results"]
    assert (result["output"], result["iterations"]) == ("42\n", 1)
    assert result["code"].strip() == "print(6 * 7)"
    assert result["verification_history"]


@pytest.mark.parametrize("agent_type", ["react", "plan_execute"])
def test_what_other_tools_came_to_is_told_with_links_to_their_files(
    serve: Serve, agent_type: str
) -> None:
    code = "open('note.txt', 'w').write('x')\nprint(6 * 7)"
    client = serve(
        act("run_python", code),
        act("finish", "It is 42.", when="Observation: 42"),
        plan(("run_python", code)),
        answer("It is 42.", when="42"),
    )
    metadata = chat(client, "Compute 6 * 7", agent_type=agent_type).json()["x_agent_metadata"]
    [result] = metadata["tool_results"]
    assert (result["tool"], result["success"]) == ("run_python", True)
    assert result["text"].startswith("42")
    [made], [listed] = result["artifacts"], metadata["artifacts"]
    assert (made["name"], made["id"]) == ("note.txt", listed["id"])
    assert client.get(listed["url"]).text == "x"
    assert metadata["python_coder_results"] == []


def test_what_has_to_be_known_first_is_told_apart_from_an_answer(serve: Serve) -> None:
    client = serve({"stage": "plan", "reply": '{"steps": [], "questions": ["Which file?"]}'})
    body = chat(client, "Do it", agent_type="plan_execute").json()
    assert body["choices"][0]["message"]["content"] == "Which file?"
    assert body["x_agent_metadata"]["questions"] == ["Which file?"]
    assert not body["x_agent_metadata"]["success"]


def test_a_plan_is_carried_out(serve: Serve) -> None:
    client = serve(
        plan(("python_coder", "multiply")),
        generate("print(6 * 7)"),
        APPROVE,
        answer("42", when="42"),
    )
    body = chat(client, "Compute 6 * 7", agent_type="plan_execute").json()
    assert body["choices"][0]["message"]["content"] == "42"
    assert body["x_agent_metadata"]["agent_selected"] == "plan_execute"
    metadata = body["x_agent_metadata"]
    assert metadata["python_coder_results"][0]["output"] == metadata["output"] == "42\n"
    assert (metadata["code"], metadata["iterations"]) == ("print(6 * 7)", 1)
    assert metadata["history"][0]["action"] == "approved"


@pytest.mark.parametrize(
    ("body", "headers", "agent"),
    [
        ({"agent_type": "chat"}, {}, "chat"),
        ({"metadata": {"agent_type": "chat"}}, {}, "chat"),
        ({}, {"X-Agent-Type": "chat"}, "chat"),
        ({"model": "scripted@chat"}, {}, "chat"),
        ({"model": "default@chat"}, {}, "chat"),
        ({"model": "@chat"}, {}, "chat"),
        ({"agent_type": "chat", "model": "scripted@react"}, {"X-Agent-Type": "react"}, "chat"),
        (
            {"metadata": {"agent_type": "chat"}, "model": "scripted@react"},
            {"X-Agent-Type": "react"},
            "chat",
        ),
        ({"model": "python-coder@react"}, {"X-Agent-Type": "chat"}, "chat"),
        ({"agent_type": "react", "model": "scripted@chat"}, {}, "react"),
    ],
    ids=str,
)
def test_the_agent_asked_for_answers(
    serve: Serve, body: dict[str, Any], headers: dict[str, str], agent: str
) -> None:
    client = serve({"stage": "chat", "reply": "chat"}, act("finish", "react"))
    reply = chat(client, "hello there", headers, **body)
    assert text_of(reply) == agent
    metadata = reply.json()["x_agent_metadata"]
    assert metadata["agent_selected"] == agent
    assert metadata["agent_selection_mode"] == "explicit"


def test_an_uploaded_file_is_read_by_the_program(serve: Serve) -> None:
    client = serve(
        act("python_coder", "mean of x in data.csv"),
        generate(MEAN, when=r"data\.csv"),
        APPROVE,
        act("finish", "The mean is 3.", when=r"mean 3\.0"),
    )
    file_id = client.post("/v1/files", files={"file": ("data.csv", CSV)}).json()["id"]
    reply = chat(client, "What is the mean of column x?", file_ids=[file_id])
    assert text_of(reply) == "The mean is 3."


@pytest.mark.parametrize("by_id", [True, False], ids=["file_id", "file_data"])
def test_a_file_part_is_read_by_the_program(serve: Serve, by_id: bool) -> None:
    client = serve(
        act("python_coder", "mean of x in data.csv"),
        generate(MEAN),
        APPROVE,
        act("finish", "3", when=r"mean 3\.0"),
    )
    if by_id:
        file_id = client.post("/v1/files", files={"file": ("data.csv", CSV)}).json()["id"]
        file = {"file_id": file_id}
    else:
        file = {"file_data": base64.b64encode(CSV).decode(), "filename": "data.csv"}
    content = [{"type": "text", "text": "Mean of x?"}, {"type": "file", "file": file}]
    body = {"messages": [{"role": "user", "content": content}]}
    assert text_of(client.post("/v1/chat/completions", json=body)) == "3"


def test_binary_garbage_named_csv_is_the_callers_mistake(serve: Serve) -> None:
    client = serve(act("python_coder", "mean"), generate(MEAN), APPROVE, act("finish", "?"))
    junk = bytes(range(256)) * 50
    file_id = client.post("/v1/files", files={"file": ("data.csv", junk)}).json()["id"]
    reply = chat(client, "What is the mean of column x?", file_ids=[file_id])
    assert reply.status_code == 400
    assert "data.csv" in reply.json()["error"]["message"]


def test_a_plot_comes_back_as_a_picture_and_a_file(serve: Serve) -> None:
    code = (
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.savefig('plot.png')\n"
        "open('table.csv', 'w').write('a')"
    )
    client = serve(
        act("python_coder", "plot"), generate(code), APPROVE, act("finish", "There it is.")
    )
    reply = chat(client, "Plot 1, 2 as a line", agent_type="react")
    artifacts = {each["name"]: each for each in reply.json()["x_agent_metadata"]["artifacts"]}
    assert text_of(reply).startswith("There it is.\n\n")
    assert f"![plot.png]({artifacts['plot.png']['url']})" in text_of(reply)
    assert f"\n[table.csv]({artifacts['table.csv']['url']})" in text_of(reply)
    [result] = reply.json()["x_agent_metadata"]["python_coder_results"]
    assert {each["id"] for each in result["artifacts"]} == {
        each["id"] for each in artifacts.values()
    }
    assert "/blobs/" not in reply.text
    picture = client.get(artifacts["plot.png"]["url"])
    assert picture.content.startswith(b"\x89PNG")
    assert picture.headers["content-type"] == "image/png"
    assert client.get(f"/v1/files/{artifacts['plot.png']['id']}/content").content == picture.content


def test_links_begin_with_the_public_address(serve: Serve) -> None:
    client = serve(
        act("python_coder", "write"),
        generate("open('a.txt', 'w').write('x')"),
        APPROVE,
        act("finish", "Done."),
        public_base_url="https://coder.example/",
    )
    reply = chat(client, "Write a file", agent_type="react")
    assert "](https://coder.example/v1/files/file-" in text_of(reply)


def test_the_conversation_that_is_sent_is_the_history(serve: Serve) -> None:
    client = serve({"stage": "chat", "reply": "8", "when": r"(?s)Be brief.*four\?.*\b4\b.*twice\?"})
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "two and two make four?"},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": "twice?"},
    ]
    body = {"messages": messages, "agent_type": "chat"}
    assert text_of(client.post("/v1/chat/completions", json=body)) == "8"


def test_side_requests_get_plain_words_and_leave_no_trace(serve: Serve) -> None:
    client = serve({"stage": "chat", "reply": "A title", "repeat": True})
    task = "### Task:\nCompute a title for this chat about primes in Python"
    assert text_of(chat(client, task)) == "A title"
    assert text_of(chat(client, "Compute a title", {"X-Task": "title_generation"})) == "A title"
    headers = {"X-Task": "tags", "X-OpenWebUI-Chat-Id": "chat-1"}
    reply = chat(client, "Compute tags", headers, model="scripted@react")
    assert text_of(reply) == "A title"
    assert reply.json()["x_session_id"] is None
    assert client.get("/v1/sessions").json()["data"] == []


def test_words_end_where_the_client_says(serve: Serve) -> None:
    client = serve({"stage": "chat", "reply": "one two END three", "repeat": True})
    assert text_of(chat(client, "hello", stop=["END"], agent_type="chat")) == "one two "
    assert text_of(chat(client, "hello", stop="two", agent_type="chat")) == "one "


@pytest.mark.parametrize("agent_type", ["chat", "auto"])
def test_a_chat_that_was_cut_at_its_limit_has_what_there_was(serve: Serve, agent_type: str) -> None:
    line = {"stage": "chat", "reply": "half of", "done_reason": "length", "tokens": [5, 4]}
    client = serve(line | {"repeat": True})
    reply = chat(client, "hello there", agent_type=agent_type, max_tokens=4)
    assert text_of(reply) == "half of"
    assert reply.json()["choices"][0]["finish_reason"] == "length"
    assert reply.json()["usage"]["completion_tokens"] > 0


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ({"stage": "chat", "error": "500 boom", "repeat": True}, 502),
        ({"stage": "chat", "reply": "", "repeat": True}, 502),
    ],
    ids=["error", "nothing"],
)
def test_a_model_that_fails_is_told_as_an_error(
    serve: Serve, line: dict[str, Any], status: int
) -> None:
    client = serve(line)
    for stream in (False, True):
        reply = chat(client, "hello there", agent_type="chat", stream=stream)
        assert reply.status_code == status, reply.text
        assert reply.json()["error"]["type"] == "server_error"
    assert client.get("/v1/sessions").json()["data"] == []


@pytest.mark.parametrize(("agent_type", "stage"), [("chat", "chat"), ("react", "act")])
def test_what_does_not_fit_into_the_context_is_the_callers_mistake(
    serve: Serve, agent_type: str, stage: str
) -> None:
    client = serve({"stage": stage, "reply": "never", "repeat": True})
    for stream in (False, True):
        reply = client.post(
            "/v1/chat/completions",
            json={
                "messages": [{"role": "user", "content": "word " * 19_000}],
                "agent_type": agent_type,
                "stream": stream,
            },
        )
        assert reply.status_code == 400, reply.text  # with a 5xx clients would send it again
        error = reply.json()["error"]
        assert error["type"] == "invalid_request_error"
        assert error["code"] == "context_length_exceeded"
        assert "context of" in error["message"]


def test_what_clients_send_beside_is_accepted(client: httpx.Client) -> None:
    reply = chat(
        client,
        "hello",
        n=1,
        tools=[],
        tool_choice="none",
        functions=None,
        response_format={"type": "text"},
        presence_penalty=1,
        frequency_penalty=0,
        logit_bias={"1": 2},
        logprobs=False,
        parallel_tool_calls=True,
        service_tier="auto",
        store=True,
        reasoning_effort="low",
        top_p=0.9,
        seed=7,
        user="me",
        temperature=0,
        max_completion_tokens=100,
        metadata={"a": "b"},
        chat_id="x",
        something_new={"x": [1]},
        agent_type="chat",
    )
    assert text_of(reply) == "ok"


def test_twenty_requests_at_a_time_do_not_mix(serve: Serve) -> None:
    lines: list[dict[str, Any]] = [APPROVE]
    for n in range(20):
        mine = f"case-{n:02}x"
        lines += [
            act("python_coder", f"square of {mine}", when=f"Compute {mine}(?!.*result-)(?s:.*)"),
            generate(f"print('result-{n:02}', {n} * {n})", when=mine),
            act("finish", f"{mine} gives {n * n}", when=f"result-{n:02} {n * n}"),
        ]
    lines = [lines[0], *sorted(lines[1:], key=lambda line: "finish" not in line["reply"])]
    client = serve(*lines)

    def ask(n: int) -> tuple[str, Any]:
        reply = chat(
            client,
            f"Compute case-{n:02}x",
            {"X-Session-Id": f"s{n}"},
            agent_type="react",
        )
        return text_of(reply), reply.json()

    with ThreadPoolExecutor(20) as pool:
        given = list(pool.map(ask, range(20)))
    for n, (text, body) in enumerate(given):
        assert text == f"case-{n:02}x gives {n * n}"
        assert body["x_session_id"] == f"s{n}"
        assert body["x_agent_metadata"]["python_coder_results"][0]["output"] == (
            f"result-{n:02} {n * n}\n"
        )
        kept = client.get(f"/v1/sessions/s{n}/messages").json()["data"]
        assert [turn["content"] for turn in kept] == [f"Compute case-{n:02}x", text]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_switched_off_it_talks_and_runs_nothing(serve: Serve, stream: bool) -> None:
    client = serve({"stage": "chat", "reply": "ok", "repeat": True}, enabled=False)
    reply = chat(client, "Compute 6 * 7", agent_type="react", stream=stream)
    assert reply.status_code == 403
    assert "PYTHON_CODE_ENABLED" in reply.json()["error"]["message"]
    assert text_of(chat(client, "Compute 6 * 7")) == "ok"
