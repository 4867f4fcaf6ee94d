"""A walled process that waits for a program: born, parked, used, gone."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from backend.sandbox.endings import see_through
from backend.sandbox.executors.local.line import Line
from backend.sandbox.executors.local.report import Reader
from backend.sandbox.executors.local.streams import Streams
from backend.sandbox.executors.local.zygote import Zygote
from backend.sandbox.inside import family, wire
from backend.sandbox.removal import remove_tree
from backend.sandbox.walls.anywalls import AnyWalls
from backend.sandbox.walls.cgroup import Cgroup
from backend.sandbox.walls.cgroups import Cgroups
from backend.sandbox.walls.inventory import isolation_of
from backend.sandbox.walls.landlocked import Landlocked
from backend.sandbox.walls.limits import ArtifactCaps
from backend.sandbox.walls.probe import explain

_START_SECONDS = 20.0
"""From asking for it to its being ready, on a machine that is busy with other things."""
_END_SECONDS = 5
"""For a killed process to be gone."""
_MOST_REMOVALS = 50
_BETWEEN_REMOVALS_SECONDS = 0.02
_CHANNEL_BYTES = 1 << 20


class Child:
    """A keeper with its program's process, and our ends of what connects us to them.

    ``born`` makes one; ``aclose`` ends it, with every process it has, and closes everything.
    """

    def __init__(self, zygote: Zygote, walls: AnyWalls, groups: Cgroups | None) -> None:
        self.zygote = zygote
        self._walls = walls
        self._groups = groups
        self.group: Cgroup | None = None
        self._memory_limit = 0
        self._is_used = False
        self.oom_kills = 0
        """In its group, before the program that runs now."""
        self.streams = Streams()
        self.line = Line()
        self._pidfd = self._pid = -1
        self._ended = asyncio.Event()
        self.on_end: Callable[[], None] | None = None
        """Called when it has ended."""
        self._writer: asyncio.StreamWriter | None = None
        self._control: socket.socket | None = None
        self._is_closed = False

    @classmethod
    async def born(
        cls,
        zygote: Zygote,
        walls: AnyWalls,
        groups: Cgroups | None,
        memory_limit: int,
        *,
        hurry: bool,
    ) -> Child:
        """Have a child, and wait until it stands ready, with every wall up.

        Args:
            zygote: whose child.
            walls: what its walls are compared with.
            groups: where it gets a control group of its own; None where there are none.
            memory_limit: bytes for that group.
            hurry: someone waits for it (see ``Zygote.bear``).

        Raises:
            SandboxUnavailable: a wall could not be built; nothing was run.
        """
        child = cls(zygote, walls, groups)
        try:
            async with asyncio.timeout(_START_SECONDS):
                await child._grow_up(memory_limit, hurry=hurry)
        except TimeoutError:
            await child.aclose()
            raise explain(f"no process stood ready after {_START_SECONDS:g} seconds") from None
        except BaseException:
            await child.aclose()
            raise
        return child

    async def _grow_up(self, memory_limit: int, *, hurry: bool) -> None:
        self._control, theirs = socket.socketpair()
        self._control.setblocking(False)
        self._control.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        try:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _CHANNEL_BYTES)
            line = self.line.theirs.fileno()
            self.zygote.bear([theirs.fileno(), *self.streams.theirs, line], hurry=hurry)
        finally:
            theirs.close()
            self.streams.let_go()
            self.line.let_go()
        pid = await self._hear_hello(self._control)
        if self._groups is not None:
            # The kernel takes milliseconds for it, in which it waits for others.
            self.group = await see_through(
                asyncio.to_thread(_put_into_a_group, self._groups, pid, memory_limit)
            )
            self._memory_limit = memory_limit
        # It answers what follows, so it lives, so the number is still its own.
        self.reader, self._writer = await self._connect(self._control)
        self._writer.write(wire.frame(wire.GO))
        await self.reader.read_ready()
        if not self.reader.standing:
            raise explain(self.reader.report.failure or "a child died before it was ready")
        self.streams.watch()
        if not self.line.meet():
            raise explain("a program's process did not say who it is")
        has_cgroup = self.group is not None
        self.isolation = isolation_of(
            self.reader.standing,
            self.reader.walls,
            self._walls,
            outside=self.zygote.outside,
            has_cgroup=has_cgroup,
        )

    async def _hear_hello(self, control: socket.socket) -> int:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(control, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(control)
        data, pid = wire.hear(control, wire.HEADER_BYTES)
        if data[:1] == wire.FAILED:
            said = control.recv(int.from_bytes(data[1:], "little"))
            raise explain(said.decode("utf-8", "replace"))
        if data[:1] != wire.HELLO or not pid:
            raise explain("a child died before it said hello")
        try:
            self._pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            raise explain("a child died as it said hello") from None
        loop.add_reader(self._pidfd, self._note_end)
        self._pid = pid
        return pid

    async def _connect(self, control: socket.socket) -> tuple[Reader, asyncio.StreamWriter]:
        stream, writer = await asyncio.open_connection(sock=control, limit=4 * _CHANNEL_BYTES)
        return Reader(stream, ArtifactCaps()), writer

    def _note_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        self._ended.set()
        if self.on_end is not None:
            self.on_end()

    @property
    def is_alive(self) -> bool:
        """It has not ended, nor has the zygote, with which it would."""
        return not self._ended.is_set() and self.zygote.is_alive

    def allow_memory(self, limit_bytes: int) -> None:
        """Change the limit of its control group, where it has one, before a program begins."""
        if self.group is not None:
            self.oom_kills = self.group.oom_kills() if self._is_used else 0
            self._is_used = True
            if limit_bytes != self._memory_limit:
                self.group.limit_memory(limit_bytes)
                self._memory_limit = limit_bytes

    async def count_processes(self) -> int:
        """How many processes its keeper keeps now."""
        return len(await asyncio.to_thread(family.descendants, self._pid))

    async def send(self, kind: bytes, payload: bytes = b"") -> None:
        """Write a frame to the keeper; nothing happens when it is gone."""
        assert self._writer is not None
        with suppress(ConnectionError):
            self._writer.write(wire.frame(kind, payload))
            await self._writer.drain()

    def kill(self) -> None:
        """End it at once: the keeper's end is the end of every process in its namespace.

        Where it has none, it ends them itself first.
        """
        if self._pidfd >= 0:
            how = signal.SIGKILL if self._walls.has_namespaces else signal.SIGTERM
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, how)

    async def aclose(self) -> None:
        """End every process of it and close every descriptor."""
        await see_through(self._clear_away())

    async def _clear_away(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self.kill()
        if self._writer is not None:
            self._writer.close()
        elif self._control is not None:
            self._control.close()  # it ends by itself when nobody hears its hello
        try:
            if self._pidfd >= 0:
                async with asyncio.timeout(_END_SECONDS):
                    await self._ended.wait()
        except TimeoutError:
            # A process that the kernel will not let go is not worth a hanging server.
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        finally:
            self._close()
            if isinstance(self._walls, Landlocked) and self._pid >= 0:
                await asyncio.to_thread(remove_tree, self._walls.scratch / str(self._pid))
            if self.group is not None:
                await asyncio.to_thread(_remove, self.group)

    def _close(self) -> None:
        self.streams.close()
        self.line.close()
        if self._pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1


def _put_into_a_group(groups: Cgroups, pid: int, memory_limit: int) -> Cgroup:
    group = groups.new_group()
    group.limit_memory(memory_limit)
    with suppress(ProcessLookupError):  # it died meanwhile, and will not answer
        group.add(pid)
    return group


def _remove(group: Cgroup) -> None:
    """What is still there after a while is left for the executor's end."""
    for _ in range(_MOST_REMOVALS):
        if group.remove():
            return
        time.sleep(_BETWEEN_REMOVALS_SECONDS)
