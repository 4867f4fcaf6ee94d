"""The keeper's half of the control channel: frames of a kind, a length and so many bytes.

Plain bytes on purpose. The host reads them with suspicion, and a JSON or pickle reader is not
needed for numbers and names; ``marshal`` is used towards the inside only, where it is trusted.
"""

from __future__ import annotations

import marshal
import os
from typing import Any

READY = b"r"
"""The keeper stands: one ``name=value`` a line."""
STARTED = b"s"
"""The program's walls stand and its code begins: one wall a line."""
FAILED = b"x"
"""A wall could not be built; nothing was run. Text."""
ENDED = b"e"
"""Nothing of the program is left: ``status stopped cpu_us max_rss_kb``, blank separated."""
VALUE = b"v"
"""What the program says its last expression was. Untrusted text."""
ARTIFACT = b"a"
"""``size`` blank ``name``; the bytes follow without a frame of their own."""
NOTE = b"n"
"""A sentence about artifacts that were left out."""
DONE = b"d"

HEADER_BYTES = 5
CHUNK = 1 << 20


class Gone(Exception):
    """The host has closed its end: there is nobody to work for."""


def send(fd: int, kind: bytes, payload: bytes = b"") -> None:
    """Write one frame whole.

    Raises:
        Gone: nobody reads.
    """
    send_bytes(fd, kind + len(payload).to_bytes(4, "little") + payload)


def send_bytes(fd: int, data: bytes) -> None:
    """Write all of it, waiting where need be."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except (BrokenPipeError, ConnectionResetError):
            raise Gone from None


def receive_header(fd: int) -> dict[str, Any]:
    """Read the request: 8 bytes of length, then a marshalled dict. Only the host can write it."""
    size = int.from_bytes(_read_exactly(fd, 8), "little")
    header: dict[str, Any] = marshal.loads(_read_exactly(fd, size))
    return header


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
