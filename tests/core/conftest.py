"""What tests of the agents share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scripts import use_script

Play = Callable[..., None]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Make the model say these lines."""
    return lambda *lines: use_script(monkeypatch, tmp_path / "script.jsonl", *lines)
