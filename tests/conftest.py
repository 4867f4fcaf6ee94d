"""What every test shares: a clean environment and a data folder of its own."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.config.settings import Settings
from tests.ollama_server import ollama_server
from tests.postgres import postgres, postgres_url

__all__ = ["ollama_server", "postgres", "postgres_url"]

_CORPORA = os.environ.get("PYTHON_CODER_CORPORA")


def pytest_collection_finish() -> None:
    """Thousands of tests stay to the end: no garbage collection is to look at them again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No setting of this machine reaches a test, and no test writes outside its own folder."""
    known = {str(field.alias) for field in Settings.model_fields.values()}
    for name in list(os.environ):
        if name.upper() in known or name.startswith(("PYTHON_CODER_", "PYTHON_CODE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("PYTHON_CODER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("PYTHON_CODE_EXECUTION_DIR", str(tmp_path / "data" / "code_execution"))
    # Imports ahead take a second and a processor, and a test has few programs to run.
    monkeypatch.setenv("PYTHON_CODE_PREIMPORT", "none")
    # Nothing listens there: a test never reaches a model server of this machine.
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.chdir(tmp_path)
    yield


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of measuring data, which is not part of the project."""
    if not _CORPORA or not Path(_CORPORA).is_dir():
        pytest.skip("set PYTHON_CODER_CORPORA to the folder of corpora to measure on them")
    return Path(_CORPORA)
