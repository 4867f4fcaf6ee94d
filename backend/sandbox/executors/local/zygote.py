"""The zygote behind its walls: started, told what is the same for every run, asked for children."""

from __future__ import annotations

import asyncio
import json
import marshal
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from backend.errors import SandboxUnavailable
from backend.sandbox.endings import see_through
from backend.sandbox.executors.local.capture import Capture
from backend.sandbox.inside import wire
from backend.sandbox.walls.anywalls import AnyWalls
from backend.sandbox.walls.bubblewrap import Command
from backend.sandbox.walls.inventory import own_namespaces
from backend.sandbox.walls.probe import explain

_START_SECONDS = 60.0
"""For bubblewrap and all the imports, on a machine that is busy with other things."""
_END_SECONDS = 5
"""For a killed process to be gone."""
_MARSHAL_VERSION = 4
_SAID_BYTES = 16 * 1024
_READ_BYTES = 1 << 16
_CHANNEL_BYTES = 1 << 24
"""The longest frame: a list of thousands of fonts."""

KeepFonts = Callable[[str, bytes], None]


class Zygote:
    """A process that has a child for every program.

    Where there are no namespaces it is started without bubblewrap, and stands for it below.

    ``started`` makes one; ``aclose`` ends it, with every process that came from it.
    """

    def __init__(self, walls: AnyWalls, setup: Mapping[str, Any], keep_fonts: KeepFonts) -> None:
        self._walls = walls
        self._setup = setup
        self._keep_fonts = keep_fonts
        self._control: socket.socket | None = None
        self._said = Capture(_SAID_BYTES)
        self._said_fd = self._info_fd = self._own_fd = self._bubblewrap_fd = -1
        self._info = bytearray()
        self._is_condemned = False
        """To be killed as soon as it is known whom to kill."""
        self._bubblewrap: subprocess.Popen[bytes] | None = None
        self._ended = asyncio.Event()
        self.outside: Mapping[str, str] = {}
        """The namespaces it was started from."""
        self.imported: tuple[str, ...] = ()
        """The modules its children find imported."""
        self.python = ""
        self.children = 0
        """How many it was asked for."""

    @classmethod
    async def started(
        cls, walls: AnyWalls, setup: Mapping[str, Any], keep_fonts: KeepFonts
    ) -> Zygote:
        """Start one and wait until it can have children.

        Raises:
            SandboxUnavailable: it cannot be started here; says why and what to do.
        """
        zygote = cls(walls, setup, keep_fonts)
        try:
            await zygote._start()
            async with asyncio.timeout(_START_SECONDS):
                await zygote._set_up()
        except TimeoutError:
            await zygote.aclose()
            raise explain(f"nothing stood after {_START_SECONDS:g} seconds") from None
        except BaseException:
            await zygote.aclose()
            raise
        return zygote

    async def aclose(self) -> None:
        """End it and every process that came from it, and close every descriptor."""
        await see_through(self._clear_away())

    async def _clear_away(self) -> None:
        if self._control is not None:
            self._control.close()
        self.kill()
        try:
            if self._bubblewrap is not None:
                async with asyncio.timeout(_END_SECONDS):
                    await self._ended.wait()
        except TimeoutError:
            # A process that the kernel will not let go is not worth a hanging server.
            assert self._bubblewrap is not None
            self._bubblewrap.kill()
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self._bubblewrap.wait, _END_SECONDS)
        finally:
            self._close()

    @property
    def is_alive(self) -> bool:
        """It can have children."""
        return not self._ended.is_set() and not self._is_condemned

    async def wait(self) -> None:
        """Until it has ended."""
        await self._ended.wait()

    def bear(self, descriptors: Sequence[int], *, hurry: bool) -> None:
        """Ask for a child that has these for its control channel, stdout, stderr and line.

        Args:
            descriptors: the four.
            hurry: someone waits for it, so it is not to rehearse: it will be ready sooner, and its
                program will take longer.

        Raises:
            SandboxUnavailable: the zygote is gone.
        """
        assert self._control is not None
        try:
            socket.send_fds(self._control, [wire.HURRY if hurry else wire.BEAR], list(descriptors))
        except OSError as error:
            self.kill()
            raise SandboxUnavailable(
                f"The sandbox's first process is gone: {error.strerror}.", "Try again."
            ) from None
        self.children += 1

    def kill(self) -> None:
        """End it, and with it everything that came from it, at once.

        Or as soon as bubblewrap has told who it is. bubblewrap itself is never killed: it ends
        with the zygote; killed between starting it and letting it go on, it would leave it waiting
        for ever.
        """
        self._is_condemned = True
        if self._own_fd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._own_fd, signal.SIGKILL)

    async def _start(self) -> None:
        self._control, theirs = socket.socketpair()
        try:
            # In a thread: until bubblewrap is loaded, whoever starts it stands still.
            await see_through(asyncio.to_thread(self._spawn, theirs))
        finally:
            theirs.close()
            if self._said_fd >= 0:
                self._watch()

    def _spawn(self, control: socket.socket) -> None:
        self.outside = own_namespaces()
        ends: list[int] = []
        try:
            said = _pipe(ends)
            info = _pipe(ends)
            options = os.memfd_create("options")
            ends.append(options)
            command = self._walls.command(
                control=control.fileno(), options_fd=options, info_fd=info[1]
            )
            os.write(options, command.options)
            os.lseek(options, 0, os.SEEK_SET)
            # With its reading end too: the pipe then has a reader even if we are killed meanwhile,
            # and bubblewrap does not die of a SIGPIPE with its child waiting for it.
            inherited = (control.fileno(), options, *info)
            self._bubblewrap = _spawn(command, said[1], inherited)
        except BaseException:
            for fd in ends:
                os.close(fd)
            raise
        for fd in (said[1], info[1], options):
            os.close(fd)
        self._bubblewrap_fd = os.pidfd_open(self._bubblewrap.pid)
        if not self._walls.has_namespaces:
            self._own_fd = os.dup(self._bubblewrap_fd)  # it is the zygote itself
        self._said_fd, self._info_fd = said[0], info[0]

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._said_fd, self._take_words)
        loop.add_reader(self._info_fd, self._learn_pid)
        loop.add_reader(self._bubblewrap_fd, self._reap)

    def _take_words(self) -> None:
        with suppress(BlockingIOError):
            data = os.read(self._said_fd, _READ_BYTES)
            self._said.feed(data)
            if not data:
                asyncio.get_running_loop().remove_reader(self._said_fd)

    def _learn_pid(self) -> None:
        data = os.read(self._info_fd, 4096)
        self._info += data
        if data:
            return
        asyncio.get_running_loop().remove_reader(self._info_fd)
        with suppress(ValueError, KeyError, ProcessLookupError):
            self._own_fd = os.pidfd_open(json.loads(self._info)["child-pid"])
        if self._is_condemned:
            self.kill()

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._bubblewrap_fd)
        assert self._bubblewrap is not None
        self._bubblewrap.wait()
        # Usually the zygote's end was the reason. If bubblewrap was killed, it was not.
        self.kill()
        self._ended.set()

    async def _set_up(self) -> None:
        """Tell it what is the same for every run, and wait until it has imported everything."""
        loop, control = asyncio.get_running_loop(), self._control
        assert control is not None
        control.setblocking(False)
        body = marshal.dumps(dict(self._setup), _MARSHAL_VERSION)
        with suppress(ConnectionError):
            await loop.sock_sendall(control, wire.frame(wire.SETUP, body))
        inbox = wire.Inbox(_CHANNEL_BYTES)
        while not self.python:
            try:
                data = await loop.sock_recv(control, _READ_BYTES)
            except ConnectionError:
                data = b""
            if not data:
                raise await self._explained()
            for kind, payload in inbox.feed(data):
                await self._take(kind, payload)

    async def _take(self, kind: bytes, payload: bytes) -> None:
        if kind == wire.FAILED:
            raise explain(payload.decode("utf-8", "replace"))
        if kind == wire.FONTS:
            name, _, text = payload.partition(b"\n")
            await see_through(
                asyncio.to_thread(self._keep_fonts, name.decode("utf-8", "replace"), text)
            )
        elif kind == wire.IMPORTED:
            facts = dict(line.split("=", 1) for line in payload.decode().splitlines())
            self.imported = tuple(filter(None, facts["imported"].split(",")))
            self.python = facts["python"]

    async def _explained(self) -> SandboxUnavailable:
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                await self._ended.wait()
        self._take_words()
        said = self._said.finish().text.strip()
        return explain(said or "bubblewrap ended without a word")

    def _close(self) -> None:
        loop = asyncio.get_running_loop()
        for fd in (self._said_fd, self._info_fd, self._bubblewrap_fd, self._own_fd):
            if fd >= 0:
                loop.remove_reader(fd)
                os.close(fd)
        self._said_fd = self._info_fd = self._bubblewrap_fd = self._own_fd = -1


def _pipe(ends: list[int]) -> tuple[int, int]:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    ends += [reading, writing]
    os.set_blocking(reading, False)
    return reading, writing


def _spawn(command: Command, stderr: int, inherited: tuple[int, ...]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command.argv,
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            pass_fds=inherited,
            # bubblewrap's environment could be read inside, in /proc/1/environ: it has none.
            env=command.environment,
            cwd="/",
            # Keys pressed at the server's terminal are not for the program.
            start_new_session=True,
        )
    except OSError as error:
        raise SandboxUnavailable(
            f"{command.argv[0]!r} could not be started: {error.strerror}.",
            "Run: python-coder doctor",
        ) from error
