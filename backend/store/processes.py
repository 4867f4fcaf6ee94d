"""Processes by a name that outlives them: to tell whether who began a piece of work is still there.

A pid alone says nothing: it is given out again. So the name also holds when the process started,
since which boot that counts, and in which pid namespace the number means anything.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Literal

Presence = Literal["alive", "gone", "unknown"]
"""``unknown``: it lives, or lived, where this process cannot look."""

_PROC = Path("/proc")
_STATE, _START = 0, 19
"""Fields of ``/proc/PID/stat`` behind the command's closing bracket."""


def this_process() -> str:
    """The name of this process: ``HOST BOOT NAMESPACE PID TICKS``."""
    return _name_of(os.getpid())  # a fork has another


@cache
def _name_of(pid: int) -> str:
    return " ".join((*_place(), str(pid), _stat(pid)[_START]))


def presence_of(process: str) -> Presence:
    """Whether a process that ``this_process`` named is still there; a zombie is not."""
    if process.count(" ") != 4:
        return "unknown"  # a name of another version's
    host, boot, namespace, pid, ticks = process.split(" ")
    here = _place()
    if host != here[0]:
        return "unknown"
    if boot != here[1]:
        return "gone"
    if namespace != here[2]:
        return "unknown"
    try:
        stat = _stat(int(pid))
    except (FileNotFoundError, ProcessLookupError):
        return "gone"
    return "alive" if stat[_START] == ticks and stat[_STATE] not in "ZX" else "gone"


def _place() -> tuple[str, str, str]:
    boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    namespace = os.stat(_PROC / "self/ns/pid").st_ino
    return os.uname().nodename[:120].replace(" ", "_"), boot, str(namespace)


def _stat(pid: int) -> list[str]:
    text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    return text.rpartition(")")[2].split()
