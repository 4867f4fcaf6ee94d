"""Here the settings' own defaults are looked at."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def imports_as_usual(monkeypatch: pytest.MonkeyPatch, clean_environment: None) -> None:
    monkeypatch.delenv("PYTHON_CODE_PREIMPORT")
