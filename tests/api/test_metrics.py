"""``/metrics``: what is counted while real requests are served."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from backend.config.settings import load_settings
from tests.api.conftest import running
from tests.commands import needs_sandbox
from tests.scripts import APPROVE, act, generate, write_script

pytestmark = [pytest.mark.sandbox, needs_sandbox]

ROOT = Path(__file__).parents[2]
Samples = dict[str, float]
"""``name{label=value,...}``, the labels in the order of their names."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("metrics")
    lines = [
        act("python_coder", "Print six times seven"),
        generate("print(6 * 7)"),
        APPROVE,
        act("finish", "It is 42."),
        {"stage": "chat", "reply": "ok", "tokens": [3, 1], "repeat": True},
    ]
    settings = load_settings(
        model=f"scripted:{write_script(folder / 'script.jsonl', *lines)}",
        data_dir=folder / "data",
        execution_dir=folder / "data" / "code_execution",
        preimport="none",
    )
    with running(settings) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def named(name: str, **labels: str) -> str:
    inside = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return f"python_coder_{name.removeprefix('python_coder_')}{{{inside}}}"


def samples(client: httpx.Client) -> Samples:
    reply = client.get("/metrics")
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"].startswith("text/plain; version=")
    return {
        named(sample.name, **sample.labels): sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
    }


def names(client: httpx.Client) -> set[str]:
    """Of families that are ours, as they stand behind ``# TYPE``."""
    return set(re.findall(r"^# TYPE (\S+)", client.get("/metrics").text, re.MULTILINE))


def ask(client: httpx.Client, question: str, **more: object) -> httpx.Response:
    messages = [{"role": "user", "content": question}]
    return client.post("/v1/chat/completions", json={"messages": messages, **more})


def test_a_question_is_counted_from_the_request_to_the_program(client: httpx.Client) -> None:
    before = samples(client)
    reply = ask(client, "What is six times seven?", agent_type="react")
    assert reply.status_code == 200, reply.text
    after = samples(client)

    def more(name: str, **labels: str) -> float:
        key = named(name, **labels)
        return after.get(key, 0) - before.get(key, 0)

    chat = {"route": "/v1/chat/completions", "method": "POST"}
    act_stage = {"stage": "act", "model": "scripted"}
    assert more("http_requests_total", **chat, status="200") == 1
    assert more("http_request_seconds_count", **chat) == 1
    assert more("agent_runs_total", agent="react", outcome="success") == 1
    assert more("agent_run_seconds_count", agent="react") == 1
    assert more("tool_uses_total", tool="python_coder", outcome="success") == 1
    assert more("model_calls_total", stage="generate", model="scripted", outcome="success") == 1
    assert more("model_calls_total", **act_stage, outcome="success") == 2
    assert more("model_call_seconds_count", **act_stage) == 2
    assert more("model_tokens_total", **act_stage, kind="input") > 0
    assert more("programs_total", language="python", outcome="success") == 1
    assert more("program_seconds_count", language="python") == 1
    assert more("queue_waiting_seconds_count", lane="work") == 1
    assert any(samples(client).get(named("runs", status="completed")) == 1 for _ in range(1000))


@pytest.mark.parametrize(
    ("code", "outcome"),
    [("1/0", "failed"), ("while True: pass", "timeout"), ("import ctypes", "refused")],
)
def test_a_program_counts_by_how_it_ended(client: httpx.Client, code: str, outcome: str) -> None:
    key = named("programs_total", language="python", outcome=outcome)
    before = samples(client).get(key, 0)
    reply = client.post("/v1/execute", json={"code": code, "timeout_s": 0.3})
    assert reply.status_code == 200, reply.text
    assert samples(client)[key] == before + 1


def test_no_label_is_what_a_user_wrote(client: httpx.Client) -> None:
    marker = "xyzzy"
    client.get(f"/v1/{marker}")
    client.get(f"/v1/files/{marker}")
    client.request(marker.upper(), "/health")
    ask(client, "Hello", model=marker)
    ask(client, "Hello", agent_type=marker)
    client.post("/v1/execute", json={"code": "print()", "language": marker})
    text = client.get("/metrics").text
    assert marker not in text.lower()
    found = samples(client)
    refused = {"method": "GET", "status": "404"}
    assert found[named("http_requests_total", route="other", **refused)] == 1
    assert found[named("http_requests_total", route="/v1/files/{file_id}", **refused)] == 1


def test_how_things_stand_is_told(client: httpx.Client) -> None:
    text, found = client.get("/metrics").text, samples(client)
    assert re.search(
        r'^python_coder_build_info\{executor="local",tier="[ABC]",version=".+"\} 1', text, re.M
    )
    assert found[named("store_up")] == 1
    assert found[named("sandboxes", state="ready")] >= 0
    assert found[named("queue_length", lane="work")] == 0
    assert found[named("http_requests_in_flight")] == 1, "this one"
    process = dict(re.findall(r"^(process_\w+) (\S+)$", text, re.M))
    assert float(process["process_resident_memory_bytes"]) > 1e6
    assert float(process["process_open_fds"]) > 0


def test_the_page_names_every_figure_and_no_other(client: httpx.Client) -> None:
    page = (ROOT / "docs" / "operation.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `((?:python_coder|process)_\w+)[`{]", page, re.MULTILINE))
    assert told == names(client)
