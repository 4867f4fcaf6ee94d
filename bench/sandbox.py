"""How fast the sandbox is, beside everybody else, in one run on one machine."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from backend.config.settings import load_settings
from backend.sandbox import Isolation, open_executor
from backend.sandbox.executors.local.executor import LocalExecutor
from bench.cases import (
    CLIENTS,
    EMPTY_CASE,
    HTTP_CASE,
    PANDAS_CASE,
    SESSION_CASE,
    Load,
    own_cases,
    run,
    start_seconds,
    under_load,
)
from bench.machine import describe
from bench.memory import ParkedMemory, parked_memory
from bench.peers import COLD, peer_cases
from bench.programs import PANDAS
from bench.readme import replace_table
from bench.served import served
from bench.timing import (
    BLOCKS,
    HEAD,
    PAUSE_S,
    WARM_UP,
    Case,
    Timing,
    as_markdown,
    as_text,
    measure,
    rows,
)

_LOAD_S = 10.0
_STARTS = 5
_LOOK_AGAIN_S = 0.2
_FULL_S = 60.0
"""For all that are kept ready to be there, and born of what has imported everything."""
_METHOD = f"""\
Every row runs `import pandas as pd; print(pd.DataFrame({{"a": [1, 2, 3]}}).a.sum())` unless it says otherwise, with
the same numpy and pandas. The rows took turns, in {BLOCKS} blocks, after {WARM_UP} runs each that do not count; one run at a
time and {1000 * PAUSE_S:.0f} ms between two, but the {CLIENTS} clients ask again at once, for {_LOAD_S:.0f} s. Default settings, files in the
system's cache."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One run of everything."""

    timings: dict[str, Timing]
    """By case, in the order in which they are shown."""
    load: Load
    memory: ParkedMemory | None
    starts_s: list[float]
    """Executors: the first in a folder that has nothing, then the others."""
    ready_s: list[float]
    """Servers, to their first 200 of ``/ready``."""
    isolation: Isolation

    @property
    def cold_ms(self) -> float:
        """What a Python costs that has to be started and to import pandas."""
        return self.timings[COLD].percentile(0.5)


