"""What a sandbox costs that waits for its program.

Sandboxes are found from outside, as groups of our descendants that share a pid namespace two levels
below ours: the first level is the zygote's.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from bench.processes import descendants

_FIELD = re.compile(r"^(\w+):\s+(\d+) kB", re.MULTILINE)
_ZYGOTE, _SANDBOX = 1, 2
"""Levels of pid namespaces below ours."""


@dataclass(frozen=True, kw_only=True)
class ParkedMemory:
    """MiB, in the mean over the sandboxes that were parked."""

    sandboxes: int
    private_mib: float
    """Private_Clean + Private_Dirty of all its processes."""
    marginal_mib: float
    """What the sandboxes add to the zygote's anonymous memory: also what two processes of the same
    sandbox share, which is private to neither."""


def parked_memory(root: int | None = None) -> ParkedMemory | None:
    """Of the sandboxes below a process (None: this one); None where none waits or none is shown."""
    levels = _levels(root or os.getpid())
    groups = levels[_SANDBOX]
    try:
        sandboxes = [_smaps(pid) for pids in groups.values() for pid in pids]
        zygotes = [_smaps(pid) for pids in levels[_ZYGOTE].values() for pid in pids]
    except OSError:
        return None
    if not sandboxes:
        return None
    private = sum(each["Private_Clean"] + each["Private_Dirty"] for each in sandboxes)
    together = sum(each.get("Pss_Anon", 0) for each in (*sandboxes, *zygotes))
    alone = sum(each.get("Anonymous", 0) for each in zygotes)
    return ParkedMemory(
        sandboxes=len(groups),
        private_mib=private / 1024 / len(groups),
        marginal_mib=(together - alone) / 1024 / len(groups),
    )


def zygote_pids(root: int | None = None) -> list[int]:
    """Zygotes below a process (None: this one)."""
    return [pid for pids in _levels(root or os.getpid())[_ZYGOTE].values() for pid in pids]


def _levels(root: int) -> dict[int, dict[str, list[int]]]:
    """Levels below ours -> pid namespace -> its processes."""
    ours = _depth(os.getpid())
    found: dict[int, dict[str, list[int]]] = {
        level: defaultdict(list) for level in (_ZYGOTE, _SANDBOX)
    }
    for process in descendants(root):
        try:
            level = _depth(process.pid) - ours
            namespace = os.readlink(f"/proc/{process.pid}/ns/pid")
        except OSError:
            continue
        if level in found:
            found[level][namespace].append(process.pid)
    return found


def _depth(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(r"^NSpid:(.*)$", status, re.MULTILINE)
    return len(found[1].split()) if found else 1


def _smaps(pid: int) -> dict[str, int]:
    """kB by field."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    return {name: int(kb) for name, kb in _FIELD.findall(text)}
