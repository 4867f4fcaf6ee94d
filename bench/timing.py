"""How long things take, measured beside one another in one run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

Sampler = Callable[[int], Awaitable[list[float]]]
"""Takes so many samples, one after another, in milliseconds."""

PAUSE_S = 0.05
"""Between two runs of one client, as between the programs of one conversation, only shorter."""
WARM_UP = 5
BLOCKS = 10
_SETTLE_S = 0.3


class Unmeasurable(Exception):
    """What was to be measured stopped working; says how."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Something to measure, or why it cannot be."""

    name: str
    runs: int = 0
    sample: Sampler | None = None
    missing: str = ""
    """Why there is nothing to measure."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long one case took, in milliseconds."""

    case: str
    samples_ms: tuple[float, ...] = ()
    missing: str = ""

    def percentile(self, share: float) -> float:
        """The nearest-rank percentile."""
        ordered = sorted(self.samples_ms)
        rank = max(0, min(len(ordered) - 1, round(share * len(ordered)) - 1))
        return ordered[rank]


def repeated(once: Callable[[], Awaitable[object]], pause_s: float = PAUSE_S) -> Sampler:
    """Samples of one thing done again and again, with a pause after each."""

    async def sample(count: int) -> list[float]:
        taken = []
        for _ in range(count):
            started = time.perf_counter()
            await once()
            taken.append((time.perf_counter() - started) * 1000)
            await asyncio.sleep(pause_s)
        return taken

    return sample


async def measure(cases: Sequence[Case]) -> list[Timing]:
    """Measure the cases in turn, each in ``BLOCKS`` blocks after a warm-up that does not count.

    Taking turns lets a slow moment of the machine fall on all cases alike.
    """
    samples: dict[str, list[float]] = {case.name: [] for case in cases}
    missing = {case.name: case.missing for case in cases}
    for block in range(-1, BLOCKS):
        for case in cases:
            if case.sample is None or missing[case.name]:
                continue
            await asyncio.sleep(_SETTLE_S)
            taken = samples[case.name]
            due = case.runs * (block + 1) // BLOCKS - len(taken)
            try:
                if block < 0:
                    await case.sample(min(WARM_UP, case.runs))
                else:
                    taken += await case.sample(due)
            except Unmeasurable as error:
                missing[case.name] = f"stopped working: {error}"
                taken.clear()
    return [
        Timing(case=case.name, samples_ms=tuple(samples[case.name]), missing=missing[case.name])
        for case in cases
    ]


HEAD = ("case", "runs", "p50 ms", "p95 ms", "p99 ms", "times as fast as cold")


def rows(timings: Sequence[Timing], cold_ms: float) -> list[tuple[str, ...]]:
    """A row of ``HEAD`` for each timing; one that is missing says why."""
    return [_row(timing, cold_ms) for timing in timings]


def _row(timing: Timing, cold_ms: float) -> tuple[str, ...]:
    if not timing.samples_ms:
        return (timing.case, "0", "", "", "", timing.missing)
    p50, p95, p99 = (timing.percentile(share) for share in (0.5, 0.95, 0.99))
    ratio = cold_ms / p50
    beside = f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}"
    runs = str(len(timing.samples_ms))
    return (timing.case, runs, *(f"{value:.1f}" for value in (p50, p95, p99)), beside)


def as_text(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table for a terminal: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in (head, *body)) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *body)
    )


def as_markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """The same table for a page."""
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body))
