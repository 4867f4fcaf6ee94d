"""The program's end of the line to its keeper. Whoever the program is may write to it as well."""

from __future__ import annotations

import os
import select
from typing import Any

from . import wire

NUMBER = 3
"""Its descriptor, in every process that becomes a program."""

_REST_MS = 500

# The program may put something else in their places.
_stat = os.fstat
_send = wire.send
_poll = select.poll


class Line:
    """A descriptor, as long as it is what it was."""

    def __init__(self, number: int = NUMBER) -> None:
        self._number = number
        self._identity = self._look()

    def _look(self) -> tuple[int, int] | None:
        try:
            found = _stat(self._number)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def say(self, kind: bytes, payload: bytes = b"") -> None:
        """Send a frame, unless the program has closed the line or put something in its place."""
        if self._look() != self._identity:
            return
        try:
            _send(self._number, kind, payload)
        except (OSError, wire.Gone):
            return

    def hear(self, kind: bytes) -> dict[str, Any]:
        """Wait for the keeper's word.

        Raises:
            Gone: there is no keeper, or no line to it, any more.
        """
        if self._look() != self._identity:
            raise wire.Gone
        return wire.receive_values(self._number, kind)

    def hear_any(self) -> tuple[bytes, bytes]:
        """Wait for the keeper's word, whichever it is.

        Raises:
            Gone: there is no keeper, or no line to it, any more.
        """
        if self._look() != self._identity:
            raise wire.Gone
        return wire.receive(self._number)

    def skip(self, token: bytes) -> None:
        """Leave out what was said to someone else, up to and with ``token``.

        Raises:
            Gone: there is no keeper any more.
        """
        seen = b""
        while not seen.endswith(token):
            byte = os.read(self._number, 1)
            if not byte:
                raise wire.Gone
            seen = (seen + byte)[-len(token) :]

    def rest(self) -> None:
        """Wait to be ended, for as long as that takes when what was said has been understood.

        To leave at once would keep a processor busy with taking memory apart, while others are to
        see to the result.
        """
        poll = _poll()
        poll.register(self._number, 0)
        poll.poll(_REST_MS)
