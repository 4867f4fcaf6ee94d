"""Spans by OpenTelemetry, sent by OTLP where the standard variables say to; else nothing at all.

One for each request over HTTP (``traceparent`` is honoured) and below it agents, model calls, tools
and programs, named as the semantic conventions for generative AI want it. They hold names and
numbers, never what users or models wrote.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from starlette.types import Scope

from backend.config.version import product_version
from backend.errors import SettingsError
from backend.observing import Deed, outcome_of
from backend.request_context import current_request
from backend.sandbox.endings import see_through

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_LAST_WORDS_S: Final = 2.0
"""For what is left to be sent when the server stops; a collector that is gone is not waited for."""
_UNWATCHED: Final = frozenset({"/health", "/ready", "/metrics"})
"""Asked every few seconds, by machines."""
_OPERATIONS: Final = {"agent": "invoke_agent", "model": "chat", "tool": "execute_tool"}


class NoSpans:
    """Where nobody wants any."""

    def request(self, scope: Scope) -> AbstractContextManager[RequestSpan]:
        """Nothing."""
        return nullcontext(_NO_SPAN)

    def observe(self, deed: Deed) -> AbstractContextManager[None]:
        """Nothing (an ``Observe``)."""
        return nullcontext()


class RequestSpan:
    """The span of a request over HTTP, or none."""

    def __init__(self, span: Span | None, method: str) -> None:
        self._span = span
        self._method = method

    def end(self, route: str, status: int) -> None:
        """Say what became of it."""
        if self._span is None:
            return
        from opentelemetry.trace import StatusCode

        self._span.update_name(f"{self._method} {route}")
        self._span.set_attributes({"http.route": route, "http.response.status_code": status})
        if status >= 500:
            self._span.set_attribute("error.type", str(status))
            self._span.set_status(StatusCode.ERROR)


_NO_SPAN: Final = RequestSpan(None, "")


class Spans:
    """Begins and ends spans. Get it from ``open_spans``."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = provider.get_tracer("python-coder", product_version())
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def request(self, scope: Scope) -> Iterator[RequestSpan]:
        """Around a request; its parent is what the caller's ``traceparent`` names."""
        if scope["path"] in _UNWATCHED:
            yield _NO_SPAN
            return
        from opentelemetry.trace import SpanKind

        sent = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in (b"traceparent", b"tracestate")
        }
        method: str = scope["method"]
        attributes = {
            "http.request.method": method,
            "url.scheme": scope["scheme"],
            "python_coder.request_id": current_request().request_id,
        }
        with self._tracer.start_as_current_span(
            method,
            context=self._propagator.extract(sent) if sent else None,
            kind=SpanKind.SERVER,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            yield RequestSpan(span, method)

    @contextmanager
    def observe(self, deed: Deed) -> Iterator[None]:
        """Around a deed (an ``Observe``)."""
        from opentelemetry.trace import SpanKind, StatusCode

        with self._tracer.start_as_current_span(
            _name(deed),
            kind=SpanKind.CLIENT if deed.kind == "model" else SpanKind.INTERNAL,
            record_exception=False,  # its message may hold what users wrote
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except BaseException as error:
                deed.outcome = outcome_of(error)
                raise
            finally:
                span.update_name(_name(deed))
                span.set_attributes(_attributes(deed))
                if deed.outcome not in ("success", "waiting"):
                    span.set_attribute("error.type", deed.outcome)
                    span.set_status(StatusCode.ERROR)


def _name(deed: Deed) -> str:
    return f"{_OPERATIONS.get(deed.kind, 'run_program')} {deed.name}"


def _attributes(deed: Deed) -> dict[str, Any]:
    facts = deed.facts
    if deed.kind == "program":
        return {"python_coder.language": deed.name, "python_coder.outcome": deed.outcome} | {
            f"python_coder.{name}": value for name, value in facts.items()
        }
    found: dict[str, Any] = {"gen_ai.operation.name": _OPERATIONS[deed.kind]}
    who = current_request()
    if who.session_id:
        found["gen_ai.conversation.id"] = who.session_id
    for kind in ("input", "output"):
        if f"{kind}_tokens" in facts:
            found[f"gen_ai.usage.{kind}_tokens"] = facts[f"{kind}_tokens"]
    if deed.kind == "model":
        found |= {
            "gen_ai.provider.name": facts["provider"],
            "gen_ai.request.model": deed.name,
            "python_coder.stage": facts["stage"],
        }
        if "finish_reason" in facts:
            found["gen_ai.response.finish_reasons"] = [facts["finish_reason"]]
    elif deed.kind == "tool":
        found |= {"gen_ai.tool.name": deed.name, "gen_ai.tool.type": "function"}
    else:
        found["gen_ai.agent.name"] = deed.name
        if "model" in facts:
            found["gen_ai.request.model"] = facts["model"]
        if "run_id" in facts:
            found["python_coder.run_id"] = facts["run_id"]
    return found


def are_wanted(environment: Mapping[str, str]) -> bool:
    """Whether the standard variables ask for spans."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environment.get("OTEL_TRACES_EXPORTER", "otlp").strip() not in ("otlp", ""):
        return False
    return any(environment.get(name, "").strip() for name in _ENDPOINTS)


@asynccontextmanager
async def open_spans(
    exporter: SpanExporter | None = None, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Spans | NoSpans]:
    """Open what sends spans, and send what is left when it is closed.

    Args:
        exporter: takes the spans; None for what the standard variables say.
        environment: where those are; None for this process's.

    Raises:
        SettingsError: spans are asked for, and what sends them is not installed or another.
    """
    environment = os.environ if environment is None else environment
    if exporter is None and not are_wanted(environment):
        yield NoSpans()
        return
    provider, exporter = _provider(exporter, environment)
    try:
        yield Spans(provider)
    finally:
        await see_through(_close(provider, exporter))


async def _close(provider: TracerProvider, exporter: SpanExporter) -> None:
    flushing = asyncio.ensure_future(asyncio.to_thread(provider.force_flush))
    await asyncio.wait({flushing}, timeout=_LAST_WORDS_S)
    if not flushing.done():
        await asyncio.to_thread(exporter.shutdown)  # it tries no more
    await flushing
    await asyncio.to_thread(provider.shutdown)


def _provider(
    exporter: SpanExporter | None, environment: Mapping[str, str]
) -> tuple[TracerProvider, SpanExporter]:
    protocol = next((environment[name] for name in _PROTOCOLS if environment.get(name)), "")
    if exporter is None and protocol not in ("", "http/protobuf"):
        raise SettingsError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}, and spans are sent by http/protobuf only.",
            "Unset it, and name the collector's HTTP port (usually 4318).",
        )
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise SettingsError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT asks for spans, and {error.name} is not installed.",
            "Install python-coder[otel], or unset it.",
        ) from None
    about = {SERVICE_VERSION: product_version()}
    if not environment.get("OTEL_SERVICE_NAME"):
        about[SERVICE_NAME] = "python-coder"
    provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
    exporter = exporter or OTLPSpanExporter()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider, exporter
