"""What the tests of the loop share: the scripted model's lines, and the server that plays them."""

from __future__ import annotations

from pathlib import Path

import pytest

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
