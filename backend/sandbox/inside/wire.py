"""What passes between host, keeper and program: frames of a kind, a length and so many bytes.

Plain bytes on purpose. The host reads them with suspicion, and a JSON or pickle reader is not
needed for numbers and names; ``marshal`` is used towards the inside only, where it is trusted.
"""

from __future__ import annotations

import marshal
import os
import socket
import struct
from typing import Any

# From the host.
SETUP = b"S"
"""To the zygote, once: what is the same for every run, marshalled."""
BEAR = b"c"
HURRY = b"q"
"""To the zygote, without a frame: have a child with the descriptors that come along; the second one
is not to rehearse."""
GO = b"g"
"""To a keeper that has said hello: it is known, and in its place."""
RUN = b"R"
"""To a keeper: one program and its limits, marshalled. To a program's process: the program."""
STOP = b"t"
"""To a keeper: end the program; its artifacts may take so many milliseconds."""
UNDO = b"u"
"""To a session's keeper: back to before the last program."""

# From the zygote.
IMPORTED = b"i"
"""It is ready to have children: one ``name=value`` a line."""
FONTS = b"f"
"""``name``, a line end, and the text of a list of fonts that it had to make."""

# From a keeper.
HELLO = b"h"
"""It is in its namespaces, and waits to be put in its cgroup."""
READY = b"r"
"""It and its program wait, with every wall up: one ``name=value`` a line, then walls."""
STARTED = b"s"
"""The keeper has made way for the program, and watches it from here on."""
FAILED = b"x"
"""A wall could not be built; nothing was run. Text."""
ENDED = b"e"
"""Nothing of the program runs any more: ``status stopped cpu_us``, blank separated."""
ARTIFACT = b"a"
"""``size`` blank ``name``; the bytes follow without a frame of their own."""
NOTE = b"n"
"""A sentence about artifacts that were left out."""
DONE = b"d"
BACK = b"b"
"""The session is what it was before this program; text, if something could not be put back."""
LOST = b"l"
"""The session's state is gone, and with it the session: text says why."""
STAYS = b"y"
"""What this program left cannot be rolled back to: text says why."""

# What a program says of itself, passed on by its keeper. Untrusted.
VALUE = b"v"
"""What its last expression was, as text."""
HTML = b"w"
"""The same, as HTML."""
CHARTS = b"c"
"""What its figures show, as JSON."""
FAILURE = b"z"
"""Which exception ended it, and where, as JSON."""
OUTPUTS = b"o"
"""The values and checks that were asked for, as JSON."""
NAMES = b"m"
"""The names it leaves, as JSON."""
CLAIMS = (VALUE, HTML, CHARTS, FAILURE, OUTPUTS, NAMES)
FINISHED = b"q"
"""It has come to its end. Two bytes: the exit status; and whether there may be files, or how many
threads a session's program leaves running. The host passes it on to the keeper."""

KEEP = b"k"
"""To a session's process: stay behind as a state to go back to, and go on in a fork."""
KEPT = b"K"
"""Its answer: ``pid status``. Who goes on, and how the process that went on before it ended."""

_CREDENTIALS = struct.Struct("iII")
"""``struct ucred``: pid, uid, gid."""
HEADER_BYTES = 5
CHUNK = 1 << 20


class Gone(Exception):
    """The other end is closed: there is nobody to work for."""


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    """One frame."""
    return kind + len(payload).to_bytes(4, "little") + payload


def send(fd: int, kind: bytes, payload: bytes = b"") -> None:
    """Write one frame whole.

    Raises:
        Gone: nobody reads.
    """
    send_bytes(fd, frame(kind, payload))


def send_bytes(fd: int, data: bytes) -> None:
    """Write all of it, waiting where need be."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except (BrokenPipeError, ConnectionResetError):
            raise Gone from None


def receive(fd: int) -> tuple[bytes, bytes]:
    """Read one frame whole: its kind and what it carries. For what is trusted only.

    Raises:
        Gone: nobody writes any more.
    """
    head = _read_exactly(fd, HEADER_BYTES)
    return head[:1], _read_exactly(fd, int.from_bytes(head[1:], "little"))


def hear(end: socket.socket, most: int) -> tuple[bytes, int]:
    """Some of what was said, and the id of the process that said it, for who hears it; or 0.

    The kernel tells it, to ends with ``SO_PASSCRED``: what several processes hold, each may write to.
    """
    data, ancillary, _, _ = end.recvmsg(most, socket.CMSG_SPACE(_CREDENTIALS.size))
    senders: list[int] = [_CREDENTIALS.unpack(found)[0] for *_, found in ancillary]
    return data, senders[0] if senders else 0


def receive_values(fd: int, kind: bytes) -> dict[str, Any]:
    """Read a frame of this kind that carries marshalled values.

    Raises:
        Gone: nobody writes any more.
    """
    found, payload = receive(fd)
    if found != kind:
        raise ValueError(f"a frame {found!r} in the place of {kind!r}")
    values: dict[str, Any] = marshal.loads(payload)
    return values


def _read_exactly(fd: int, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        try:
            chunk = os.read(fd, min(size - len(data), CHUNK))
        except ConnectionResetError:
            raise Gone from None
        if not chunk:
            raise Gone
        data += chunk
    return bytes(data)


class Inbox:
    """Frames from someone who is not trusted, put together from what has come so far."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._data = bytearray()
        self.is_broken = False
        """A frame was too large: nothing that follows is read."""

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """Take the next bytes. Returns the frames that are whole now."""
        if self.is_broken:
            return []
        self._data += data
        frames = []
        while len(self._data) >= HEADER_BYTES:
            size = int.from_bytes(self._data[1:HEADER_BYTES], "little")
            if size > self._most_bytes:
                self.is_broken = True
                break
            if len(self._data) < HEADER_BYTES + size:
                break
            whole = bytes(self._data[: HEADER_BYTES + size])
            del self._data[: HEADER_BYTES + size]
            frames.append((whole[:1], whole[HEADER_BYTES:]))
        return frames
