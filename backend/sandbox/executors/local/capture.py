"""Keeps the beginning and the end of a stream, however much there is in between."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Captured:
    """What was kept of a stream."""

    text: str
    truncated: bool


class Capture:
    """At most ``keep`` bytes of a stream: half from its head, half from its tail."""

    def __init__(self, keep: int) -> None:
        self._head_size = keep - keep // 2
        self._tail_size = keep // 2
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0
        """Bytes that came in."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self.total += len(data)
        room = self._head_size - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data[-self._tail_size :] if self._tail_size else b""
        if len(self._tail) > 4 * self._tail_size:
            del self._tail[: -self._tail_size]

    def finish(self) -> Captured:
        """The text, with a line in place of what was left out, if anything was."""
        kept_all = self.total <= self._head_size + self._tail_size
        if kept_all:
            return Captured(text=_decode(self._head + self._tail), truncated=False)
        head = _without_cut_end(self._head)
        tail = _without_cut_start(self._tail[-self._tail_size :])
        left_out = self.total - len(head) - len(tail)
        marker = f"\n[... {left_out} of {self.total} bytes left out ...]\n"
        return Captured(text=_decode(head) + marker + _decode(tail), truncated=True)


def _decode(data: bytearray) -> str:
    return data.decode("utf-8", "replace")


def _without_cut_end(data: bytearray) -> bytearray:
    """Without the beginning of a character whose end was cut off."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return data[:-back] if length > back else data
    return data


def _without_cut_start(data: bytearray) -> bytearray:
    """Without the end of a character whose beginning was cut off."""
    start = 0
    while start < min(3, len(data)) and data[start] & 0xC0 == 0x80:
        start += 1
    return data[start:]
