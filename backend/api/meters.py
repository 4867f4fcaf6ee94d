"""The figures an operator watches, counted as things happen. Every label has few values.

No label is what a user wrote: a model that never answered is ``other``, and so is a path that is
none of ours.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import Metric

from backend.config.settings import Settings
from backend.llm.models import PROVIDERS
from backend.observing import Deed, outcome_of

OTHER: Final = "other"
_MOST_NAMES: Final = 50
"""Of models or tools; those that come later are ``other``."""
_REQUEST_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_MODEL_S: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_PROGRAM_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_QUEUE_S: Final = (0.001, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60)


def models_of(settings: Settings) -> set[str]:
    """The names of the models that are set up."""
    own = [options.model for options in settings.stage_options.values()]
    named = [settings.model, settings.router_model, *(name or "" for name in own)]
    found = set()
    for name in named:
        provider, _, model = name.partition(":")
        known = model if provider in PROVIDERS else name
        found.add("scripted" if provider == "scripted" else known)
    return found - {""}


class _Registry(CollectorRegistry):
    """Without the moment at which each figure began, which nobody reads here and is half of a page.

    The client library's own switch for it is one for the whole process.
    """

    def collect(self) -> Iterator[Metric]:
        for metric in super().collect():
            created = f"{metric.name}_created"
            metric.samples = [each for each in metric.samples if each.name != created]
            yield metric


class Meters:
    """The instruments of one server, and the registry they are read from."""

    def __init__(self, models: Iterable[str] = ()) -> None:
        """Name the models that are set up; others count by name once they have answered."""
        self.registry = registry = _Registry()
        self._models = set(models)
        self._tools: set[str] = set()
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"python_coder_{name}", what, labels, registry=registry)

        def histogram(name: str, what: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(
                f"python_coder_{name}", what, labels, buckets=buckets, registry=registry
            )

        self.in_flight = Gauge(
            "python_coder_http_requests_in_flight",
            "Requests that are being answered.",
            registry=registry,
        )
        self._requests = counter(
            "http_requests", "Requests that were answered.", "route", "method", "status"
        )
        self._request_s = histogram(
            "http_request_seconds",
            "Seconds until the last byte of the answer.",
            _REQUEST_S,
            "route",
            "method",
        )
        self._queue_s = histogram(
            "queue_waiting_seconds", "Seconds that work waited for its turn.", _QUEUE_S, "lane"
        )
        self._agents = counter("agent_runs", "Questions that agents answered.", "agent", "outcome")
        self._agent_s = histogram("agent_run_seconds", "Seconds of a question.", _MODEL_S, "agent")
        self._repairs = counter("repairs", "Changes to programs, by who made them.", "by")
        self._calls = counter(
            "model_calls", "Calls to language models.", "stage", "model", "outcome"
        )
        self._call_s = histogram(
            "model_call_seconds", "Seconds of a call.", _MODEL_S, "stage", "model"
        )
        self._tokens = counter(
            "model_tokens", "Tokens, as the model's server counts.", "stage", "model", "kind"
        )
        self._tools_used = counter("tool_uses", "Uses of tools by agents.", "tool", "outcome")
        self._programs = counter(
            "programs", "Programs that ran, or that the check refused.", "language", "outcome"
        )
        self._program_s = histogram(
            "program_seconds", "Seconds from a program's begin to its end.", _PROGRAM_S, "language"
        )
        ProcessCollector(registry=registry)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        key = route, method, status
        known = self._children.get(key)
        if known is None:  # looking them up takes longer than counting
            known = self._requests.labels(*key), self._request_s.labels(route, method)
            self._children[key] = known
        counter, histogram = known
        counter.inc()
        histogram.observe(seconds)

    def turn(self, lane: str, seconds: float) -> None:
        """Count a turn that came after so many seconds."""
        self._queue_s.labels(lane).observe(seconds)

    @contextmanager
    def observe(self, deed: Deed) -> Iterator[None]:
        """Count a deed and its seconds (an ``Observe``)."""
        started = time.perf_counter()
        try:
            yield
        except BaseException as error:
            deed.outcome = outcome_of(error)
            raise
        finally:
            self._count(deed, time.perf_counter() - started)

    def _count(self, deed: Deed, seconds: float) -> None:
        facts = deed.facts
        match deed.kind:
            case "model":
                stage, model = str(facts["stage"]), self._model(deed)
                self._calls.labels(stage, model, deed.outcome).inc()
                self._call_s.labels(stage, model).observe(seconds)
                for kind in ("input", "output"):
                    tokens = float(facts.get(f"{kind}_tokens", 0))
                    self._tokens.labels(stage, model, kind).inc(tokens)
            case "program":
                self._programs.labels(deed.name, deed.outcome).inc()
                if deed.outcome != "refused":
                    self._program_s.labels(deed.name).observe(seconds)
            case "agent":
                agent = deed.name if deed.name in _AGENTS else OTHER
                self._agents.labels(agent, deed.outcome).inc()
                self._agent_s.labels(agent).observe(seconds)
                for by in ("rule", "model"):
                    self._repairs.labels(by).inc(float(facts.get(f"repairs_by_{by}", 0)))
            case "tool":
                self._tools_used.labels(_bounded(deed.name, self._tools), deed.outcome).inc()

    def _model(self, deed: Deed) -> str:
        if deed.outcome == "success":
            return _bounded(deed.name, self._models)
        return deed.name if deed.name in self._models else OTHER


_AGENTS: Final = frozenset({"react", "plan_execute", "chat"})


def _bounded(name: str, known: set[str]) -> str:
    if name not in known:
        if len(known) >= _MOST_NAMES:
            return OTHER
        known.add(name)
    return name
