"""Which walls really stood around a run: compared and reported, never assumed."""

from __future__ import annotations

import os
from collections.abc import Mapping

from backend.sandbox.walls.anywalls import AnyWalls
from backend.types import Isolation

_NAMESPACES = {
    "user": "user namespace",
    "pid": "pid namespace",
    "mnt": "mount namespace",
    "ipc": "ipc namespace",
    "uts": "uts namespace",
    "cgroup": "cgroup namespace",
    "net": "no network",
}


def own_namespaces() -> dict[str, str]:
    """The namespaces of this process; it reads links, which an event loop should not wait for."""
    return {name: os.readlink(f"/proc/self/ns/{name}") for name in _NAMESPACES}


def isolation_of(
    standing: Mapping[str, str],
    walls: tuple[str, ...],
    setup: AnyWalls,
    *,
    outside: Mapping[str, str],
    has_cgroup: bool,
) -> Isolation:
    """The isolation of a run.

    Args:
        standing: the keeper's namespaces and uid, in its own words.
        walls: what the program's process built before the program's code began.
        setup: what was asked for; bubblewrap starts nothing when it cannot give that.
        outside: the namespaces of this process.
        has_cgroup: the keeper was put into a control group with a limit on memory.
    """
    found = [
        wall
        for name, wall in _NAMESPACES.items()
        if name in standing and standing[name] != outside[name]
    ]
    if setup.allow_network and "no network" in found:
        found.remove("no network")
    if not setup.has_namespaces:
        return _without_namespaces(standing, walls, setup, has_cgroup=has_cgroup)
    if standing.get("uid") not in (None, "0"):
        found.append("unprivileged user")
    found += ["read-only root", "empty environment", "private file systems", *walls]
    found.append("memory watchdog")
    if has_cgroup:
        found.append("memory cgroup")
    return Isolation(executor="local", tier="A" if has_cgroup else "B", walls=tuple(found))


def _without_namespaces(
    standing: Mapping[str, str], walls: tuple[str, ...], setup: AnyWalls, *, has_cgroup: bool
) -> Isolation:
    """What is left: a run shares the host's processes, mounts and network with everyone."""
    found = [] if standing.get("uid") in (None, "0", str(os.geteuid())) else ["unprivileged user"]
    if not setup.allow_network:
        found.append("no sockets")
    found += ["empty environment", *walls, "memory watchdog"]
    if has_cgroup:
        found.append("memory cgroup")
    return Isolation(executor="local", tier="C", walls=tuple(found))
