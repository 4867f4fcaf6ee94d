"""The clients whose libraries are here; the others where ``make conformance`` has been."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import needs_sandbox
from tests.conformance.__main__ import MARKS, PAGE
from tests.conformance.environments import HERE
from tests.conformance.running import CLIENTS, COLUMNS, Client, Service, check, serving

pytestmark = [pytest.mark.sandbox, needs_sandbox]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("conformance")) as running:
        yield running


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_finds_all_it_needs(client: Client, service: Service) -> None:
    if client.name == "curl" and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    row = check(client, service)
    if row is None:
        pytest.skip("its environment is not there: make conformance")
    assert row.failures == {}
    assert set(row.cells) == set(COLUMNS)


def test_the_page_on_clients_tells_of_the_versions_that_are_locked() -> None:
    table = PAGE.read_text(encoding="utf-8").partition(MARKS[0])[2].partition(MARKS[1])[0]
    for lock, package in (("openai1", "openai"), ("openai2", "openai"), ("llm", "llm")):
        text = Path(HERE, f"{lock}.lock").read_text(encoding="utf-8")
        locked = re.search(rf"^{package}==(\S+)", text, re.MULTILINE)
        assert locked is not None
        assert f"{package} {locked[1]}" in table, "run make conformance"
    assert "failed" not in table
