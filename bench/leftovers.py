"""What a sandbox could leave behind on this machine, counted before and after."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.processes import descendants

_CGROUPS = Path("/sys/fs/cgroup")
_SHARED_MEMORY = Path("/dev/shm")
_GROUP = re.compile(r"python-coder-(?:server-)?(?P<pid>\d+)-.*")


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """Everything that counts, at one moment."""

    processes: tuple[str, ...]
    """Ours, whatever their state."""
    mounts: tuple[str, ...]
    cgroups: tuple[str, ...]
    descriptors: tuple[str, ...]
    """Of this process, by what they are open on."""
    files: tuple[str, ...]
    """Under the folders that were named, and in /dev/shm."""

    def more_than(self, before: Inventory) -> dict[str, list[str]]:
        """Kind -> what there is more of; by number for what has no lasting name."""
        return {
            "processes": _more(self.processes, before.processes),
            "mounts": sorted(set(self.mounts) - set(before.mounts)),
            "cgroups": _more(self.cgroups, before.cgroups),
            "descriptors": _more(self.descriptors, before.descriptors),
            "files": _more(self.files, before.files),
        }


def take_inventory(folders: Sequence[Path], servers: Collection[int] = ()) -> Inventory:
    """Count.

    Args:
        folders: where nothing but the sandbox writes.
        servers: whose control groups are counted beside this process's own: others may be at work.
    """
    return Inventory(
        processes=tuple(f"{each.name} {each.pid} {each.state}" for each in descendants()),
        mounts=tuple(Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()),
        cgroups=tuple(_cgroups({os.getpid(), *servers})),
        descriptors=tuple(_descriptors()),
        files=tuple(_files([*folders, _SHARED_MEMORY])),
    )


def _more(after: Sequence[str], before: Sequence[str]) -> list[str]:
    surplus = len(after) - len(before)
    if surplus <= 0:
        return []
    new = [each for each in after if each not in set(before)]
    return new or [f"{surplus} more of the same"]


def _cgroups(owners: Collection[int]) -> list[str]:
    found = []
    for folder, _, _ in os.walk(_CGROUPS):
        named = _GROUP.fullmatch(os.path.basename(folder))
        if named and int(named["pid"]) in owners:
            found.append(folder)
    return found


def _descriptors() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
        except OSError:  # the one that lists them
            continue
    return found


def _files(folders: Sequence[Path]) -> list[str]:
    return sorted(str(path) for folder in folders if folder.is_dir() for path in folder.rglob("*"))
