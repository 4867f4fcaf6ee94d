"""The people who run the server, and the canaries; after each module nothing is left of either."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.conftest import descendants
from tests.sandbox.escape.canaries import Canaries, open_canaries
from tests.sandbox.escape.people import NOBODY, Person, open_person, ordinary_user


@pytest.fixture(scope="module")
def room() -> Iterator[Path]:
    """A folder that everyone may enter: pytest closes its own whenever it starts anywhere."""
    with tempfile.TemporaryDirectory(prefix="escape-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def canaries(room: Path) -> Iterator[Canaries]:
    folder = room / "canaries"
    folder.mkdir()
    with open_canaries(folder) as canaries:
        yield canaries
        canaries.untouched()


@pytest.fixture(scope="module", params=["ourselves", "an ordinary user"])
def person(request: pytest.FixtureRequest, room: Path, canaries: Canaries) -> Iterator[Person]:
    # Skipped only for what the machine lacks: a sandbox of ours that does not start is a failure.
    if shutil.which("bwrap") is None:
        pytest.skip("install bubblewrap: apt-get install bubblewrap")
    folder = room / request.param.replace(" ", "-")
    folder.mkdir()
    command = [sys.executable]
    if request.param != "ourselves":
        if os.getuid() != 0:
            pytest.skip("we are an ordinary user ourselves")
        command = ordinary_user()
        os.chown(folder, NOBODY, NOBODY)
    before = {process.pid for process in descendants()}
    with open_person(command, folder, canaries.secret) as person:
        yield person
    assert {process.pid for process in descendants()} == before


@pytest.fixture(params=[True, False], ids=["checked", "unchecked"])
def check(request: pytest.FixtureRequest) -> bool:
    """As usual, and with the static check off."""
    return bool(request.param)


@pytest.fixture
def source(room: Path) -> Iterator[Path]:
    """A small input file."""
    path = room / "in.txt"
    path.write_text("original", encoding="utf-8")
    yield path
    path.unlink()
