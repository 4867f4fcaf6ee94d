from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.errors import SandboxUnavailable
from backend.sandbox.walls.cgroup import Cgroup
from backend.sandbox.walls.cgroup_places import (
    group_name,
    is_leaf,
    leaf_name,
    own_place,
    place_from,
    remove_tree,
    sweep,
)
from backend.sandbox.walls.cgroups import Cgroups, Unusable, open_cgroups

MIB = 1024 * 1024

V1 = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
V1_PIDS = "39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n"
V1_DOCKER = "35 31 0:32 /docker/ab /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
V2 = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V2_BESIDE = "41 31 0:38 / /sys/fs/cgroup/unified rw shared:5 - cgroup2 cgroup2 rw\n"
V2_SLICE = "31 23 0:28 /a.slice /sys/fs/cgroup rw - cgroup2 cgroup rw\n"
V2_SPACED = r"31 23 0:28 / /mnt/c\040g rw - cgroup2 cgroup2 rw" + "\n"
SCOPE = "/user.slice/user-1000.slice/user@1000.service/app.slice/run-r1f.scope"
ROOT = "/sys/fs/cgroup"


@pytest.mark.parametrize(
    ("membership", "mounts", "version", "group"),
    [
        pytest.param(f"0::{SCOPE}\n", V2, 2, ROOT + SCOPE, id="systemd user scope"),
        pytest.param("0::/\n", V2, 2, ROOT, id="container with a namespace of its own"),
        pytest.param("0::/a.slice/b\n", V2_SLICE, 2, f"{ROOT}/b", id="part of v2 is shown"),
        pytest.param("0::/x\n", V2_SPACED, 2, "/mnt/c g/x", id="space in the mount point"),
        pytest.param(
            "9:pids:/p\n4:memory:/user.slice\n0::/init.scope\n",
            V1 + V1_PIDS + V2_BESIDE,
            1,
            f"{ROOT}/memory/user.slice",
            id="hybrid: memory is v1",
        ),
        pytest.param(
            "9:pids:/p\n0::/init.scope\n",
            V1_PIDS + V2_BESIDE,
            2,
            f"{ROOT}/unified/init.scope",
            id="hybrid: memory is not v1",
        ),
        pytest.param(
            "5:cpu,memory:/a/b\n",
            V1.replace("memory\n", "cpu,memory\n"),
            1,
            f"{ROOT}/memory/a/b",
            id="v1, controllers together",
        ),
        pytest.param(
            "4:memory:/docker/ab\n", V1_DOCKER, 1, f"{ROOT}/memory", id="docker v1: shown as root"
        ),
        pytest.param(
            "4:memory:/docker/ab/in\n", V1_DOCKER, 1, f"{ROOT}/memory/in", id="nested in docker v1"
        ),
    ],
)
def test_own_group_is_found(membership: str, mounts: str, version: int, group: str) -> None:
    found = place_from(membership, mounts)
    assert found is not None
    assert (found.version, str(found.group)) == (version, group)


@pytest.mark.parametrize(
    ("membership", "mounts"),
    [
        pytest.param("0::/x\n", "", id="nothing mounted"),
        pytest.param("", V1 + V2, id="in no group"),
        pytest.param("0::/../y\n", V2, id="outside of the namespace"),
        pytest.param("0::/a.slicer\n", V2_SLICE, id="beside the part that is shown"),
        pytest.param("4:memory:/m\n0::/\n", V2, id="memory is v1 and v1 is not mounted"),
    ],
)
def test_a_group_that_cannot_be_seen_is_not_found(membership: str, mounts: str) -> None:
    assert place_from(membership, mounts) is None


@pytest.fixture
def cgroups() -> Iterator[Cgroups]:
    with open_cgroups() as opened:
        if isinstance(opened, Unusable):
            place = own_place()
            # Skipped only for what the machine forbids: on v1 that is writing to our group.
            if place and place.version == 1 and os.access(place.group, os.W_OK):
                pytest.fail(opened.reason)
            pytest.skip(f"{opened.reason} {opened.remedy}")
        yield opened


@pytest.fixture
def base(cgroups: Cgroups) -> Path:
    return cgroups.path.parent


