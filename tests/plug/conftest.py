"""What plays the coder's model, and the coder opened for a test."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from backend.plug import PythonCoder, open_python_coder
from tests.scripts import use_script
from tests.solving import Play


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Make these lines the coder's model's."""
    return lambda *lines: use_script(monkeypatch, tmp_path / "script.jsonl", *lines)


@pytest_asyncio.fixture
async def coder(request: pytest.FixtureRequest, play: Play) -> AsyncIterator[PythonCoder]:
    """Opened, with the lines that the test gives it (see ``script``)."""
    # Skipped only for what the machine lacks: a sandbox of ours that does not start is a failure.
    if shutil.which("bwrap") is None:
        pytest.skip("install bubblewrap: apt-get install bubblewrap")
    play(*request.param)
    async with open_python_coder() as opened:
        yield opened
