"""One server for all tests of responses; each test has words of its own that the script answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types import responses as sdk_types

from backend.config.settings import Settings, load_settings
from tests.api.conftest import connect, running
from tests.scripts import APPROVE, act, answer, generate, plan, repair, write_script

AUTO: Any = {"type": "code_interpreter", "container": {"type": "auto"}}
OUTPUTS: Any = ["code_interpreter_call.outputs"]

PLOT = (
    "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.savefig('kappa.png')\n"
    "kappa = 21\nprint('saved', 'kappa')"
)
LINES = [
    # What was printed is looked for first: a prompt has the question in it at every step. What
    # follows in a chain is looked for before what it follows.
    act("finish", "It goes on.", when=r"sigma 42", repeat=True),
    act("python_coder", "use sigma", when="sigma", repeat=True),
    generate("print('sigma', kappa * 2)", when="sigma", repeat=True),
    act("finish", "Here is kappa.", when=r"saved kappa", repeat=True, tokens=[7, 3]),
    act("python_coder", "plot kappa", when="kappa", repeat=True, tokens=[5, 2]),
    generate(PLOT, when="kappa", repeat=True, tokens=[5, 2]),
    act("finish", "It is 42.", when=r"is 42\.0", repeat=True),
    act("python_coder", "divide mu", when="mu", repeat=True),
    generate("print(1 / 0)", when="mu", repeat=True),
    repair("print('mu is', 84 / 2)", when="mu", repeat=True),
    act("finish", "The sum is 6.", when=r"total 6", repeat=True),
    act("python_coder", "sum tau", when="tau", repeat=True),
    generate(
        "import pandas as pd\nprint('total', pd.read_csv('tau.csv')['n'].sum())",
        when="tau",
        repeat=True,
    ),
    plan(("python_coder", "find castor"), ("python_coder", "find pollux"), repeat=True),
    generate("print('twin', 'castor')", when="find castor", repeat=True),
    generate("print('twin', 'pollux')", when="find pollux", repeat=True),
    answer("Both.", when="twin castor", repeat=True),
    act("python_coder", "wait for omega", when="omega", repeat=True),
    generate("while True:\n    pass", when="omega", repeat=True),
    APPROVE,
    {"stage": "act", "error": "500 boom", "when": "broken", "repeat": True},
    {"stage": "chat", "error": "500 boom", "when": "broken", "delay_s": 0.3, "repeat": True},
    {
        "stage": "chat",
        "reply": "half of",
        "when": "cut off",
        "done_reason": "length",
        "repeat": True,
    },
    {
        "stage": "chat",
        "reply": "You said blue.",
        "when": r"I like blue[\s\S]*which colour",
        "repeat": True,
    },
    {"stage": "chat", "reply": "I do not know.", "when": "which colour", "repeat": True},
    {"stage": "chat", "reply": "one two", "tokens": [3, 2], "repeat": True},
]


@pytest.fixture(scope="package")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("responses")
    return load_settings(
        model=f"scripted:{write_script(folder / 'script.jsonl', *LINES)}",
        data_dir=folder / "data",
        execution_dir=folder / "data" / "code_execution",
        stream_keep_alive_s=0.1,
        max_memory_mb=1024,
    )


@pytest.fixture(scope="package")
def url(settings: Settings) -> Iterator[str]:
    with running(settings) as address:
        yield address


@pytest.fixture(scope="package")
def http(url: str) -> Iterator[httpx.Client]:
    with connect(url) as client:
        yield client


@pytest.fixture(scope="package")
def api(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


def ask(http: httpx.Client, input: Any, **more: Any) -> dict[str, Any]:
    """A response as it goes over the wire, which the SDK's own types hold to be right."""
    reply = http.post("/v1/responses", json={"input": input} | more)
    assert reply.status_code == 200, reply.text
    sdk_types.Response.model_validate_json(reply.text, strict=True)
    body: dict[str, Any] = reply.json()
    return body


def events_of(http: httpx.Client, input: Any, **more: Any) -> list[dict[str, Any]]:
    """The events of a stream, each of which the SDK's own types hold to be right."""
    body = {"input": input, "stream": True} | more
    with http.stream("POST", "/v1/responses", json=body) as reply:
        assert reply.status_code == 200, reply.read()
        return read_events(reply)


def read_events(reply: httpx.Response) -> list[dict[str, Any]]:
    assert reply.headers["content-type"].startswith("text/event-stream")
    events: list[dict[str, Any]] = []
    name = ""
    for line in reply.iter_lines():
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            event = json.loads(line[6:])
            assert event["type"] == name
            event_type(name).model_validate_json(line[6:], strict=True)
            events.append(event)
        else:
            assert line in {"", ": keep-alive"}
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def event_type(name: str) -> Any:
    """The SDK's class for an event."""
    for each in vars(sdk_types).values():
        fields = getattr(each, "model_fields", {})
        if "sequence_number" in fields and f"'{name}'" in str(fields["type"].annotation):
            return each
    raise AssertionError(f"the SDK knows no event {name!r}")


def items(body: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [item for item in body["output"] if item["type"] == kind]


def text_of(body: dict[str, Any]) -> str:
    [message] = items(body, "message")
    text: str = message["content"][0]["text"]
    return text
