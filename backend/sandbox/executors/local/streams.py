"""What a program prints: two pipes, read while it runs, kept within bounds."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable
from contextlib import suppress

from backend.sandbox.executors.local.capture import Capture
from backend.sandbox.walls.limits import FLOOD_BYTES

_PIPE_BYTES = 1 << 20
_READ_BYTES = 1 << 18
_MOST_READS_AT_THE_END = 16
"""More than a pipe holds: what is written meanwhile comes from someone who ought to be dead."""


class Streams:
    """Our ends of a process's stdout and stderr, and for its birth the other ones."""

    def __init__(self) -> None:
        self._reading: list[int] = []
        self.theirs: list[int] = []
        """The writing ends, until ``let_go``."""
        self._captures: dict[int, Capture] = {}
        self._watched: set[int] = set()
        """Those that the loop reads; one that would only wake it for nothing is taken off."""
        self._on_flood: Callable[[], None] | None = None
        try:
            for _ in ("stdout", "stderr"):
                reading, writing = os.pipe2(os.O_CLOEXEC)
                self._reading.append(reading)
                self.theirs.append(writing)
                os.set_blocking(reading, False)
                with suppress(OSError):  # a user has only so many large pipes
                    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        except BaseException:
            self.close()
            raise

    def let_go(self) -> None:
        """Close the writing ends: they are the process's now."""
        while self.theirs:
            os.close(self.theirs.pop())

    def watch(self) -> None:
        """Be told of what is printed: at birth, so that ``listen`` need not while someone waits."""
        loop = asyncio.get_running_loop()
        for fd in self._reading:
            if fd not in self._watched:
                loop.add_reader(fd, self._take, fd)
                self._watched.add(fd)

    def listen(self, keep_bytes: int, on_flood: Callable[[], None]) -> None:
        """Read what is printed from now on, afresh.

        Args:
            keep_bytes: kept of each of the two.
            on_flood: called when more has been printed than any reader could want.
        """
        self._on_flood = on_flood
        self._captures = {fd: Capture(keep_bytes) for fd in self._reading}
        self.watch()

    def _take(self, fd: int) -> bool:
        """Read once. False when there is nothing more for now, or for ever."""
        if not self._captures:
            # No program runs: the child has died, or a session prints for its next program.
            self._look_away(fd)
            return False
        try:
            data = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._look_away(fd)
            return False
        self._captures[fd].feed(data)
        if self._on_flood is not None and self.is_flooded:
            self._on_flood()
            self._on_flood = None
        return True

    def _look_away(self, fd: int) -> None:
        asyncio.get_running_loop().remove_reader(fd)
        self._watched.discard(fd)

    @property
    def is_flooded(self) -> bool:
        """More has been printed than is worth reading."""
        return sum(capture.total for capture in self._captures.values()) > FLOOD_BYTES

    def finish(self) -> tuple[Capture, Capture]:
        """Read what is in the pipes, without waiting for whoever may still hold them.

        Returns:
            What was printed to stdout, and to stderr.
        """
        for fd in self._reading:
            for _ in range(_MOST_READS_AT_THE_END):
                if not self._take(fd):
                    break
        captures, self._captures = self._captures, {}
        stdout, stderr = captures.values()  # also of one that was closed meanwhile
        return stdout, stderr

    def close(self) -> None:
        """Close whatever is still open."""
        self.let_go()
        for fd in self._reading:
            with suppress(RuntimeError):  # no loop runs: nothing was registered
                asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)
        self._reading.clear()
