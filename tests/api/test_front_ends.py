"""Chat front ends as they are told to be set up: their requests, field by field, replayed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.api.conftest import Serve
from tests.api.test_streaming import chunks, deltas, stream
from tests.scripts import APPROVE, act, generate

DOCS = Path(__file__).parents[2] / "docs"
PLOT = (
    "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.savefig('plot.png')\n"
    "squares = [1, 4]\nprint('drawn')"
)
TITLE = """### Task:
Generate a concise, 3-5 word title with an emoji summarizing the chat history.
### Output:
JSON format: { "title": "your concise title here" }
### Chat History:
<chat_history>
USER: Plot the squares of 1 and 2, then compute their sum
</chat_history>"""
LINES: list[dict[str, Any]] = [
    {"stage": "chat", "when": "(?i)title", "reply": '{"title": "Squares"}', "repeat": True},
    act("finish", "There it is.", when="drawn(?s:.*)Observation: drawn|Observation: drawn"),
    act("python_coder", "plot the squares", when="Plot the squares"),
    generate(PLOT, when="plot the squares"),
    # What the front end sends back of the answer: no folded steps, no signature.
    act("python_coder", "sum them", when=r"(?s)^(?!.*(<details|signature=)).*There it is.*the sum"),
    generate("print('sum', sum(squares))", when="sum them"),
    act("finish", "The sum is 5.", when=r"Observation: sum 5"),
    APPROVE,
]


def titles_of_sessions(client: httpx.Client) -> list[tuple[str, int]]:
    listed = client.get("/v1/sessions").json()["data"]
    return [(each["id"], each["message_count"]) for each in listed]


def test_open_webui_as_its_page_says(serve: Serve) -> None:
    page = (DOCS / "open-webui.md").read_text(encoding="utf-8")
    told = json.loads(re.findall(r"`(\{\"X-OpenWebUI.*?\})`", page)[0])
    filled = {"{{CHAT_ID}}": "8f4e2c1a-chat", "{{TASK}}": ""}
    headers = {name: filled[value] for name, value in told.items()}
    headers |= {"Authorization": "Bearer none", "Content-Type": "application/json"}
    client = serve(*LINES, public_base_url="https://coder.example")

    listed = client.get("/v1/models", headers={"Authorization": "Bearer none"}).json()
    [task_model] = re.findall(r"Task Model \(External\)\*: `([^`]+)`", page)
    assert {"scripted@react", task_model} <= {model["id"] for model in listed["data"]}

    params = {"temperature": 0.7, "stream_options": {"include_usage": True}}
    system = {"role": "system", "content": "Be brief."}
    question = {"role": "user", "content": "Plot the squares of 1 and 2"}
    body = {"model": "scripted@react", "messages": [system, question], **params}
    parts = chunks(stream(client, "", headers, **body))
    assert all("choices" in part for part in parts)
    statuses = [part["event"]["data"] for part in parts if "event" in part]
    assert statuses[-1] == {"description": "Done", "done": True}
    assert "print('drawn')" in deltas(parts, "reasoning_content")
    said = deltas(parts, "content")
    assert re.search(r"!\[plot\.png\]\(https://coder\.example/v1/files/[^)]+signature=", said)
    assert parts[-1]["usage"]["total_tokens"] > 0

    folded = (
        '<details type="reasoning" done="true">\n<summary>Thought</summary>\n> steps\n</details>'
    )
    answer = {"role": "assistant", "content": f"{folded}\n{said}"}
    again = {"role": "user", "content": "Compute the sum of them"}
    body["messages"] = [system, question, answer, again]
    parts = chunks(stream(client, "", headers, **body))
    assert deltas(parts, "content") == "The sum is 5.", "variables of the chat are there"

    for task, more in (("title_generation", {}), ("emoji_generation", {"max_tokens": 4})):
        side = {
            "model": task_model,
            "messages": [{"role": "user", "content": TITLE}],
            "stream": False,
            **more,
        }
        for sent in (headers, headers | {"X-Task": task}):
            reply = client.post("/v1/chat/completions", json=side, headers=sent).json()
            content = reply["choices"][0]["message"]["content"]
            assert json.loads(content) == {"title": "Squares"}
    assert titles_of_sessions(client) == [("8f4e2c1a-chat", 4)]

    gone = client.post("/v1/chat/completions", json=body | {"model": "gpt-9"}, headers=headers)
    assert (gone.status_code, "gpt-9" in gone.json()["error"]["message"]) == (404, True)


def test_librechat_as_its_page_says(serve: Serve) -> None:
    page = (DOCS / "librechat.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    [endpoint] = yaml.safe_load(block)["endpoints"]["custom"]
    [(name, template)] = endpoint["headers"].items()
    assert template == "{{LIBRECHAT_BODY_CONVERSATIONID}}"
    client = serve(*LINES)
    ids = {model["id"] for model in client.get("/v1/models").json()["data"]}
    assert endpoint["titleModel"] in ids

    defaults = {
        "temperature": 1,
        "top_p": 1,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "user": "64f0c1e2d3",
        "stream_options": {"include_usage": True},
    }
    kept = {key: value for key, value in defaults.items() if key not in endpoint["dropParams"]}
    question = {"role": "user", "content": "Plot the squares of 1 and 2"}
    body = {"model": endpoint["models"]["default"][0], "messages": [question], **kept}
    body |= endpoint["addParams"]
    headers = {name: "c0ffee00-1111", "Authorization": "Bearer none"}
    parts = chunks(stream(client, "", headers, **body))
    assert deltas(parts, endpoint["customParams"]["reasoningKey"])
    said = deltas(parts, "content")
    assert "![plot.png](http" in said
    body["messages"] = [
        question,
        {"role": "assistant", "content": [{"type": "text", "text": said}]},
        {"role": "user", "content": [{"type": "text", "text": "Compute the sum of them"}]},
    ]
    parts = chunks(stream(client, "", headers, **body))
    assert deltas(parts, "content") == "The sum is 5."
    title = {
        "model": endpoint["titleModel"],
        "messages": [{"role": "user", "content": "Provide a concise title for it: squares"}],
        "stream": False,
        "user": "64f0c1e2d3",
        **endpoint["addParams"],
    }
    reply = client.post("/v1/chat/completions", json=title, headers=headers).json()
    assert "Squares" in reply["choices"][0]["message"]["content"]
    assert titles_of_sessions(client) == [("c0ffee00-1111", 4)]


@pytest.mark.parametrize(
    ("name", "value", "session"),
    [
        ("X-Conversation-ID", "new", None),
        ("X-Conversation-ID", "{{LIBRECHAT_BODY_CONVERSATIONID}}", None),
        ("X-OpenWebUI-Chat-Id", "local:k3Jd_-", "local:k3Jd"),
    ],
    ids=["no name yet", "not filled in", "not kept there"],
)
def test_names_of_conversations_that_front_ends_send(
    steady: httpx.Client, name: str, value: str, session: str | None
) -> None:
    body = {"messages": [{"role": "user", "content": "hello"}], "agent_type": "chat"}
    reply = steady.post("/v1/chat/completions", json=body, headers={name: value})
    found = reply.json()["x_session_id"]
    assert found == session if session else found.startswith("session-")
