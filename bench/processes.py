"""Processes as /proc shows them."""

from __future__ import annotations

import ctypes
import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process at one moment."""

    pid: int
    parent: int
    name: str
    state: str
    """``Z`` has ended and waits to be asked for its status."""


def adopt_orphans() -> None:
    """From now on, descendants whose parents die become our children: none can hide from us."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def bury_orphans() -> None:
    """Ask every child that has ended for its status. Only when nobody else waits for any."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def descendants(root: int | None = None) -> list[Process]:
    """Everything below a process (None: this one)."""
    below: dict[int, list[Process]] = defaultdict(list)
    for process in _all():
        below[process.parent].append(process)
    found: list[Process] = []
    pending = [root or os.getpid()]
    while pending:
        children = below[pending.pop()]
        found += children
        pending += [child.pid for child in children]
    return found


def living(root: int | None = None) -> list[str]:
    """Name and number of everything below a process that has not ended."""
    return [f"{each.name} {each.pid}" for each in descendants(root) if each.state != "Z"]


def _all() -> Iterator[Process]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            head, _, rest = (entry / "stat").read_text(errors="replace").rpartition(")")
            state, parent = rest.split()[:2]
            name = head.partition("(")[2]
            yield Process(pid=int(entry.name), parent=int(parent), name=name, state=state)


def resident_mib(pid: int | None = None) -> float:
    """Resident memory of one process."""
    pages = int(Path(f"/proc/{pid or os.getpid()}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
