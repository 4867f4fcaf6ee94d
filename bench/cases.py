"""What is measured of the sandbox itself."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from backend.config.settings import Settings, load_settings
from backend.llm.models import open_models
from backend.sandbox import ExecutionRequest, ExecutionResult, Executor, open_executor
from backend.tools.python_coder_tool import PythonCoderTool
from backend.tools.python_executor_engine import open_engine
from bench.programs import PANDAS, PANDAS_SAYS, PLOT, PRINT
from bench.timing import PAUSE_S, Case, Sampler, Timing, repeated

PANDAS_CASE = "pandas one-liner"
HTTP_CASE = "pandas one-liner, POST /v1/execute"
SESSION_CASE = "pandas one-liner, session cell"
EMPTY_CASE = "pandas one-liner, empty pool (fork on demand)"
BUSY_CASE = "pandas one-liner, 8 clients at once"
CLIENTS = 8
_RESULT_S = 60.0
"""Longer than any program may take."""
_REFILL_S = 0.15
"""After a run that found no sandbox ready: two are then being made."""
_REPLIES = {
    "generate": "Count.\n```python\nprint(1)\n```",
    "review": '{"verdict": "approve", "findings": []}',
    "assess": '{"answers_request": true}',
}


async def run(executor: Executor, code: str) -> ExecutionResult:
    """Run a program that must work.

    Raises:
        RuntimeError: it did not.
        TimeoutError: there was no result at all.
    """
    async with asyncio.timeout(_RESULT_S):
        return _worked(await executor.run(ExecutionRequest(code=code)), code)


def _worked(result: ExecutionResult, code: str) -> ExecutionResult:
    if not result.success or (code == PANDAS and result.stdout.strip() != PANDAS_SAYS):
        raise RuntimeError(f"The sandbox failed on {code!r}: {result.stdout}{result.stderr}")
    return result


async def _plot(executor: Executor) -> None:
    result = await run(executor, PLOT)
    if [artifact.media_type for artifact in result.artifacts] != ["image/png"]:
        raise RuntimeError(f"The plot gave {result.artifacts!r}.")


@asynccontextmanager
async def own_cases(executor: Executor, url: str, folder: Path) -> AsyncIterator[list[Case]]:
    """The cases of the sandbox.

    Args:
        executor: an open one with the settings as they come.
        url: of a server.
        folder: for the files of the others that are opened here.
    """
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        client = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
        cell = await enter(_session_cell(executor))
        empty = await enter(_empty_pool(folder))
        task = await enter(_whole_task(folder))
        yield [
            Case(name="print(1)", runs=200, sample=repeated(lambda: run(executor, PRINT))),
            Case(name=PANDAS_CASE, runs=200, sample=repeated(lambda: run(executor, PANDAS))),
            Case(name="plot to PNG", runs=100, sample=repeated(lambda: _plot(executor))),
            Case(name=SESSION_CASE, runs=200, sample=repeated(cell)),
            Case(name=HTTP_CASE, runs=200, sample=repeated(lambda: _post(client))),
            Case(name=EMPTY_CASE, runs=100, sample=empty),
            Case(name="whole task, scripted model", runs=50, sample=repeated(task)),
        ]


async def _post(client: http.client.HTTPConnection) -> None:
    """Over a connection that stays open, by the standard library's client: it adds the least."""
    body = json.dumps({"code": PANDAS})
    try:
        client.request("POST", "/v1/execute", body, {"Content-Type": "application/json"})
        answer = client.getresponse()
    except ConnectionError:  # the server has closed it while others had their turn
        client.close()
        client.request("POST", "/v1/execute", body, {"Content-Type": "application/json"})
        answer = client.getresponse()
    said = json.loads(answer.read())
    if answer.status != 200 or said["stdout"].strip() != PANDAS_SAYS:
        raise RuntimeError(f"The server answered {answer.status}: {str(said)[:300]}")


@asynccontextmanager
async def _session_cell(executor: Executor) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    async with await executor.open_session() as session:

        async def cell() -> None:
            _worked(await session.run(ExecutionRequest(code=PANDAS)), PANDAS)

        yield cell


@asynccontextmanager
async def _empty_pool(folder: Path) -> AsyncIterator[Sampler]:
    """Runs that find no sandbox ready: of a pool of one, which another run has just taken."""
    settings = load_settings(execution_dir=folder / "of-one", pool_size=1)
    async with open_executor("local", settings) as executor:

        async def sample(count: int) -> list[float]:
            taken = []
            for _ in range(count):
                other = asyncio.create_task(run(executor, PRINT))
                await asyncio.sleep(0)  # it takes the one
                started = time.perf_counter()
                await run(executor, PANDAS)
                taken.append((time.perf_counter() - started) * 1000)
                await other
                await asyncio.sleep(_REFILL_S)
            return taken

        yield sample


@asynccontextmanager
async def _whole_task(folder: Path) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """Question, draft, check, review, run and judgement, with a model that answers at once."""
    settings = _scripted(folder)
    async with open_models(settings) as models, open_engine(settings) as engine:

        async def task() -> None:
            tool = PythonCoderTool(settings, models, engine)
            result = await tool.execute_code_task("Print one")
            if not result["success"]:
                raise RuntimeError(str(result["error"]))

        yield task


def _scripted(folder: Path) -> Settings:
    script = folder / "task.jsonl"
    lines = [{"stage": key, "reply": text, "repeat": True} for key, text in _REPLIES.items()]
    script.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return load_settings(
        model=f"scripted:{script}", data_dir=folder / "data", execution_dir=folder / "task"
    )


@dataclass(frozen=True, kw_only=True)
class Load:
    """What happens when more is asked for than there are processors."""

    timing: Timing
    per_second: float


async def under_load(executor: Executor, seconds: float) -> Load:
    """Clients that each ask for the next run as soon as they have the one before."""
    taken: list[float] = []
    end = time.perf_counter() + seconds

    async def client() -> None:
        while (started := time.perf_counter()) < end:
            await run(executor, PANDAS)
            taken.append((time.perf_counter() - started) * 1000)

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    spent = time.perf_counter() - began
    return Load(
        timing=Timing(case=BUSY_CASE, samples_ms=tuple(taken)), per_second=len(taken) / spent
    )


async def start_seconds(folder: Path, times: int) -> list[float]:
    """From opening an executor to the end of a first pandas run; the first finds nothing kept."""
    taken = []
    settings = load_settings(execution_dir=folder / "starts")
    for _ in range(times):
        started = time.perf_counter()
        async with open_executor("local", settings) as executor:
            await run(executor, PANDAS)
            taken.append(time.perf_counter() - started)
        await asyncio.sleep(PAUSE_S)
    return taken
