"""How things stand at the moment a scraper asks: queues, sandboxes, sessions, what the store holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final, get_args

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from backend.api.turns import Lane, Turns
from backend.config.version import product_version
from backend.core.assistant import Assistant
from backend.errors import PythonCoderError
from backend.store.database import Database
from backend.store.figures import StoreFigures, store_figures

_REST: Final = 50
"""Rows are not counted again before so many times the time has passed that counting them took."""
_PATIENCE_S: Final = 2.0


class Standing(Collector):
    """What is read and not counted."""

    def __init__(self, assistant: Assistant, turns: Turns, database: Database) -> None:
        self._assistant = assistant
        self._turns = turns
        self._database = database
        self._figures: StoreFigures | None = None
        self._fresh_until = 0.0
        self._looking = asyncio.Lock()

    async def look(self) -> None:
        """Count what the store holds, unless that was done a moment ago."""
        async with self._looking:
            began = time.monotonic()
            if began < self._fresh_until:
                return
            self._figures = None
            with suppress(PythonCoderError, TimeoutError):
                async with asyncio.timeout(_PATIENCE_S):
                    self._figures = await store_figures(self._database)
            now = time.monotonic()
            self._fresh_until = now + _REST * (now - began)

    def collect(self) -> Iterable[Metric]:
        """Everything as it is now."""
        isolation = self._assistant.engine.isolation
        yield InfoMetricFamily(
            "python_coder_build",
            "Which version this is, and behind which walls programs run.",
            {
                "version": product_version(),
                "executor": isolation.executor,
                "tier": isolation.tier,
            },
        )
        lanes: tuple[Lane, ...] = get_args(Lane)
        yield _gauge(
            "queue_length",
            "Requests that wait for their turn.",
            "lane",
            {lane: self._turns.waiting(lane) for lane in lanes},
        )
        yield _gauge(
            "queue_working",
            "Requests whose turn has come.",
            "lane",
            {lane: self._turns.active(lane) for lane in lanes},
        )
        load = self._assistant.engine.load
        yield _gauge(
            "sandboxes",
            "Sandboxes that are ready, and those in use.",
            "state",
            {"ready": load.ready, "in_use": load.in_use},
        )
        yield _gauge("live_sessions", "Sessions whose variables are kept.", "", {"": load.sessions})
        yield _gauge(
            "sandbox_shortages",
            "How often a program waited for its sandbox to come about, since the start.",
            "",
            {"": load.shortages},
        )
        yield from self._of_the_store()

    def _of_the_store(self) -> Iterable[Metric]:
        figures = self._figures
        up = int(figures is not None)
        yield _gauge("store_up", "1 while the database answers.", "", {"": up})
        if figures is None:
            return
        yield _gauge("runs", "Runs on record, by status.", "status", figures.runs)
        yield _gauge("files", "Files that are kept.", "", {"": figures.files})
        yield _gauge(
            "files_bytes", "Bytes of the files that are kept.", "", {"": figures.file_bytes}
        )


def _gauge(name: str, what: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"python_coder_{name}", what, labels=[label] if label else None)
    for key, value in values.items():
        family.add_metric([key] if label else [], value)
    return family
