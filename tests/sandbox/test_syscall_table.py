"""No system call is allowed without a line about it in ``docs/syscalls.md``."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from backend.sandbox.walls.syscalls import ALLOWED, GATED

PAGE = Path(__file__).parents[2] / "docs" / "syscalls.md"


def rows(heading: str) -> list[list[str]]:
    """The cells of the tables' rows below a heading."""
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def named(heading: str) -> Counter[str]:
    return Counter(name for row in rows(heading) for name in re.findall(r"`(\w+)`", row[0]))


@pytest.mark.parametrize(("heading", "table"), [("Allowed", ALLOWED), ("Gated", GATED)])
def test_the_page_names_exactly_what_the_filter_lets_through(
    heading: str, table: dict[str, object]
) -> None:
    assert named(heading) == Counter(dict.fromkeys(table, 1))


def test_every_line_gives_a_use_and_a_judgement() -> None:
    for row in rows("Allowed") + rows("Gated"):
        assert len(row) == 3, row
        assert all(row), row


def test_what_is_refused_on_purpose_is_on_no_list() -> None:
    refused = set(named("Refused on purpose"))
    assert len(refused) > 50
    assert not refused & (set(ALLOWED) | set(GATED))
