"""A real executor for each test; skipped, saying what to install, where there can be none."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from backend.config.settings import Settings, load_settings
from backend.sandbox import ExecutionRequest, ExecutionResult, Executor, open_executor
from backend.sandbox.executors.local.executor import LocalExecutor

Run = Callable[..., Awaitable[ExecutionResult]]

MARKER = "it ran"
MARK = f"import os; os.write(1, b'{MARKER}\\n')\n"
"""What a program does first that is expected to be refused something: the proof that it ran."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    # Without imports ahead: most tests have one executor each, and imports take a second.
    return load_settings(execution_dir=tmp_path / "execution", timeout_s=20, preimport="none")


@pytest.fixture
async def executor(settings: Settings) -> AsyncIterator[Executor]:
    # Skipped only for what the machine lacks: a sandbox of ours that does not start is a failure.
    if shutil.which("bwrap") is None:
        pytest.skip("install bubblewrap: apt-get install bubblewrap")
    async with open_executor("local", settings) as opened:
        yield opened


@pytest.fixture
def run(executor: Executor) -> Run:
    async def run_code(code: str, **request: Any) -> ExecutionResult:
        return await executor.run(ExecutionRequest(code=code, **request))

    return run_code


def descendants(process: psutil.Process | None = None) -> list[psutil.Process]:
    return (process or psutil.Process()).children(recursive=True)


def alive(process: psutil.Process | None = None) -> list[psutil.Process]:
    """The descendants that run; one may end between being listed and being asked."""

    def runs(each: psutil.Process) -> bool:
        try:
            return each.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    return [each for each in descendants(process) if runs(each)]


def is_sleep(process: psutil.Process) -> bool:
    try:
        return process.name() == "sleep"
    except psutil.NoSuchProcess:
        return False


async def nobody_left(executor: Executor) -> None:
    """Nothing runs within a second but what waits for programs: and that has one process each."""
    assert isinstance(executor, LocalExecutor)
    async with asyncio.timeout(10):
        while not executor.pool.is_quiet:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    bubblewrap_and_zygote, keeper_and_program = 2, 2
    expected = bubblewrap_and_zygote + keeper_and_program * executor.pool.ready
    there = alive()
    assert len(there) == expected, there


def descriptors(executor: Executor) -> int:
    """Those of this process, but for the five of each child that waits for a program."""
    assert isinstance(executor, LocalExecutor)
    return len(os.listdir("/proc/self/fd")) - 5 * executor.pool.ready


def refused(result: ExecutionResult, *words: str) -> None:
    """It ran, it was refused what it tried, and it said so."""
    assert result.stdout.startswith(MARKER), result
    assert not result.success
    assert any(word in result.stderr for word in words), result.stderr
