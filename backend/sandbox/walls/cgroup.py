"""One control group: what the kernel itself holds against all processes in it together."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from backend.errors import SandboxUnavailable
from backend.sandbox.walls.cgroup_places import write_control


@dataclass(frozen=True, kw_only=True)
class _Files:
    """What the same thing is called in a version."""

    limit: str
    peak: str
    events: str


_FILES = {
    1: _Files(
        limit="memory.limit_in_bytes",
        peak="memory.max_usage_in_bytes",
        events="memory.oom_control",
    ),
    2: _Files(limit="memory.max", peak="memory.peak", events="memory.events"),
}
_V1_WITH_SWAP = "memory.memsw.limit_in_bytes"


class Cgroup:
    """One group: what its processes use is counted and bounded together.

    What fails raises ``SandboxUnavailable``, where nothing else is said.
    """

    def __init__(self, path: Path, version: Literal[1, 2]) -> None:
        self.path = path
        self._version = version
        self._files = _FILES[version]

    def limit_memory(self, limit_bytes: int, *, together: bool = False) -> None:
        """Bound memory and swap together; may be called again, with more or with less.

        Args:
            limit_bytes: rounded down to whole pages by the kernel.
            together: at the limit kill all processes of the group (v2 only), not the largest one.
        """
        if self._version == 1:
            names = [self._files.limit]
            if self._has(_V1_WITH_SWAP):
                # With swap may never be less than without.
                grows = int(self._text(_V1_WITH_SWAP)) < limit_bytes
                names.insert(0 if grows else 1, _V1_WITH_SWAP)
            for name in names:
                self._set(name, limit_bytes)
            return
        self._set(self._files.limit, limit_bytes)
        for name, value in (("memory.swap.max", 0), ("memory.oom.group", int(together))):
            if self._has(name):
                self._set(name, value)

    def memory_limit(self) -> int:
        """The bound in bytes that the kernel has.

        Raises:
            ValueError: there is none, on v2.
        """
        return int(self._text(self._files.limit))

    def limit_processes(self, count: int) -> None:
        """Bound processes and threads, where one join does both: v2 with the pids controller."""
        if self._version == 2 and self._has("pids.max"):
            self._set("pids.max", count)

    def add(self, pid: int) -> None:
        """Put a process in, with all its threads; what it used before stays where it was counted.

        Raises:
            ProcessLookupError: there is no such process any more.
        """
        self._set("cgroup.procs", pid)

    def pids(self) -> list[int]:
        """Its processes."""
        return [int(pid) for pid in self._text("cgroup.procs").split()]

    def oom_kills(self) -> int:
        """Processes of this group that were killed for want of memory, so far."""
        name = self._files.events
        for line in self._text(name).splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
        raise SandboxUnavailable(
            f"{self.path / name} counts no 'oom_kill', and a limit that does not tell is no use.",
            "Use a kernel >= 4.13.",
        )

    def peak_bytes(self) -> int:
        """The most memory that was in use at a time; 0 where the kernel does not tell."""
        return int(self._text(self._files.peak)) if self._has(self._files.peak) else 0

    def remove(self) -> bool:
        """Remove the group; False while a process is in it, be it one just dying: try again."""
        try:
            self.path.rmdir()
        except FileNotFoundError:
            return True
        except OSError as error:
            if error.errno in (errno.EBUSY, errno.ENOTEMPTY):
                return False
            raise failed(self.path, error) from error
        return True

    def _has(self, name: str) -> bool:
        return (self.path / name).exists()

    def _set(self, name: str, value: int) -> None:
        path = self.path / name
        try:
            write_control(path, str(value))
        except ProcessLookupError:
            raise
        except OSError as error:
            raise failed(path, error) from error

    def _text(self, name: str) -> str:
        path = self.path / name
        try:
            return path.read_text(encoding="ascii")
        except OSError as error:
            raise failed(path, error) from error


def failed(path: Path, error: OSError) -> SandboxUnavailable:
    """What to raise for what the kernel answered."""
    why = error.strerror or type(error).__name__
    return SandboxUnavailable(
        f"The cgroup file {error.filename or path} cannot be used: {why}.",
        "Run: python-coder doctor",
    )
