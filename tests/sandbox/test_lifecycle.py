"""Whatever ends a run or its server, nothing of it is left."""

from __future__ import annotations

import asyncio
import ctypes
import signal
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from backend.config.settings import Settings
from backend.sandbox import ExecutionRequest, Executor, open_executor
from tests.sandbox.conftest import Run, alive, descendants, descriptors, is_sleep, nobody_left

pytestmark = pytest.mark.sandbox

BUSY = """
import os, subprocess, sys
subprocess.Popen(["sleep", "600"])
os.fork()
while True: pass
"""


async def until_busy(process: psutil.Process | None = None) -> None:
    """Until what the program starts runs; nothing else tells."""
    while not any(is_sleep(each) for each in descendants(process)):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_cancelling_kills_and_removes_everything(
    executor: Executor, settings: Settings, tmp_path: Path
) -> None:
    source = tmp_path / "in.txt"
    source.write_text("x")
    await nobody_left(executor)
    before = descriptors(executor)
    task = asyncio.create_task(executor.run(ExecutionRequest(code=BUSY, files={"in.txt": source})))
    await until_busy()
    task.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not any(is_sleep(each) for each in descendants())
    await nobody_left(executor)
    assert list(settings.execution_dir.glob("*/runs/*")) == []
    assert descriptors(executor) == before
    assert (await executor.run(ExecutionRequest(code="print(1)"))).success


async def test_cancelling_at_any_moment_leaves_nothing(
    executor: Executor, settings: Settings, tmp_path: Path
) -> None:
    source = tmp_path / "in.txt"
    source.write_text("x")
    request = ExecutionRequest(code="open('a', 'w').write('x')", files={"in.txt": source})
    await nobody_left(executor)
    before = descriptors(executor)
    for step in range(40):
        task = asyncio.create_task(executor.run(request))
        for _ in range(step):
            await asyncio.sleep(0.0005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await nobody_left(executor)
    assert list(settings.execution_dir.glob("*/runs/*")) == []
    assert descriptors(executor) == before


@pytest.fixture
def orphans_are_ours() -> Iterator[None]:
    """Whoever loses its parent becomes a child of this process, and so is seen."""
    prctl, subreaper = ctypes.CDLL(None).prctl, 36
    prctl(subreaper, 1, 0, 0, 0)
    yield
    prctl(subreaper, 0, 0, 0, 0)
    for orphan in descendants():
        orphan.kill()
        orphan.wait()


@pytest.mark.usefixtures("orphans_are_ours")
async def test_opening_that_is_cancelled_leaves_no_orphan(settings: Settings) -> None:
    async def open_and_close() -> None:
        async with open_executor("local", settings):
            pass

    for step in range(60):
        task = asyncio.create_task(open_and_close())
        for _ in range(step):
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert alive() == []


KILLED_AT_THE_START = """
import asyncio, os, signal, sys, threading
from pathlib import Path
from backend.config.settings import load_settings
from backend.sandbox import open_executor
def has_children():
    return any(each.read_text() for each in Path("/proc/self/task").glob("*/children"))
def die_with_the_first_child():
    while not has_children():
        pass
    os.kill(os.getpid(), signal.SIGKILL)
async def main():
    threading.Thread(target=die_with_the_first_child).start()
    async with open_executor("local", load_settings(execution_dir=Path(sys.argv[1]), preimport='none')):
        pass
asyncio.run(main())
"""


@pytest.mark.usefixtures("orphans_are_ours")
async def test_a_server_killed_as_a_program_starts_leaves_no_orphan(settings: Settings) -> None:
    for _ in range(5):
        server = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", KILLED_AT_THE_START, str(settings.execution_dir))
        )
        assert await server.wait() == -signal.SIGKILL
    async with asyncio.timeout(10):
        while alive():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_cancelling_again_and_again_leaves_nothing_either(
    executor: Executor, settings: Settings, tmp_path: Path
) -> None:
    source = tmp_path / "in.txt"
    source.write_text("x")
    request = ExecutionRequest(code="while True: pass", files={"in.txt": source})
    await nobody_left(executor)
    before = descriptors(executor)
    for step in range(40):
        task = asyncio.create_task(executor.run(request))
        for _ in range(2 * step):
            await asyncio.sleep(0.001)
        while not task.done():
            task.cancel()
            await asyncio.sleep(0)
        assert task.cancelled()
    await nobody_left(executor)
    assert list(settings.execution_dir.glob("*/runs/*")) == []
    assert descriptors(executor) == before


async def test_runs_leave_no_descriptor_and_no_process(run: Run, executor: Executor) -> None:
    await nobody_left(executor)
    before = descriptors(executor)
    for code in ("1", "1/0", "import os; os.kill(os.getpid(), 9)", "while True: print(1)"):
        await run(code, timeout_s=0.5)
    await nobody_left(executor)
    assert descriptors(executor) == before


async def test_closing_the_executor_removes_its_folder(
    settings: Settings, executor: Executor
) -> None:
    async with open_executor("local", settings) as second:
        await second.run(ExecutionRequest(code="1"))
        assert len(list(settings.execution_dir.glob("run-*"))) == 2
    assert len(list(settings.execution_dir.glob("run-*"))) == 1


@pytest.mark.parametrize("signal", ["kill", "terminate"])
async def test_the_death_of_the_server_is_the_death_of_its_programs(
    executor: Executor, settings: Settings, signal: str
) -> None:
    code = textwrap.dedent(f"""
        import asyncio
        from pathlib import Path
        from backend.config.settings import load_settings
        from backend.sandbox import ExecutionRequest, open_executor
        async def main():
            settings = load_settings(execution_dir=Path({str(settings.execution_dir)!r}))
            async with open_executor("local", settings) as executor:
                await executor.run(ExecutionRequest(code={BUSY!r}, timeout_s=600))
        asyncio.run(main())
    """)
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    try:
        await until_busy(psutil.Process(server.pid))
        family = psutil.Process(server.pid).children(recursive=True)
    finally:
        getattr(server, signal)()
        await server.wait()
    _, left = await asyncio.to_thread(psutil.wait_procs, family, timeout=10)
    assert left == []


@pytest.mark.parametrize("whose", ["bubblewrap", "zygote"])
async def test_a_death_in_the_machinery_is_a_killed_run_and_the_next_one_works(
    executor: Executor, whose: str
) -> None:
    task = asyncio.create_task(executor.run(ExecutionRequest(code=BUSY)))
    await until_busy()
    (bubblewrap,) = psutil.Process().children()
    (zygote,) = bubblewrap.children()
    (bubblewrap if whose == "bubblewrap" else zygote).kill()
    result = await task
    assert (result.success, result.stopped_by) == (False, "killed")
    assert (await executor.run(ExecutionRequest(code="print(1)"))).stdout == "1\n"
    await nobody_left(executor)


async def test_the_loop_stays_free_while_programs_run(executor: Executor) -> None:
    flood = ExecutionRequest(code="while True: print('x' * 1000)", timeout_s=1)
    runs = [asyncio.create_task(executor.run(flood)) for _ in range(2)]
    beats = 0
    while not all(task.done() for task in runs):
        await asyncio.sleep(0.005)
        beats += 1
    assert beats > 10
