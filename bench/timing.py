"""Percentiles of how long something takes, measured beside something else in the same run."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long one case took, in milliseconds."""

    case: str
    samples_ms: tuple[float, ...]

    def percentile(self, share: float) -> float:
        """The nearest-rank percentile."""
        ordered = sorted(self.samples_ms)
        rank = max(0, min(len(ordered) - 1, round(share * len(ordered)) - 1))
        return ordered[rank]


async def measure(
    cases: Sequence[tuple[str, Callable[[], Awaitable[object]]]], rounds: int
) -> list[Timing]:
    """Run the cases in turn, A B C A B C ..., after one round that does not count.

    Taking turns lets a slow moment of the machine fall on all cases alike.
    """
    samples: dict[str, list[float]] = {name: [] for name, _ in cases}
    for number in range(rounds + 1):
        for name, case in cases:
            started = time.perf_counter()
            await case()
            if number:
                samples[name].append((time.perf_counter() - started) * 1000)
    return [Timing(case=name, samples_ms=tuple(taken)) for name, taken in samples.items()]


def table(timings: Sequence[Timing], beside: str) -> str:
    """p50, p95 and p99 of each case, and the ratio of its p50 to that of ``beside``."""
    base = next(timing for timing in timings if timing.case == beside).percentile(0.5)
    width = max(len(timing.case) for timing in timings)
    lines = [f"{'case':<{width}}  {'p50':>8} {'p95':>8} {'p99':>8} ms   p50 / {beside}"]
    lines += [
        f"{timing.case:<{width}}  {timing.percentile(0.5):8.1f} {timing.percentile(0.95):8.1f} "
        f"{timing.percentile(0.99):8.1f}      {timing.percentile(0.5) / base:.3f}"
        for timing in timings
    ]
    return "\n".join(lines)
