"""How much the program's processes use together, read from /proc by their keeper."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Meter:
    """Compares what all processes of a run use with its limits."""

    def __init__(self, limits: Mapping[str, Any]) -> None:
        self._memory = int(limits["memory_bytes"])
        self._disk = int(limits["disk_bytes"])
        self._inodes = int(limits["inodes"])
        self._processes = int(limits["processes"])

    def over(self) -> str:
        """The limit that is passed now: ``memory``, ``processes``, ``disk``, or nothing."""
        pids = [name for name in os.listdir("/proc") if name.isdigit() and name != "1"]
        threads, resident = _totals(pids)
        shared_bytes, _ = _used("/dev/shm")
        if resident + shared_bytes > self._memory and _memory(pids, shared_bytes) > self._memory:
            return "memory"
        if threads > self._processes:
            return "processes"
        return "disk" if self._disk_is_full() else ""

    def _disk_is_full(self) -> bool:
        places = [_used("/workspace"), _used("/tmp"), _used("/dev/shm")]
        on_disk = places[0][0] + places[1][0]
        return on_disk > self._disk or sum(inodes for _, inodes in places) > self._inodes


def _totals(pids: list[str]) -> tuple[int, int]:
    """Threads and resident bytes; what is shared counts once for each sharer."""
    threads = resident = 0
    for pid in pids:
        # proc(5): after the name in brackets, field 3 is the first; 20 num_threads, 24 rss.
        fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        if len(fields) > 21:
            threads += int(fields[17])
            resident += int(fields[21]) * _PAGE
    return threads, resident


def _memory(pids: list[str], shared_bytes: int) -> int:
    """Bytes that would come free if the run ended: anonymous memory, shared memory once."""
    anonymous = shared = 0
    for pid in pids:
        for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith(b"Pss_Anon:"):
                anonymous += int(line.split()[1]) * 1024
            elif line.startswith(b"Pss_Shmem:"):
                shared += int(line.split()[1]) * 1024
    return anonymous + max(shared, shared_bytes)


def _used(folder: str) -> tuple[int, int]:
    """Bytes and inodes in use in a folder's file system."""
    found = os.statvfs(folder)
    return (found.f_blocks - found.f_bfree) * found.f_frsize, found.f_files - found.f_ffree


def _read(path: str) -> bytes:
    """A file of /proc; empty when the process has just gone."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(fd, 1 << 16)
    except OSError:
        return b""
    finally:
        os.close(fd)
