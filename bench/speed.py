"""What the sandbox and the loop cost, beside a cold interpreter measured in the same run."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from backend.config.settings import Settings, load_settings
from backend.llm.models import open_models
from backend.sandbox import open_executor
from backend.tools.python_coder_tool import PythonCoderTool
from backend.tools.python_executor_engine import open_engine
from backend.types import ExecutionRequest
from bench.timing import measure, table

ROUNDS = 20
PANDAS = "import pandas as pd; print(pd.Series([1, 2, 3]).mean())"
COLD = "cold python, pandas"
_REPLIES = {
    "generate": "Count.\n```python\nprint(1)\n```",
    "review": '{"verdict": "approve", "findings": []}',
    "assess": '{"answers_request": true}',
}


async def _cold(code: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.DEVNULL
    )
    if await process.wait():
        raise RuntimeError(f"The cold interpreter failed on {code!r}.")


@asynccontextmanager
async def _scripted(folder: Path) -> AsyncIterator[Settings]:
    script = folder / "script.jsonl"
    lines = [{"stage": key, "reply": text, "repeat": True} for key, text in _REPLIES.items()]
    script.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    yield load_settings(
        model=f"scripted:{script}", data_dir=folder, execution_dir=folder / "execution"
    )


async def print_speed() -> None:
    """Print percentiles of runs and of a whole task, and how they were taken."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            _scripted(Path(folder)) as settings,
            open_executor("local", settings) as executor,
            open_models(settings) as models,
            open_engine(settings) as engine,
        ):

            async def run(code: str) -> None:
                result = await executor.run(ExecutionRequest(code=code))
                if not result.success:
                    raise RuntimeError(f"The sandbox failed on {code!r}: {result.stderr}")

            async def task() -> None:
                tool = PythonCoderTool(settings, models, engine)
                result = await tool.execute_code_task("Print one")
                if not result["success"]:
                    raise RuntimeError(str(result["error"]))

            cases: list[tuple[str, Callable[[], Awaitable[object]]]] = [
                (COLD, lambda: _cold(PANDAS)),
                ("cold python, print(1)", lambda: _cold("print(1)")),
                ("sandbox, print(1)", lambda: run("print(1)")),
                ("sandbox, pandas", lambda: run(PANDAS)),
                ("whole task, scripted model", task),
            ]
            timings = await measure(cases, ROUNDS)
            isolation = executor.isolation
    print(f"{ROUNDS} rounds, the cases in turn, one round before them not counted.")
    print(f"Sandbox: tier {isolation.tier}, {', '.join(isolation.walls)}.")
    print(table(timings, COLD))
