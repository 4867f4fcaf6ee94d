"""The page on clients. The clients themselves are run by ``make conformance``, in CI as well."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conformance.__main__ import MARKS, PAGE
from tests.conformance.environments import HERE


def test_the_page_on_clients_tells_of_the_versions_that_are_locked() -> None:
    table = PAGE.read_text(encoding="utf-8").partition(MARKS[0])[2].partition(MARKS[1])[0]
    for lock, package in (("openai1", "openai"), ("openai2", "openai"), ("llm", "llm")):
        text = Path(HERE, f"{lock}.lock").read_text(encoding="utf-8")
        locked = re.search(rf"^{package}==(\S+)", text, re.MULTILINE)
        assert locked is not None
        assert f"{package} {locked[1]}" in table, "run make conformance"
    assert "failed" not in table
