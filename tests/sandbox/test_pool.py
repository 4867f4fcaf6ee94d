"""Processes stand ready, are used once, and are there again, whatever happens to whom."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import venv
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from backend.config.settings import Settings
from backend.errors import SandboxUnavailable
from backend.sandbox import ExecutionRequest, Executor, open_executor
from backend.sandbox.executors.local.executor import LocalExecutor
from backend.sandbox.executors.local.generation import Habits
from backend.sandbox.executors.local.pool import Pool
from tests.sandbox.conftest import alive, descendants, is_sleep, nobody_left

pytestmark = pytest.mark.sandbox

SLEEP = "import subprocess; subprocess.run(['sleep', '600'])"


@asynccontextmanager
async def opened(settings: Settings, **changes: Any) -> AsyncIterator[LocalExecutor]:
    async with open_executor("local", settings.model_copy(update=changes)) as executor:
        assert isinstance(executor, LocalExecutor)
        yield executor


@asynccontextmanager
async def pool_of(
    executor: Executor, *, warm: bool = False, **habits: float
) -> AsyncIterator[Pool]:
    """A second pool, with habits of its own, beside that of the executor."""
    assert isinstance(executor, LocalExecutor)
    pool = Pool(
        executor._start_zygote,
        executor._bear,
        size=2,
        most=6,
        warm=warm,
        habits=Habits(**({"look_seconds": 0.02} | habits)),  # type: ignore[arg-type]
    )
    await pool.open()
    try:
        yield pool
    finally:
        await pool.aclose()


async def until(condition: Any, seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def zygotes() -> list[psutil.Process]:
    found = []
    for bubblewrap in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # it ended meanwhile
            found += bubblewrap.children()
    return found


def kill_zygotes() -> None:
    """Without letting the executor notice; until they are gone their children still take programs."""
    killed = zygotes()
    for zygote in killed:
        with suppress(psutil.NoSuchProcess):  # one that is tried again and again ends by itself
            zygote.kill()
    _, alive_still = psutil.wait_procs(killed, timeout=10)
    assert killed
    assert not alive_still


async def works(executor: Executor) -> None:
    for _ in range(3):
        assert (await executor.run(ExecutionRequest(code="print(1)"))).stdout == "1\n"


async def test_births_and_keepers_preempt_nobody_by_waking(settings: Settings) -> None:
    async with opened(settings, pool_size=1) as executor:
        await until(lambda: executor.pool.is_full and executor.pool.is_quiet)
        (zygote,) = zygotes()
        keeper = zygote.children()[0]
        (program,) = keeper.children()
        found = [os.sched_getscheduler(each.pid) for each in (zygote, keeper, program)]
        turns = [turn_ns(each.pid) for each in (keeper, program, zygote)]
    assert found == [os.SCHED_BATCH, os.SCHED_BATCH, os.SCHED_OTHER]
    assert min(turns) == 0 or turns == sorted(set(turns))


def turn_ns(pid: int) -> int:
    """How long a process's turns on a processor are; 0 where the kernel does not tell, or know."""
    attributes = ctypes.create_string_buffer(48)
    number = {"x86_64": 315, "aarch64": 275}[os.uname().machine]
    assert ctypes.CDLL(None).syscall(number, pid, attributes, len(attributes), 0) == 0
    return int.from_bytes(attributes[24:32], "little")


async def test_what_was_used_is_replaced(settings: Settings) -> None:
    async with opened(settings, pool_size=3) as executor:
        for _ in range(5):
            await until(lambda: executor.pool.ready >= 3)
            await works(executor)
        await nobody_left(executor)


async def test_each_process_is_used_once(executor: Executor) -> None:
    request = ExecutionRequest(
        code="import builtins; print(vars(builtins).setdefault('n', []))\n"
        "builtins.n.append(1); open('/tmp/f', 'x')"
    )
    results = await asyncio.gather(*(executor.run(request) for _ in range(12)))
    assert {result.stdout for result in results} == {"[]\n"}
    assert all(result.success for result in results)


async def test_more_at_a_time_than_stand_ready_are_served(settings: Settings) -> None:
    async with opened(settings, pool_size=1, max_parallel_runs=8) as executor:
        results = await asyncio.gather(
            *(executor.run(ExecutionRequest(code=f"print({n})")) for n in range(24))
        )
        assert [result.stdout for result in results] == [f"{n}\n" for n in range(24)]
        assert executor.pool.shortages > 0
        await nobody_left(executor)


async def test_a_pool_grows_with_a_shortage_and_shrinks_back(executor: Executor) -> None:
    async with pool_of(executor, idle_seconds=0.3) as pool:
        await until(lambda: pool.ready == 2)
        children = await asyncio.gather(*(pool.take() for _ in range(6)))
        assert pool.shortages >= 4
        for child in children:
            pool.give_back(child)
        await until(lambda: pool.ready > 2)
        await until(lambda: pool.ready == 2 and pool.is_quiet)
    await nobody_left(executor)


@pytest.mark.parametrize("when", ["idle", "running", "parked", "session"])
async def test_the_death_of_the_zygote_is_survived(executor: Executor, when: str) -> None:
    await nobody_left(executor)
    (zygote,) = zygotes()
    running = None
    if when == "running":
        running = asyncio.create_task(executor.run(ExecutionRequest(code=SLEEP)))
        await until(lambda: any(is_sleep(each) for each in descendants()))
    if when == "parked":
        for keeper in zygote.children():
            keeper.kill()
    zygote.kill()
    psutil.wait_procs([zygote], timeout=10)  # without letting the executor notice
    if running is not None:
        assert (await running).stopped_by == "killed"
    if when == "session":
        async with await executor.open_session() as session:
            assert (await session.run(ExecutionRequest(code="print(1)"))).success
    await works(executor)
    await nobody_left(executor)
    assert zygote.pid not in {each.pid for each in zygotes()}


