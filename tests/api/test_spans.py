"""Spans: sent by OTLP to a real receiver, named by the conventions, empty of what users wrote."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from backend.api.spans import NoSpans, are_wanted, open_spans
from backend.config.settings import load_settings
from backend.core.assistant import open_assistant
from backend.core.requests import Ask
from backend.errors import ModelUnavailable, SettingsError
from tests.api.conftest import running
from tests.commands import needs_sandbox
from tests.scripts import APPROVE, act, generate, write_script

SECRET = "xyzzy"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.fixture
def script(tmp_path: Path) -> str:
    lines = [
        act("python_coder", f"Print {SECRET}"),
        generate(f"print('{SECRET}')"),
        APPROVE,
        act("finish", f"It is {SECRET}."),
    ]
    return f"scripted:{write_script(tmp_path / 'script.jsonl', *lines)}"


@contextmanager
def receiver() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """A collector on a socket: where it is, and what it was sent."""
    sent: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                sent.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", sent
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.sandbox
@needs_sandbox
def test_a_request_is_one_trace_below_that_of_its_caller(
    script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver() as (url, sent):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        with running(load_settings(model=script)) as address:
            reply = httpx.post(
                f"{address}/v1/chat/completions",
                json={
                    "messages": [{"role": "user", "content": f"Print {SECRET}"}],
                    "agent_type": "react",
                },
                headers={"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "mine-1"},
                timeout=60,
            )
            assert reply.status_code == 200, reply.text
            assert httpx.get(f"{address}/health").status_code == 200
    resources = [each for request in sent for each in request.resource_spans]
    about = {each.key: each.value.string_value for each in resources[0].resource.attributes}
    assert about["service.name"] == "python-coder"
    spans = [span for each in resources for scope in each.scope_spans for span in scope.spans]
    by_id = {span.span_id: span for span in spans}
    named = {span.name: span for span in spans}

    def path(name: str) -> list[str]:
        found, span = [], named[name]
        while span is not None:
            found.append(span.name)
            span = by_id.get(span.parent_span_id)
        return found[::-1]

    request = "POST /v1/chat/completions"
    assert path("run_program python") == [
        request,
        "invoke_agent react",
        "execute_tool python_coder",
        "run_program python",
    ]
    assert path("chat scripted")[:2] == [request, "invoke_agent react"]
    assert {span.trace_id.hex() for span in spans} == {TRACE}, "/health is left out"
    assert named[request].parent_span_id.hex() == PARENT
    attributes = {each.key: each.value for each in named[request].attributes}
    assert attributes["http.response.status_code"].int_value == 200
    assert attributes["python_coder.request_id"].string_value == "mine-1"
    assert SECRET not in str(sent)


@pytest.mark.sandbox
@needs_sandbox
async def test_spans_have_the_attributes_of_the_conventions(script: str) -> None:
    exporter = InMemorySpanExporter()
    async with (
        open_spans(exporter) as spans,
        open_assistant(load_settings(model=script), observe=spans.observe) as assistant,
    ):
        await assistant.run(Ask(question=f"Print {SECRET}", agent_type="react"))
    found = {span.name: span for span in exporter.get_finished_spans()}
    calls = [each for each in exporter.get_finished_spans() if each.name == "chat scripted"]
    attributes = dict(calls[0].attributes or {})
    tokens = (
        attributes.pop("gen_ai.usage.input_tokens"),
        attributes.pop("gen_ai.usage.output_tokens"),
    )
    assert all(isinstance(count, int) and count > 0 for count in tokens)
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": "scripted",
        "gen_ai.response.finish_reasons": ("stop",),
        "python_coder.stage": "act",
    }
    assert calls[0].kind is SpanKind.CLIENT
    agent = found["invoke_agent react"]
    assert (agent.attributes or {})["gen_ai.agent.name"] == "react"
    tool = dict(found["execute_tool python_coder"].attributes or {})
    assert tool == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "python_coder",
        "gen_ai.tool.type": "function",
    }
    program = found["run_program python"].attributes or {}
    assert (program["python_coder.outcome"], program["python_coder.returncode"]) == ("success", 0)
    assert all(span.status.status_code is StatusCode.UNSET for span in found.values())


@pytest.mark.sandbox
@needs_sandbox
async def test_a_failure_is_told_by_its_kind_alone() -> None:
    exporter = InMemorySpanExporter()
    settings = load_settings(model=f"ollama:{SECRET}", ollama_host="127.0.0.1:9")
    async with (
        open_spans(exporter) as spans,
        open_assistant(settings, observe=spans.observe) as assistant,
    ):
        with pytest.raises(ModelUnavailable):
            await assistant.run(Ask(question="Hello", agent_type="chat"))
    for span in exporter.get_finished_spans():
        assert span.status.status_code is StatusCode.ERROR
        assert (span.attributes or {})["error.type"] == "model_unavailable"
        assert span.events == ()
    assert {span.name for span in exporter.get_finished_spans()} == {
        f"chat {SECRET}",
        "invoke_agent chat",
    }


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
    ids=["nothing", "endpoint", "traces", "disabled", "none"],
)
def test_the_standard_variables_say_whether(environment: dict[str, str], wanted: bool) -> None:
    assert are_wanted(environment) is wanted


async def test_without_them_nothing_is_loaded() -> None:
    async with open_spans(environment={}) as spans:
        assert isinstance(spans, NoSpans)


async def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    with pytest.raises(SettingsError, match=r"Install python-coder\[otel\]"):
        async with open_spans(environment=environment):
            pass


async def test_another_protocol_is_refused() -> None:
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }
    with pytest.raises(SettingsError, match="http/protobuf only"):
        async with open_spans(environment=environment):
            pass
