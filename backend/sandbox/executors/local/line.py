"""The line to a program itself, over which it is sent, and says what it has to say of itself.

Only convenience comes of believing it: a program that says it has finished is ended, one that says
it has no files gets none handed out. What it may use, and how it ended when it was ended, is told by
its keeper.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

from backend.sandbox.inside import wire

_READ_BYTES = 1 << 16
_MOST_BYTES = 1 << 20
"""Of one frame; a longer one is the end of listening."""


class Line:
    """Our end of a line to a program, and for its birth the other one."""

    def __init__(self) -> None:
        self._socket, self.theirs = socket.socketpair()
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._inbox = wire.Inbox(_MOST_BYTES)
        self._pid = 0
        self._on_finish: Callable[[], None] = lambda: None
        self.finished: int | None = None
        """The exit status it says it has finished with."""
        self.has_files = True
        """Unless it says otherwise, which is worth a look less."""
        self.claims: dict[bytes, bytes] = {}
        """What it says of its value and its figures."""

    def meet(self) -> bool:
        """Take its first word, said before anyone else's code ran in it, and hear it from then on.

        Returns:
            False when that was no hello.
        """
        with suppress(BlockingIOError):
            data, self._pid = wire.hear(self._socket, _READ_BYTES)
            if data[:1] == wire.HELLO:
                asyncio.get_running_loop().add_reader(self._socket, self._take)
                return True
        return False

    def listen(self, on_finish: Callable[[], None]) -> None:
        """Call ``on_finish`` when it says that it has finished."""
        self._on_finish = on_finish

    async def send(self, program: bytes) -> None:
        """Send it what to run; nothing happens when it is gone."""
        with suppress(ConnectionError):
            data = wire.frame(wire.RUN, program)
            await asyncio.get_running_loop().sock_sendall(self._socket, data)

    def _take(self) -> None:
        try:
            data, sender = wire.hear(self._socket, _READ_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            data, sender = b"", self._pid
        if not data:
            asyncio.get_running_loop().remove_reader(self._socket)
        if sender != self._pid:
            return  # a process that it has made: not its own words
        for kind, payload in self._inbox.feed(data):
            self._note(kind, payload)

    def _note(self, kind: bytes, payload: bytes) -> None:
        if self.finished is not None:
            return
        if kind in wire.CLAIMS:
            self.claims[kind] = payload
        elif kind == wire.FINISHED:
            self.finished = payload[0] if payload else 1
            self.has_files = payload[1:2] != b"\0"
            self._on_finish()

    def let_go(self) -> None:
        """Close the other end: it is the program's now."""
        self.theirs.close()

    def close(self) -> None:
        """Close both ends."""
        self.theirs.close()
        if self._socket.fileno() >= 0:
            with suppress(RuntimeError):  # no loop runs: nothing was registered
                asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