def started(code: str) -> subprocess.Popen[str]:
    """A plain Python process that waits for a line on stdin before it runs ``code``."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-I", "-S", "-c", f"input()\n{code}"]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def run_in(group: Cgroup, code: str) -> tuple[int, str]:
    with started(code) as process:
        group.add(process.pid)
        out, _ = process.communicate("\n", timeout=60)
    return process.returncode, out


def removed(group: Cgroup) -> bool:
    """Whether it can be removed once what was in it is dead; that takes the kernel a moment."""
    return any(group.remove() for _ in range(100_000))


ALLOCATE = "kept = []\nfor _ in range({steps}): kept.append(b'x' * (1 << 20))\nprint('done')"


def test_more_memory_than_the_limit_is_killed_and_counted(cgroups: Cgroups) -> None:
    group = cgroups.new_group()
    group.limit_memory(32 * MIB)
    assert run_in(group, ALLOCATE.format(steps=100)) == (-9, "")
    assert group.oom_kills() == 1
    assert removed(group)


def test_less_memory_than_the_limit_runs_and_is_measured(cgroups: Cgroups) -> None:
    group = cgroups.new_group()
    group.limit_memory(128 * MIB)
    assert run_in(group, ALLOCATE.format(steps=50)) == (0, "done\n")
    assert group.oom_kills() == 0
    assert group.peak_bytes() == 0 or 50 * MIB <= group.peak_bytes() <= 128 * MIB


def test_the_limit_is_of_all_processes_together(cgroups: Cgroups) -> None:
    group = cgroups.new_group()
    group.limit_memory(96 * MIB)
    forks = "import os\nkept = b'x' * (40 << 20)\nif os.fork():\n    kept = b'y' * (40 << 20)\n"
    code = forks + "    os.wait()\nelse: kept = b'z' * (60 << 20)"
    run_in(group, code)
    assert group.oom_kills() >= 1


def test_a_limit_can_be_raised_and_lowered(cgroups: Cgroups) -> None:
    group = cgroups.new_group()
    for limit in (64 * MIB, 256 * MIB, 16 * MIB):
        group.limit_memory(limit)
        assert group.memory_limit() == limit
    group.limit_memory(256 * MIB)
    assert run_in(group, ALLOCATE.format(steps=100)) == (0, "done\n")


def test_processes_are_bounded_where_the_hierarchy_can(cgroups: Cgroups) -> None:
    group = cgroups.new_group()
    group.limit_processes(3)
    if not (group.path / "pids.max").exists():
        pytest.skip("the pids controller is not in this hierarchy: cgroup v2 has it")
    code = (
        "import os, time\nchildren = []\n"
        "try:\n    while True:\n"
        "        children.append(os.fork())\n"
        "        if not children[-1]: time.sleep(60)\n"
        "except BlockingIOError: print(len(children))\n"
        "for pid in children: os.kill(pid, 9)"
    )
    assert run_in(group, code) == (0, "2\n")
    assert removed(group)


def test_a_group_with_a_process_in_it_stays_until_that_is_dead(cgroups: Cgroups) -> None:
    group = cgroups.new_group()
    with started("") as process:
        group.add(process.pid)
        assert group.pids() == [process.pid]
        assert not group.remove()
        process.kill()
    assert removed(group)
    assert not group.path.exists()
    assert group.remove()


def test_a_process_that_is_gone_cannot_be_added(cgroups: Cgroups) -> None:
    with started("") as process:
        process.kill()
    with pytest.raises(ProcessLookupError):
        cgroups.new_group().add(process.pid)


def test_a_group_that_is_gone_says_which_file(cgroups: Cgroups) -> None:
    group = cgroups.new_group()
    assert group.remove()
    with pytest.raises(SandboxUnavailable, match=r"cgroup\.procs"):
        group.add(os.getpid())


def test_two_executors_do_not_disturb_one_another(cgroups: Cgroups) -> None:
    small = cgroups.new_group()
    small.limit_memory(32 * MIB)
    with open_cgroups() as other:
        assert isinstance(other, Cgroups)
        assert other.path != cgroups.path
        large = other.new_group()
        large.limit_memory(256 * MIB)
        assert run_in(small, ALLOCATE.format(steps=100))[0] == -9
        assert run_in(large, ALLOCATE.format(steps=100))[0] == 0
        assert (small.oom_kills(), large.oom_kills()) == (1, 0)
    assert not other.path.exists()
    assert small.memory_limit() == 32 * MIB


def test_nothing_is_left_once_closed(base: Path) -> None:
    with open_cgroups() as opened:
        assert isinstance(opened, Cgroups)
        with started("") as process:
            for group in [opened.new_group() for _ in range(3)]:
                group.add(process.pid)
            process.kill()
    assert not opened.path.exists()


def dead_owner() -> str:
    """The name of the groups of a process that has ended."""
    code = (
        "from backend.sandbox.walls.cgroup_places import group_name, leaf_name\n"
        "print(group_name(0), leaf_name())"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout


def a_tree(base: Path, name: str) -> Path:
    (base / name / "0").mkdir(parents=True)
    return base / name


def test_groups_of_dead_owners_are_removed_at_the_next_opening(base: Path) -> None:
    groups = [a_tree(base, name) for name in dead_owner().split()]
    with open_cgroups():
        assert [group for group in groups if group.exists()] == []


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(lambda: group_name(77), id="owner lives"),
        pytest.param(lambda: "python-coder-notes", id="not named like ours"),
        pytest.param(lambda: "other-python-coder-2-3-0", id="like ours at its end only"),
    ],
)
def test_other_groups_are_not_swept(base: Path, name: Callable[[], str]) -> None:
    group = a_tree(base, name())
    try:
        sweep(base)
        assert (group / "0").exists()
    finally:
        (group / "0").rmdir()
        group.rmdir()


def test_the_start_time_tells_an_owner_from_one_with_the_same_pid(base: Path) -> None:
    group = a_tree(base, f"python-coder-{os.getpid()}-1-0")
    sweep(base)
    assert not group.exists()


def test_a_stale_group_with_a_process_in_it_is_left_alone(base: Path) -> None:
    group = a_tree(base, dead_owner().split()[0])
    with started("") as process:
        Cgroup(group / "0", 1).add(process.pid)
        sweep(base)
        assert Cgroup(group / "0", 1).pids() == [process.pid]
        process.kill()
    assert any(sweep(base) is None and not group.exists() for _ in range(10_000))


def test_no_group_of_ours_is_said_with_a_remedy() -> None:
    code = (
        "from backend.sandbox.walls.cgroups import Cgroups, open_cgroups\n"
        "with open_cgroups() as found: pass\n"
        "print('usable' if isinstance(found, Cgroups) else found.reason + '|' + found.remedy)"
    )
    root = Path(__file__).parents[2]
    command = ["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-c", code]
    if os.geteuid() == 0 and shutil.which("setpriv"):
        ran = subprocess.run(command, cwd=root, capture_output=True, text=True)
        if ran.returncode == 0:
            reason, remedy = ran.stdout.split("|")
            assert "denied" in reason
            assert "root" in remedy or "systemd-run" in remedy
            return
    pytest.skip("needs root, setpriv and an interpreter that others can read")


def test_only_a_leaf_of_ours_is_one(tmp_path: Path) -> None:
    assert is_leaf(tmp_path / leaf_name())
    assert not is_leaf(tmp_path / group_name(0))
    assert not is_leaf(tmp_path / "python-coder-server-x")


HAND_DOWN = """
import json, os, subprocess, sys
from pathlib import Path
from backend.errors import SandboxUnavailable
from backend.sandbox.walls.cgroup_base import hand_down
group, wanted = Path(sys.argv[1]), (sys.argv[2], "pids")
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
words = lambda path: path.read_text().split()
try:
    base = hand_down(group, wanted)
    leaf = next(group.glob("python-coder-server-*"))
    again = hand_down(leaf, wanted)
    moved = sorted(map(int, words(leaf / "cgroup.procs"))) == sorted([os.getpid(), child.pid])
    said = [base == again == group, moved]
