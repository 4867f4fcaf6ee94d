"""What one run may use: from the request where it says so, else from the settings."""

from __future__ import annotations

import functools
import math
import os
from dataclasses import dataclass
from typing import Any

from backend.config.settings import Settings
from backend.errors import RequestError
from backend.types import ExecutionRequest

MIB = 1024 * 1024

HEADROOM_MB = 256
"""MiB of private writable address space above the memory limit: libraries reserve more than they
use (one BLAS buffer and one stack a thread), and only what is used is held against a program."""

_OURS_BYTES = 64 * MIB
"""Of a control group, for the keeper and for what the kernel counts besides."""

OPEN_FILES = 512
"""Descriptors one process may hold; also bounds what can be parked in socket buffers."""

INODES = 50_000
"""Files and folders one run may make; each costs the kernel about a KiB."""

FLOOD_BYTES = 256 * MIB
"""Bytes of stdout and stderr together after which a program is stopped rather than cut."""

VALUE_BYTES = 64 * 1024
"""Bytes kept of the last expression's ``repr``."""

MAX_TIMEOUT_S = 24 * 3600


@dataclass(frozen=True, kw_only=True)
class ArtifactCaps:
    """How much of what a program wrote is handed out."""

    files: int = 200
    file_bytes: int = 64 * MIB
    total_bytes: int = 128 * MIB
    depth: int = 16
    """Folders below the working directory."""
    seconds: float = 5.0
    """For looking and reading, however large the tree is."""
    entries: int = 20_000
    """Directory entries looked at."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of one run, resolved."""

    timeout_s: float
    memory_mb: int
    disk_mb: int
    processes: int
    cpu_s: float
    """All processes together, in seconds; 0: what the time-out allows."""
    output_bytes: int
    """Kept of each of stdout and stderr."""
    artifacts: ArtifactCaps

    def rlimits(self) -> dict[str, int]:
        """Resource limits that depend on the request, by their names in the ``resource`` module.

        Held against one process each; what all use together is the keeper's to watch.
        """
        return {
            "RLIMIT_CPU": math.ceil(self._all_cpu_s) + 2,
            "RLIMIT_DATA": (self.memory_mb + HEADROOM_MB) * MIB,
        }

    def group_bytes(self, *, is_session: bool) -> int:
        """Bytes for a control group: there, files in memory count too, and our own processes.

        A session may have as much again, for the states that it can be brought back to.
        """
        program = (self.memory_mb + self.disk_mb) * MIB
        return program * (2 if is_session else 1) + _OURS_BYTES

    @property
    def _all_cpu_s(self) -> float:
        """A wall-clock second has one of processor time for each processor."""
        return self.cpu_s or self.timeout_s * _processors() + 2

    def as_header(self) -> dict[str, Any]:
        """What the keeper enforces, as plain values."""
        caps = self.artifacts
        return {
            "memory_bytes": self.memory_mb * MIB,
            "disk_bytes": self.disk_mb * MIB,
            "processes": self.processes,
            "cpu_s": self._all_cpu_s,
            "inodes": INODES,
            "artifact_files": caps.files,
            "artifact_file_bytes": caps.file_bytes,
            "artifact_total_bytes": caps.total_bytes,
            "artifact_depth": caps.depth,
            "artifact_seconds": caps.seconds,
            "artifact_entries": caps.entries,
        }


def standing_rlimits(settings: Settings, *, has_namespaces: bool) -> dict[str, int]:
    """Resource limits that are the same for every request, as ``Limits.rlimits`` names them."""
    limits = {
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": settings.max_disk_mb * MIB,
        "RLIMIT_MEMLOCK": 64 * 1024,
        "RLIMIT_MSGQUEUE": 0,
        "RLIMIT_NOFILE": OPEN_FILES,
        "RLIMIT_SIGPENDING": 256,
    }
    if has_namespaces:  # else all that the user has would count: ``inside/apart.py`` bounds that
        # The watchdog says "processes" above the limit; this is for what is faster than it. The
        # keeper is one of them.
        limits["RLIMIT_NPROC"] = settings.max_processes + settings.max_processes // 4 + 2
    return limits


@functools.cache
def _processors() -> int:
    """Asked of the system once: asking takes longer than all the rest of a request's limits."""
    return os.cpu_count() or 1


def resolve_limits(request: ExecutionRequest, settings: Settings) -> Limits:
    """The limits of a request.

    Raises:
        RequestError: a limit that is 0, negative, not a number or out of range.
    """
    timeout_s = settings.timeout_s if request.timeout_s is None else request.timeout_s
    memory_mb = settings.max_memory_mb if request.memory_mb is None else request.memory_mb
    if not (isinstance(timeout_s, int | float) and 0 < timeout_s <= MAX_TIMEOUT_S):
        raise RequestError(
            f"The time-out is {timeout_s!r} seconds.",
            f"Give more than 0 and at most {MAX_TIMEOUT_S}, or nothing for the default.",
            param="timeout_s",
        )
    if not (isinstance(memory_mb, int) and 1 <= memory_mb <= 1_048_576):
        raise RequestError(
            f"The memory limit is {memory_mb!r} MB.",
            "Give a whole number of at least 1, or nothing for the default.",
            param="memory_mb",
        )
    return Limits(
        timeout_s=float(timeout_s),
        memory_mb=memory_mb,
        disk_mb=settings.max_disk_mb,
        processes=settings.max_processes,
        cpu_s=settings.max_cpu_s,
        output_bytes=settings.max_output_kb * 1024,
        artifacts=ArtifactCaps(),
    )
