"""What the tests of the loop share: what plays the model, and an engine for a module's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from backend.config.settings import Settings, load_settings
from backend.errors import SandboxUnavailable
from backend.tools.python_executor_engine import PythonExecutor, open_engine
from tests.ollama_server import OllamaServer
from tests.scripts import use_script
from tests.solving import Play


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Make these lines the model's."""
    return lambda *lines: use_script(monkeypatch, tmp_path / "script.jsonl", *lines)


@pytest.fixture
def server(ollama_server: OllamaServer, monkeypatch: pytest.MonkeyPatch) -> OllamaServer:
    """A model's server, where what is sent to it has to be seen."""
    ollama_server.models = ["gpt-oss:20b", "qwen3:4b", "other:7b"]
    monkeypatch.setenv("PYTHON_CODER_MODEL", "ollama:gpt-oss:20b")
    return ollama_server


@pytest.fixture(params=["sqlite", "postgresql"])
def stored_settings(request: pytest.FixtureRequest) -> Settings:
    """Settings of each kind of database."""
    if request.param == "sqlite":
        return load_settings()
    return load_settings(database_url=request.getfixturevalue("postgres_url"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PythonExecutor]:
    settings = load_settings(execution_dir=tmp_path_factory.mktemp("engine") / "execution")
    try:
        async with open_engine(settings) as opened:
            yield opened
    except SandboxUnavailable as error:
        pytest.skip(str(error))