except SandboxUnavailable as error:
    said = [error.what, error.remedy]
left = words(group / "cgroup.procs")
handed = words(group / "cgroup.subtree_control")
child.kill(); child.wait()
print(json.dumps({"said": said, "left": len(left), "handed": handed}))
"""


@pytest.fixture
def delegated() -> Iterator[tuple[Path, str]]:
    """An empty v2 group, and a controller that it may hand down."""
    with open_cgroups() as opened:
        on_v2 = isinstance(opened, Cgroups) and opened.version == 2
        base = opened.path.parent if on_v2 else Path("/sys/fs/cgroup/unified")
        control = base / "cgroup.subtree_control"
        if os.geteuid() != 0 or not control.exists():
            pytest.skip("needs a v2 hierarchy and, where memory is v1, root")
        names = ("memory",) if on_v2 else tuple((base / "cgroup.controllers").read_text().split())
        if not names:
            pytest.skip(f"no controller is left for the v2 hierarchy at {base}")
        before = control.read_text().split()
        control.write_text(f"+{names[0]}")
        group = base / f"test-{os.getpid()}"
        group.mkdir()
        try:
            yield group, names[0]
        finally:
            assert any(remove_tree(group) for _ in range(10_000))
            if names[0] not in before:
                control.write_text(f"-{names[0]}")


def hand_down_in(group: Path, controller: str) -> dict[str, Any]:
    """What a process that is put into ``group`` comes to when it hands the controller down."""
    command = [sys.executable, "-c", f"input()\n{HAND_DOWN}", str(group), controller]
    pipe = subprocess.PIPE
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=root) as process:
        Cgroup(group, 2).add(process.pid)
        out, _ = process.communicate("\n", timeout=60)
    said: dict[str, Any] = json.loads(out)
    return said


def test_a_server_alone_in_its_v2_group_moves_below_it(delegated: tuple[Path, str]) -> None:
    group, controller = delegated
    found = hand_down_in(group, controller)
    assert found["said"] == [True, True]
    assert found["left"] == 0
    assert controller in found["handed"]


def test_a_stranger_in_the_v2_group_is_named_and_nothing_is_moved(
    delegated: tuple[Path, str],
) -> None:
    group, controller = delegated
    with started("") as stranger:
        Cgroup(group, 2).add(stranger.pid)
        found = hand_down_in(group, controller)
        assert Cgroup(group, 2).pids() == [stranger.pid]
        stranger.kill()
    what, remedy = found["said"]
    assert f"(pid {stranger.pid})" in what
    assert "systemd-run --user --scope -p Delegate=yes" in remedy
    assert (found["left"], found["handed"]) == (3, [])
    assert not list(group.glob("python-coder-*"))


def test_a_controller_that_is_not_given_is_named(delegated: tuple[Path, str]) -> None:
    group, _ = delegated
    found = hand_down_in(group, "nonesuch")
    assert "nonesuch" in found["said"][0]
    assert (found["left"], found["handed"]) == (2, [])
