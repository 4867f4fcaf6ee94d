"""What the soak and the harmful programs are watched with must see what it watches for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.canaries import differences, listeners, plant, prove_listeners, snapshot
from bench.leftovers import take_inventory
from bench.processes import living


def test_nothing_more_is_nothing_left(tmp_path: Path) -> None:
    before = take_inventory([tmp_path])
    assert not any(take_inventory([tmp_path]).more_than(before).values())


def test_a_process_a_descriptor_and_a_file_are_seen(tmp_path: Path) -> None:
    before = take_inventory([tmp_path])
    (tmp_path / "left").write_text("", encoding="utf-8")
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    with open(os.devnull, "rb"), subprocess.Popen(sleep) as child:
        left = take_inventory([tmp_path]).more_than(before)
        alive = living()
        child.kill()
    assert left["files"] == [str(tmp_path / "left")]
    assert [each.partition(" ")[2] for each in left["descriptors"]] == [os.devnull]
    assert [each.split()[1] for each in left["processes"]] == [str(child.pid)]
    assert any(each.endswith(f" {child.pid}") for each in alive)


@pytest.mark.parametrize("change", ["written", "removed", "added", "mode", "time"])
def test_every_change_of_a_canary_is_seen(tmp_path: Path, change: str) -> None:
    plant(tmp_path)
    before = snapshot([tmp_path])
    canary = tmp_path / "notes" / "data.csv"
    match change:
        case "written":
            known = canary.stat()
            canary.write_text("canary notes/data.csW\n", encoding="utf-8")
            os.utime(canary, ns=(known.st_atime_ns, known.st_mtime_ns))
        case "removed":
            canary.unlink()
        case "added":
            canary = tmp_path / "notes" / "new"
            canary.touch()
        case "mode":
            canary.chmod(0o777)
        case "time":
            os.utime(canary, (0, 0))
    assert differences(before, snapshot([tmp_path])) == [str(canary)]


async def test_a_visit_to_the_listeners_is_counted() -> None:
    async with listeners() as visits:
        assert len(visits.ports) >= 2
        assert await prove_listeners(visits)
        assert visits.count == 0
