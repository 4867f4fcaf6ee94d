"""What the tests of the commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

TABLE = "city,price\nOslo,10\nRome,20\n"


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "prices.csv"
    path.write_text(TABLE)
    return path