async def test_ready_processes_that_die_are_not_used(executor: Executor) -> None:
    await nobody_left(executor)
    (zygote,) = zygotes()
    for keeper in zygote.children():
        keeper.kill()
    await works(executor)
    await nobody_left(executor)
    assert zygotes() == [zygote]


async def test_a_zygote_is_replaced_after_so_many_children(executor: Executor) -> None:
    async with pool_of(executor, most_children=20) as pool:
        before = {each.pid for each in zygotes()}
        for _ in range(24):
            pool.give_back(await pool.take())
        await until(lambda: pool.is_quiet and len(zygotes()) == 2)
        assert {each.pid for each in zygotes()} - before


async def test_what_an_old_zygote_has_lent_lives_on(executor: Executor) -> None:
    async with pool_of(executor, most_seconds=0.5) as pool:
        child = await pool.take()
        mine = child.zygote
        await until(lambda: pool._generation is not None and pool._generation.zygote is not mine)
        assert child.is_alive and mine.is_alive
        await pool.end(child)
        await until(lambda: not mine.is_alive)


async def test_hash_seeds_change_with_the_zygote(executor: Executor) -> None:
    request = ExecutionRequest(code="hash('a text')")
    first = {(await executor.run(request)).value for _ in range(3)}
    assert len(first) == 1
    kill_zygotes()
    assert {(await executor.run(request)).value for _ in range(3)} != first


async def test_a_warm_zygote_takes_the_place_of_the_bare_one(settings: Settings) -> None:
    default = Settings.model_fields["preimport"].default
    absent = f"no_such_module,{default},no.such.module"
    async with opened(settings, preimport=absent) as executor:
        request = ExecutionRequest(code="import sys; 'pandas' in sys.modules")
        async with asyncio.timeout(60):
            while (await executor.run(request)).value != "True":  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert executor.pool.why_cold == ""
        await until(lambda: executor.pool.is_quiet)
        assert (await executor.run(request)).value == "True"
        await nobody_left(executor)
        draw = ExecutionRequest(
            code="import random, numpy; print(random.random(), numpy.random.rand())"
        )
        drawn = [(await executor.run(draw)).stdout.split() for _ in range(4)]
        for column in zip(*drawn, strict=True):
            assert len(set(column)) == len(drawn)


@pytest.fixture
def odd_modules(settings: Settings, tmp_path: Path) -> Settings:
    """An interpreter that has modules no zygote can import and stay alone, or alive."""
    room = tmp_path / "venv"
    venv.create(room, symlinks=True)
    (packages,) = room.glob("lib/python*/site-packages")
    thread = "import threading, time; threading.Thread(target=time.sleep, args=(600,), daemon=True)"
    (packages / "starts_thread.py").write_text(f"{thread}.start()\n")
    (packages / "starts_short_thread.py").write_text(f"{thread.replace('600', '0.3')}.start()\n")
    (packages / "exits.py").write_text("import os; os._exit(3)\n")
    (packages / "raises.py").write_text("raise SystemExit(3)\n")
    return settings.model_copy(update={"interpreter": str(room / "bin" / "python")})


@pytest.mark.parametrize(
    ("module", "said"),
    [("starts_thread", "PYTHON_CODE_PREIMPORT"), ("exits", ""), ("raises", "")],
)
async def test_what_cannot_be_imported_ahead_is_said_once_and_done_without(
    odd_modules: Settings, caplog: pytest.LogCaptureFixture, module: str, said: str
) -> None:
    caplog.set_level(logging.WARNING)
    async with opened(odd_modules, preimport=module) as executor:
        await until(lambda: executor.pool.why_cold)
        assert said in executor.pool.why_cold
        await until(lambda: executor.pool.ready > 1)
        await works(executor)
        kill_zygotes()
        await works(executor)
        await asyncio.sleep(2)
        assert len(caplog.records) == 1
        assert executor.pool.why_cold in caplog.records[0].message
    assert alive() == []


async def test_a_thread_that_ends_by_itself_is_waited_for(odd_modules: Settings) -> None:
    async with opened(odd_modules, preimport="starts_short_thread") as executor:
        await until(lambda: executor.pool.is_settled)
        assert executor.pool.why_cold == ""
        assert executor.pool.imported == ("starts_short_thread",)


async def test_what_never_starts_is_said_to_whoever_asks(executor: Executor) -> None:
    tries = 0

    async def start(_: bool) -> Any:
        nonlocal tries
        tries += 1
        if tries > 1:
            raise SandboxUnavailable("It does not start.", "Try later.")
        return await executor._start_zygote(False)

    assert isinstance(executor, LocalExecutor)
    pool = Pool(start, executor._bear, size=1, most=1, warm=False)
    await pool.open()
    (await pool.take()).zygote.kill()
    with pytest.raises(SandboxUnavailable, match="does not start"):
        await asyncio.wait_for(_take_until_refused(pool), 10)
    await asyncio.sleep(0.5)
    assert tries < 6
    await pool.aclose()


async def _take_until_refused(pool: Pool) -> None:
    while True:
        pool.give_back(await pool.take())
        await asyncio.sleep(0.01)