async def measure_all(*, share: float = 1.0) -> Measured:
    """Measure everything; ``share`` of the usual number of runs."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        peers = await enter(peer_cases())
        memory = await _memory(folder)
        starts = max(2, round(_STARTS * share))
        starts_s = await start_seconds(folder, starts)
        ready_s = [await _seconds_to_ready(folder) for _ in range(starts)]
        server = await enter(served(folder))
        executor = await enter(open_executor("local", load_settings(execution_dir=folder / "ours")))
        ours = await enter(own_cases(executor, server.url, folder))
        cases = [_fewer(case, share) for case in (*ours, *peers)]
        timings = await measure(cases)
        load = await under_load(executor, _LOAD_S * share)
        shown = [*timings[: len(ours)], load.timing, *timings[len(ours) :]]
        return Measured(
            timings={timing.case: timing for timing in shown},
            load=load,
            memory=memory,
            starts_s=starts_s,
            ready_s=ready_s,
            isolation=executor.isolation,
        )


async def _memory(folder: Path) -> ParkedMemory | None:
    """Of all the sandboxes that one executor keeps ready, which are born of what has imported all."""
    async with open_executor("local", load_settings(execution_dir=folder / "parked")) as executor:
        assert isinstance(executor, LocalExecutor)
        await run(executor, PANDAS)
        async with asyncio.timeout(_FULL_S):
            while not (executor.pool.is_settled and executor.pool.is_full):  # noqa: ASYNC110 - nobody else waits
                await asyncio.sleep(_LOOK_AGAIN_S)
        return parked_memory()


async def _seconds_to_ready(folder: Path) -> float:
    async with served(folder) as server:
        return server.ready_s


def _fewer(case: Case, share: float) -> Case:
    runs = max(BLOCKS, round(case.runs * share))
    return Case(name=case.name, runs=runs, sample=case.sample, missing=case.missing)


@dataclass(frozen=True, kw_only=True)
class Target:
    """What was promised, and what came out."""

    what: str
    value: float
    bound: float
    unit: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether it was kept."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def row(self) -> tuple[str, str, str, str]:
        """What, measured, promised, kept or not."""
        sign = "at least" if self.at_least else "at most"
        measured = f"{self.value:.1f} {self.unit}"
        promised = f"{sign} {self.bound:g} {self.unit}"
        return (self.what, measured, promised, "met" if self.met else "MISSED")


def targets(measured: Measured) -> list[Target]:
    """Every promise about the sandbox's speed; one that was not measured is not kept."""

    def timed(case: str, share: float, bound: float) -> Target:
        value = measured.timings[case].percentile(share)
        return Target(what=f"{case}, p{share:.0%}".rstrip("%"), value=value, bound=bound, unit="ms")

    pandas_ms = measured.timings[PANDAS_CASE].percentile(0.5)
    parked = measured.memory.private_mib if measured.memory else float("nan")
    return [
        timed(PANDAS_CASE, 0.5, 2),
        timed(PANDAS_CASE, 0.95, 6),
        timed(HTTP_CASE, 0.5, 4),
        timed(HTTP_CASE, 0.95, 10),
        Target(
            what="faster than cold Python with pandas",
            value=measured.cold_ms / pandas_ms,
            bound=100,
            unit="times",
            at_least=True,
        ),
        timed(EMPTY_CASE, 0.95, 25),
        timed(SESSION_CASE, 0.5, 4),
        Target(
            what=f"isolated pandas runs, {CLIENTS} clients",
            value=measured.load.per_second,
            bound=70,
            unit="a second",
            at_least=True,
        ),
        Target(what="private memory of a ready sandbox", value=parked, bound=12, unit="MiB"),
        Target(
            what="start to the first pandas run, slowest",
            value=max(measured.starts_s),
            bound=3,
            unit="s",
        ),
    ]


def remarks(measured: Measured) -> list[str]:
    """What is no row of the table."""
    memory = measured.memory
    first, *others = measured.starts_s
    return [
        f"{measured.load.per_second:.0f} isolated pandas runs a second with {CLIENTS} clients, "
        "refilling the pool included.",
        "No sandbox was parked, or its memory may not be read."
        if memory is None
        else f"A ready sandbox has {memory.private_mib:.1f} MiB of its own (Private_Clean + "
        f"Private_Dirty of its processes, mean of {memory.sandboxes}); it adds "
        f"{memory.marginal_mib:.1f} MiB of anonymous memory to the zygote's.",
        f"From start to the end of a first pandas run {first:.1f} s in an empty folder, then "
        f"{statistics.median(others):.1f} s; `python-coder serve` answers `/ready` after "
        f"{statistics.median(measured.ready_s):.1f} s (medians of {len(others)} and "
        f"{len(measured.ready_s)}).",
    ]


def _table(measured: Measured) -> list[tuple[str, ...]]:
    return rows(list(measured.timings.values()), measured.cold_ms)


def as_page(measured: Measured) -> str:
    """The part of the README between the marks."""
    return "\n\n".join(
        [
            as_markdown(HEAD, _table(measured)),
            "\n".join(f"- {remark}" for remark in remarks(measured)),
            f"Measured by `make bench` on {describe(measured.isolation)}. {_METHOD}",
        ]
    )


async def main(*, write_readme: bool = False, share: float = 1.0) -> None:
    """Print the table, the remarks, the targets and the method; for the README if asked."""
    measured = await measure_all(share=share)
    print(
        f"{describe(measured.isolation)}; walls: {', '.join(measured.isolation.walls)}.\n{_METHOD}"
    )
    print(as_text(HEAD, _table(measured)))
    print("\n".join(remarks(measured)))
    print()
    print(
        as_text(("target", "measured", "promised", ""), [each.row() for each in targets(measured)])
    )
    if write_readme:
        replace_table(as_page(measured))
