"""A real executor for each test; skipped, saying what to install, where there can be none."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from backend.config.settings import Settings, load_settings
from backend.sandbox import ExecutionRequest, ExecutionResult, Executor, open_executor

Run = Callable[..., Awaitable[ExecutionResult]]

MARKER = "it ran"
MARK = f"import os; os.write(1, b'{MARKER}\\n')\n"
"""What a program does first that is expected to be refused something: the proof that it ran."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(execution_dir=tmp_path / "execution", timeout_s=20)


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


def descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def refused(result: ExecutionResult, *words: str) -> None:
    """It ran, it was refused what it tried, and it said so."""
    assert result.stdout.startswith(MARKER), result
    assert not result.success
    assert any(word in result.stderr for word in words), result.stderr
