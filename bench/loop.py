"""What a direct request costs beside the model and the program: graph, checks, the sandboxed run.

The model is scripted and answers at once; its calls' own time is taken off. The program is one
line with pandas. Each request differs from the last, so that none is answered from what is kept.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from operator import add
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph

from backend.config.settings import load_settings
from backend.llm.models import open_models
from backend.tools.coder.recording import open_recorder
from backend.tools.python_coder_tool import PythonCoderTool
from backend.tools.python_executor_engine import open_engine
from backend.types import ExecutionRequest
from bench.timing import Case, Sampler, Timing, as_text, measure

RUNS = 200
TARGET_IN_MEMORY_MS = 10.0
TARGET_SQLITE_MS = 25.0
PROGRAM = "import pandas as pd\nprint(pd.Series([1, 2, 3]).mean())"
_PAUSE_S = 0.05
_LINES: tuple[dict[str, Any], ...] = (
    {"stage": "generate", "reply": f"Average them.\n\n```python\n{PROGRAM}\n```", "repeat": True},
    {"stage": "review", "reply": '{"verdict": "approve", "findings": []}', "repeat": True},
    {"stage": "assess", "reply": '{"answers_request": true, "answer": ""}', "repeat": True},
)
HEAD = ("case", "runs", "calls", "p50 ms", "p95 ms", "target p50")


class _Bare(TypedDict):
    calls: Annotated[list[int], add]


async def _bare_graph() -> Sampler:
    """Three nodes that do nothing: what LangGraph itself costs."""

    async def node(state: _Bare) -> dict[str, Any]:
        return {"calls": [1]}

    builder = StateGraph(_Bare)
    for name, before in (("a", START), ("b", "a"), ("c", "b")):
        builder.add_node(name, node)
        builder.add_edge(before, name)
    builder.add_edge("c", END)
    graph = builder.compile()
    return _sampler(lambda number: graph.ainvoke({"calls": []}), {})


def _sampler(once: Any, calls: dict[str, int], name: str = "") -> Sampler:
    counter = itertools.count()

    async def sample(count: int) -> list[float]:
        taken = []
        for _ in range(count):
            started = time.perf_counter()
            result = await once(next(counter))
            seconds = time.perf_counter() - started
            if "timings" in result:
                assert result["success"], result["error"]
                calls[name] = result["usage"]["calls"]
                seconds -= sum(call["duration_s"] for call in result["calls"])
            taken.append(seconds * 1000)
            await asyncio.sleep(_PAUSE_S)
        return taken

    return sample


@asynccontextmanager
async def _cases(folder: Path, calls: dict[str, int], runs: int) -> AsyncIterator[list[Case]]:
    script = folder / "script.jsonl"
    script.write_text("".join(json.dumps(line) + "\n" for line in _LINES), encoding="utf-8")
    common: dict[str, Any] = {"model": f"scripted:{script}", "data_dir": folder / "data"}
    settings = load_settings(**common, review=False)
    reviewing = load_settings(**common, review=True)
    async with (
        open_models(settings) as models,
        open_engine(settings) as engine,
        open_recorder(settings) as recorder,
    ):
        tools = {
            "in memory": PythonCoderTool(settings, models, engine),
            "in memory, with review": PythonCoderTool(reviewing, models, engine),
            "checkpoints and record on SQLite": PythonCoderTool(settings, models, engine, recorder),
            "the same, with review": PythonCoderTool(reviewing, models, engine, recorder),
        }

        async def run_alone(_: int) -> dict[str, Any]:
            result = await engine.execute(ExecutionRequest(code=PROGRAM))
            assert result.success, result.stderr
            return {}

        def task(name: str, tool: PythonCoderTool) -> Sampler:
            return _sampler(lambda n: tool.execute_code_task(f"Mean, {n}"), calls, name)

        yield [
            Case(name="three bare LangGraph nodes", runs=runs, sample=await _bare_graph()),
            Case(name="the sandboxed run alone", runs=runs, sample=_sampler(run_alone, calls)),
            *(Case(name=name, runs=runs, sample=task(name, tool)) for name, tool in tools.items()),
        ]


def _row(timing: Timing, calls: dict[str, int]) -> tuple[str, ...]:
    name = timing.case
    target = TARGET_SQLITE_MS if "SQLite" in name or "same" in name else TARGET_IN_MEMORY_MS
    p50, p95 = timing.percentile(0.5), timing.percentile(0.95)
    asked = str(calls[name]) if name in calls else ""
    shown = f"{target:g}" if name in calls else ""
    return (name, str(len(timing.samples_ms)), asked, f"{p50:.1f}", f"{p95:.1f}", shown)


async def main(share: float = 1.0) -> None:
    """Print what a request costs, case by case, beside LangGraph and the sandbox alone.

    Args:
        share: of the usual number of runs.
    """
    calls: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with _cases(Path(folder), calls, max(int(RUNS * share), 10)) as cases:
            timings = await measure(cases)
    print(as_text(HEAD, [_row(timing, calls) for timing in timings]))
    print(
        "Method: execute_code_task with models and sandbox open, scripted replies, the time of the "
        "model calls taken off;\nthe cases take turns in blocks, after a warm-up. A judgement of "
        "the output (assess) is among the calls."
    )
