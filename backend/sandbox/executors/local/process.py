"""One walled process: started, listened to, stopped and cleared away, without blocking the loop."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from backend.errors import SandboxUnavailable
from backend.sandbox.endings import see_through
from backend.sandbox.executors.local.capture import Capture
from backend.sandbox.walls.bubblewrap import Walls
from backend.sandbox.walls.limits import FLOOD_BYTES, Limits

_PIPE_BYTES = 1 << 20
_READ_BYTES = 1 << 18
_END_SECONDS = 5
"""For a killed process to be gone."""


class WalledProcess:
    """A bubblewrap process with the keeper in it, and our ends of what connects us to them.

    Use as an async context manager: on leaving, however that comes about, every process of it is
    dead and reaped and every descriptor closed.
    """

    def __init__(self, walls: Walls, limits: Limits, inputs: Mapping[str, Path]) -> None:
        self._walls = walls
        self._limits = limits
        self._inputs = inputs
        self.stdout = Capture(limits.output_bytes)
        self.stderr = Capture(limits.output_bytes)
        self.flooded = asyncio.Event()
        """Set once the program has printed more than any reader could want."""
        self._streams: dict[int, Capture] = {}
        self._info = bytearray()
        self._info_fd = -1
        self._keeper_fd = -1
        self._is_condemned = False
        """To be killed as soon as it is known whom to kill."""
        self._bubblewrap: subprocess.Popen[bytes] | None = None
        self._bubblewrap_fd = -1
        self._ended = asyncio.Event()

    async def __aenter__(self) -> WalledProcess:
        ours, theirs = socket.socketpair()
        try:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _PIPE_BYTES)
            self._start(theirs)
        except BaseException:
            ours.close()
            self._close()
            raise
        finally:
            theirs.close()
        try:
            self.reader, self._writer = await asyncio.open_connection(
                sock=ours, limit=4 * _PIPE_BYTES
            )
        except BaseException:
            ours.close()
            await see_through(self._clear_away())
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await see_through(self._clear_away())

    async def _clear_away(self) -> None:
        self.kill()
        try:
            await asyncio.wait_for(self._ended.wait(), _END_SECONDS)
        except TimeoutError:
            # A process that the kernel will not let go is not worth a hanging server.
            assert self._bubblewrap is not None
            self._bubblewrap.kill()
        finally:
            self._close()

    def _start(self, control: socket.socket) -> None:
        ends: list[int] = []
        try:
            stdout = _pipe(ends)
            stderr = _pipe(ends)
            info = _pipe(ends)
            options = os.memfd_create("options")
            ends.append(options)
            command = self._walls.command(
                limits=self._limits,
                inputs=self._inputs,
                control=control.fileno(),
                options_fd=options,
                info_fd=info[1],
            )
            os.write(options, command.options)
            os.lseek(options, 0, os.SEEK_SET)
            # With its reading end too: the pipe then has a reader even if we are killed meanwhile,
            # and bubblewrap does not die of a SIGPIPE with its keeper waiting for it.
            inherited = (control.fileno(), options, *info)
            self._bubblewrap = _spawn(command.argv, stdout[1], stderr[1], inherited)
        except BaseException:
            for fd in ends:
                os.close(fd)
            raise
        for fd in (stdout[1], stderr[1], info[1], options):
            os.close(fd)
        self._bubblewrap_fd = os.pidfd_open(self._bubblewrap.pid)
        self._info_fd = info[0]
        self._streams = {stdout[0]: self.stdout, stderr[0]: self.stderr}
        self._listen()

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        for fd in self._streams:
            loop.add_reader(fd, self._take, fd)
        loop.add_reader(self._info_fd, self._learn_keeper)
        loop.add_reader(self._bubblewrap_fd, self._reap)

    def _take(self, fd: int) -> bool:
        """Read once. False when there is nothing more for now, or for ever."""
        try:
            data = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            asyncio.get_running_loop().remove_reader(fd)
            return False
        self._streams[fd].feed(data)
        if self.stdout.total + self.stderr.total > FLOOD_BYTES:
            self.flooded.set()
        return True

    def drain(self) -> None:
        """Read what is in the pipes, without waiting for whoever may still hold them."""
        for fd in self._streams:
            while self._take(fd):
                pass

    def _learn_keeper(self) -> None:
        data = os.read(self._info_fd, 4096)
        self._info += data
        if data:
            return
        asyncio.get_running_loop().remove_reader(self._info_fd)
        with suppress(ValueError, KeyError, ProcessLookupError):
            self._keeper_fd = os.pidfd_open(json.loads(self._info)["child-pid"])
        if self._is_condemned:
            self.kill()

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._bubblewrap_fd)
        assert self._bubblewrap is not None
        self._bubblewrap.wait()
        # Usually the keeper's end was the reason. If bubblewrap was killed, it was not.
        self.kill()
        self._ended.set()

    async def send(self, data: bytes) -> None:
        """Write to the keeper; nothing happens when it is gone."""
        with suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    def kill(self) -> None:
        """End it at once: the keeper's end is the end of every process in its namespace.

        Or as soon as bubblewrap has told who the keeper is. bubblewrap itself is never killed: it
        ends with the keeper; killed between starting the keeper and letting it go on, it would
        leave it waiting for ever.
        """
        self._is_condemned = True
        if self._keeper_fd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._keeper_fd, signal.SIGKILL)

    def _close(self) -> None:
        loop = asyncio.get_running_loop()
        for fd in (*self._streams, self._info_fd, self._bubblewrap_fd, self._keeper_fd):
            if fd >= 0:
                loop.remove_reader(fd)
                os.close(fd)
        self._streams = {}
        self._info_fd = self._bubblewrap_fd = self._keeper_fd = -1


def _pipe(ends: list[int]) -> tuple[int, int]:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    ends += [reading, writing]
    os.set_blocking(reading, False)
    with suppress(OSError):  # a user has only so many large pipes
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return reading, writing


def _spawn(
    argv: list[str], stdout: int, stderr: int, inherited: tuple[int, ...]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=inherited,
            # Its environment could be read inside, in /proc/1/environ.
            env={},
            cwd="/",
            # Keys pressed at the server's terminal are not for the program.
            start_new_session=True,
        )
    except OSError as error:
        raise SandboxUnavailable(
            f"{argv[0]!r} could not be started: {error.strerror}.", "Run: python-coder doctor"
        ) from error
