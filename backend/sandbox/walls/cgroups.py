"""Control groups for programs: what the kernel itself holds against all processes of one together.

Everything here blocks, for microseconds but for ``Cgroup.add``, which the kernel takes some
milliseconds for.
"""

from __future__ import annotations

import errno
import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from backend.errors import SandboxUnavailable
from backend.sandbox.walls import cgroup_base
from backend.sandbox.walls.cgroup import Cgroup, failed
from backend.sandbox.walls.cgroup_places import Place, group_name, own_place, remove_tree, sweep

_END_SECONDS = 2.0
"""For the groups of killed processes to be empty."""
_RETRY_SECONDS = 0.005
_TRIAL_BYTES = 64 * 1024 * 1024
_TRIAL_PROCESSES = 16

_IN_CONTAINER = (
    "In Docker, start the container with --cgroupns=private --security-opt writable-cgroups=true "
    "(Docker 28 or newer); in Podman, with --security-opt unmask=/sys/fs/cgroup; and be root there."
)
_AS_ROOT = (
    "Run the server as root (programs run as nobody all the same), or boot with cgroup v2: "
    "systemd.unified_cgroup_hierarchy=1."
)


@dataclass(frozen=True, kw_only=True)
class Unusable:
    """Why there are no control groups here, and the command that would give them."""

    reason: str
    remedy: str


class Cgroups:
    """The groups of one executor, in a group of their own; made by ``open_cgroups``."""

    def __init__(self, place: Place, path: Path) -> None:
        self.version = place.version
        self.path = path
        self._names = itertools.count()

    def new_group(self) -> Cgroup:
        """Make an empty group without limits.

        Raises:
            SandboxUnavailable: it cannot be made.
        """
        path = self.path / str(next(self._names))
        try:
            path.mkdir()
        except OSError as error:
            raise failed(path, error) from error
        return Cgroup(path, self.version)

    def close(self) -> None:
        """Remove them all; waits 2 seconds at most for processes that are dying.

        What is not empty then is left for whoever sweeps next.
        """
        _retry(lambda: remove_tree(self.path))
        sweep(self.path.parent)


@contextmanager
def open_cgroups() -> Iterator[Cgroups | Unusable]:
    """Groups for one executor, removed at the end, or why there are none.

    That they work is tried out: limit, process and counters. Groups left by a killed process of
    ours are removed. On v2 this process and its children may be moved, once and for good, into a
    group below theirs; only if nobody else is in theirs.
    """
    opened = _open()
    try:
        yield opened
    finally:
        if isinstance(opened, Cgroups):
            opened.close()


def _open() -> Cgroups | Unusable:
    place = own_place()
    if place is None:
        return Unusable(
            reason="No cgroup hierarchy with our own group in it is mounted.",
            remedy=f"Mount /sys/fs/cgroup. {_IN_CONTAINER}",
        )
    try:
        cgroups = _make(place)
        try:
            _try_out(cgroups)
        except BaseException:
            cgroups.close()
            raise
    except SandboxUnavailable as error:
        cause = error.__cause__
        remedy = _remedy(place, cause.errno) if isinstance(cause, OSError) else error.remedy
        return Unusable(reason=error.what, remedy=remedy or _remedy(place))
    except OSError as error:
        what = failed(place.group, error).what
        return Unusable(reason=what, remedy=_remedy(place, error.errno))
    return cgroups


def _make(place: Place) -> Cgroups:
    base = cgroup_base.hand_down(place.group) if place.version == 2 else place.group
    sweep(base)
    path = _make_first_free(base)
    try:
        if place.version == 2:
            cgroup_base.hand_down(path)
    except BaseException:
        remove_tree(path)
        raise
    return Cgroups(place, path)


def _make_first_free(base: Path) -> Path:
    serial = 0
    while True:
        path = base / group_name(serial)
        with suppress(FileExistsError):
            path.mkdir()
            return path
        serial += 1


def _try_out(cgroups: Cgroups) -> None:
    """Hold a process in a group for a moment.

    Raises:
        SandboxUnavailable: anything did not do what it should.
    """
    group = cgroups.new_group()
    group.limit_memory(_TRIAL_BYTES)
    group.limit_processes(_TRIAL_PROCESSES)
    command = [sys.executable, "-I", "-S", "-c", "input()"]
    nothing = subprocess.DEVNULL
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=nothing, stderr=nothing
    ) as sleeper:
        try:
            group.add(sleeper.pid)
            is_held = sleeper.pid in group.pids() and group.memory_limit() == _TRIAL_BYTES
        finally:
            sleeper.kill()
    counted = group.oom_kills(), group.peak_bytes()
    if not (is_held and _retry(group.remove)):
        raise SandboxUnavailable(
            f"A process put into {group.path} was not held there (counted: {counted})."
        )


def _retry(done: Callable[[], bool]) -> bool:
    """Ask until it is done or processes have had all the time to die; whether it is."""
    deadline = time.monotonic() + _END_SECONDS
    while not (is_done := done()) and time.monotonic() < deadline:
        time.sleep(_RETRY_SECONDS)
    return is_done


def _remedy(place: Place, number: int | None = None) -> str:
    if number == errno.EROFS:
        return _IN_CONTAINER
    if place.version == 1:
        return _AS_ROOT
    in_container = Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()
    return _IN_CONTAINER if in_container else cgroup_base.DELEGATION
