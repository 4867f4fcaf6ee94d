"""How much the program's processes use together, read from /proc by their keeper."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any

from . import family, kernel, places

_MEMORY_LINES = {b"RssAnon", b"RssShmem", b"VmPTE"}
"""Page tables too: a large mapping that is only read from costs nothing else."""
_SHARE_LINES = {b"Pss_Anon", b"Pss_Shmem"}
"""Of what several processes share, the part that falls to this one."""
_MAX_READ_BYTES = 1 << 20
"""Bytes of one file of /proc that are looked at."""
_MAX_DESCRIPTORS = 4096
"""Of all processes together, where the sockets among them cannot be told apart from the host's."""
_MAX_SOCKETS = 1024
"""Each can hold some 200 KiB of what was sent and not received, which nothing else accounts for."""


class Meter:
    """Compares what all processes of a run use with its limits."""

    def __init__(
        self,
        limits: Mapping[str, Any],
        main: int,
        inherited_bytes: int,
        *,
        shares_network: bool,
        bystanders: Collection[int],
    ) -> None:
        self._main = main if bystanders else 0
        """A session's process shares its memory with the states to go back to, and all of it is
        its own; of a single program's, others hold nothing."""
        # What a program was born with lies in three processes at least, and a third falls to it.
        self._memory = int(limits["memory_bytes"])
        self._memory += inherited_bytes if bystanders else inherited_bytes // 3
        self._disk = int(limits["disk_bytes"])
        self._inodes = int(limits["inodes"])
        self._processes = int(limits["processes"])
        self._cpu_s = float(limits["cpu_s"])
        self._shares_network = shares_network
        """The host's sockets would be counted, too."""
        self._bystanders = bystanders
        self._cpu_before: float | None = None

    def over(self) -> str:
        """The limit that is passed now: ``memory``, ``processes``, ``disk``, ``cpu``, or nothing."""
        pids = [str(pid) for pid in living() if pid != 1 and pid not in self._bystanders]
        is_apart = os.getpid() == 1
        if len(pids) > self._processes:
            return "processes"  # at once: they leave their keeper little time to look closer
        threads, resident = _totals(pids)
        shared_bytes = _used("/dev/shm")[0] if is_apart else 0
        if resident + shared_bytes > self._memory and (
            _memory(pids, shared_bytes, self._main) > self._memory
        ):
            return "memory"
        if not self._shares_network and _sockets() > _MAX_SOCKETS:
            return "memory"
        if not is_apart and _descriptors(pids) > _MAX_DESCRIPTORS:
            return "memory"
        if threads > self._processes:
            return "processes"
        if self._cpu_s and self._new_cpu_seconds(pids) > self._cpu_s:
            return "cpu"
        is_full = self._disk_is_full() if is_apart else self._folders_are_full(pids)
        return "disk" if is_full else ""

    def _new_cpu_seconds(self, pids: list[str]) -> float:
        """Processor seconds since the first look, which comes with the first moments."""
        now = _cpu_seconds(pids)
        if self._cpu_before is None:
            self._cpu_before = now
        return now - self._cpu_before

    def _disk_is_full(self) -> bool:
        places = [_used("/workspace"), _used("/tmp"), _used("/dev/shm")]
        on_disk = places[0][0] + places[1][0]
        return on_disk > self._disk or sum(inodes for _, inodes in places) > self._inodes

    def _folders_are_full(self, pids: list[str]) -> bool:
        """What lies in the run's folders, and what is open and lies in none any more."""
        unlinked = _unlinked(pids)
        size, count = sum(unlinked.values()), len(unlinked)
        for folder in (places.workspace(), places.temporary()):
            for found in _entries(folder):
                size += found.st_blocks * 512
                count += 1
                if size > self._disk or count > self._inodes:
                    return True
        return size > self._disk


def living() -> list[int]:
    """Process ids in the own namespace, of those that have ended and were not waited for too.

    Where there is no such namespace, those that came from this process.
    """
    if os.getpid() != 1:
        return family.descendants(os.getpid())
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def is_running(pid: int) -> bool:
    """It is there, and has not ended."""
    return state(pid) not in ("Z", "")


def state(pid: int) -> str:
    """The kernel's letter for what it does, ``T`` when it is stopped; empty when it is gone."""
    return _read(f"/proc/{pid}/stat").rpartition(b")")[2].strip()[:1].decode()


