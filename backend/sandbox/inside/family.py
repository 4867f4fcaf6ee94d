"""Who came from whom, where a run has no namespace of process ids to itself: read from /proc."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

_READ_BYTES = 4096
_BETWEEN_SECONDS = 0.001


def descendants(root: int) -> list[int]:
    """Every process that came from ``root``, of those that have ended and were not waited for too."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (parent := _parent_of(name)):
            children.setdefault(parent, []).append(int(name))
    found = list(children.get(root, ()))
    for pid in found:
        found += children.get(pid, ())
    return found


def end_all_but(*spared: int) -> None:
    """Kill and collect every descendant but ``spared`` and what came from them.

    They are stopped before they are killed: what is stopped has no more children meanwhile.
    """
    while strangers := set(descendants(os.getpid())) - {
        each for pid in spared for each in (pid, *descendants(pid))
    }:
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in strangers:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
        for pid in strangers:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(_BETWEEN_SECONDS)


def threads_of(uid: int) -> int:
    """Threads of all processes of a user, which is what the kernel counts."""
    count = 0
    for name in os.listdir("/proc"):
        with suppress(OSError):
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == uid:
                count += len(os.listdir(f"/proc/{name}/task"))
    return count


def _parent_of(name: str) -> int:
    """0 for a process that has gone."""
    try:
        fd = os.open(f"/proc/{name}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return int(os.read(fd, _READ_BYTES).rpartition(b")")[2].split()[1])
    except (OSError, IndexError):
        return 0
    finally:
        os.close(fd)