def resident_bytes(pid: int) -> int:
    """Bytes of anonymous memory that a process has."""
    for line in _read(f"/proc/{pid}/status").splitlines():
        name, _, rest = line.partition(b":")
        if name == b"RssAnon":
            return int(rest.split()[0]) * 1024
    return 0


def _cpu_seconds(pids: list[str]) -> float:
    """Processor seconds of those that run and of those that have been waited for."""
    ticks = 0
    for pid in pids:
        fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        ticks += sum(int(field) for field in fields[11:15])
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ticks / os.sysconf("SC_CLK_TCK") + used.ru_utime + used.ru_stime


def _totals(pids: list[str]) -> tuple[int, int]:
    """Threads, and bytes of memory in which what is shared counts once for each sharer."""
    threads = kilobytes = 0
    for pid in pids:
        for line in _read(f"/proc/{pid}/status").splitlines():
            name, _, rest = line.partition(b":")
            if name in _MEMORY_LINES:
                kilobytes += int(rest.split()[0])
            elif name == b"Threads":
                threads += int(rest)
    return threads, kilobytes * 1024


def _memory(pids: list[str], shared_bytes: int, main: int) -> int:
    """Bytes that would come free if the run ended: anonymous memory, shared memory once.

    Of ``main``, all that it has counts, whoever else has it.
    """
    own = shared = 0
    seen: list[int] = []
    for pid in pids:
        # Until it executes something, the child of a vfork is a second name for the same memory.
        if any(kernel.share_memory(int(pid), other) for other in seen):
            continue
        seen.append(int(pid))
        its_own, its_share = _memory_of(pid)
        if int(pid) == main:
            its_own = resident_bytes(main)
        own += its_own
        shared += its_share
    return own + max(shared, shared_bytes)


def _memory_of(pid: str) -> tuple[int, int]:
    """Bytes of its own, page tables among them, and its share of what is shared."""
    found: dict[bytes, int] = {}
    text = _read(f"/proc/{pid}/smaps_rollup") + _read(f"/proc/{pid}/status")
    for line in text.splitlines():
        name, _, rest = line.partition(b":")
        if name in _MEMORY_LINES or name in _SHARE_LINES:
            found[name] = int(rest.split()[0]) * 1024
    page_tables = found.get(b"VmPTE", 0)
    if b"Pss_Anon" not in found:
        # A process may forbid others to look at it so closely: then all it has is its own.
        return found.get(b"RssAnon", 0) + found.get(b"RssShmem", 0) + page_tables, 0
    return found[b"Pss_Anon"] + page_tables, found.get(b"Pss_Shmem", 0)


def _used(folder: str) -> tuple[int, int]:
    """Bytes and inodes in use in a folder's file system."""
    found = os.statvfs(folder)
    return (found.f_blocks - found.f_bfree) * found.f_frsize, found.f_files - found.f_ffree


def _entries(folder: str) -> Iterator[os.stat_result]:
    """Everything below a folder, as far as it can be read; what goes away meanwhile is left out."""
    folders = [folder]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    with suppress(OSError):
                        yield entry.stat(follow_symlinks=False)
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(entry.path)
        except OSError:
            continue


def _unlinked(pids: list[str]) -> dict[tuple[int, int], int]:
    """Bytes of each regular file that some process has open and that has no name any more."""
    found: dict[tuple[int, int], int] = {}
    for pid in pids:
        with suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    file = os.stat(f"/proc/{pid}/fd/{name}")
                    if stat.S_ISREG(file.st_mode) and not file.st_nlink:
                        found[file.st_dev, file.st_ino] = file.st_blocks * 512
    return found


def _descriptors(pids: list[str]) -> int:
    count = 0
    for pid in pids:
        with suppress(OSError):
            count += len(os.listdir(f"/proc/{pid}/fd"))
    return count


def _sockets() -> int:
    return _read("/proc/net/unix").count(b"\n") - 1


def _read(path: str) -> bytes:
    """A file of /proc; empty when the process has just gone."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        text = b""
        while len(text) < _MAX_READ_BYTES and (more := os.read(fd, 1 << 16)):
            text += more
        return text
    except OSError:
        return b""
    finally:
        os.close(fd)
