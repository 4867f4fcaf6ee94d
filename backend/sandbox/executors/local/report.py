"""What the inside says about a run, read with suspicion.

The frames come from the keeper, which is ours, but names and contents in them are the program's.
Every length is bounded and every name is made harmless before anyone else sees it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from backend.sandbox.file_types import media_type
from backend.sandbox.inside import wire
from backend.sandbox.walls.limits import ArtifactCaps
from backend.types import Artifact

_MAX_FRAME_BYTES = 1 << 20
_MAX_NAME_BYTES = 4096
_ENDS = (asyncio.IncompleteReadError, ConnectionError, ValueError, IndexError, OverflowError)


@dataclass(kw_only=True)
class Report:
    """What is known of one run so far; filled frame by frame."""

    started: bool = False
    """The program's code may have begun."""
    ended: bool = False
    """Nothing of the program runs any more."""
    status: int = 0
    """Its wait status."""
    stopped: str = ""
    """Who stopped it, if anyone: ``host``, or the limit it passed."""
    cpu_s: float = 0.0
    """Processor seconds of all its processes, where they were waited for; else 0."""
    claims: dict[bytes, bytes] = field(default_factory=dict)
    """What the program says of itself."""
    artifacts: list[Artifact] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    back: bool = False
    """The session is what it was before this program."""
    lost: str = ""
    """Why the session's state is gone, if it is."""
    stays: str = ""
    """What stands against rolling back to what this program left: a number of threads, or
    ``files``."""
    failure: str = ""
    """Why it could not be run."""
    done: bool = False

    def conclude(self, exit_status: int) -> None:
        """Complete it with what the program said of itself: it is ended in any case."""
        self.started = self.ended = self.done = True
        self.status = exit_status << 8


class Reader:
    """Reads what a keeper says: that it is ready, then one report a run."""

    def __init__(self, stream: asyncio.StreamReader, caps: ArtifactCaps) -> None:
        self._stream = stream
        self._caps = caps
        self._bytes = 0
        self._names: set[str] = set()
        self.standing: dict[str, str] = {}
        """What the keeper said of itself: its namespaces, its uid."""
        self.walls: tuple[str, ...] = ()
        """What the program's process built around itself."""
        self.report = Report()
        self._head = b""
        self._payload: bytes | None = None
        """Of the frame whose rest has not come yet."""
        self.closed = False
        """Nothing more will come."""

    def next_report(self) -> None:
        """Begin with an empty one."""
        self.report = Report()
        self._bytes = 0
        self._names.clear()

    async def read_ready(self) -> None:
        """Until the keeper stands ready; otherwise ``report.failure`` says why not."""
        try:
            while not (self.standing or self.report.failure):
                await self._read_one()
        except _ENDS:
            self.closed = True

    async def read_start(self) -> None:
        """Until everything is in its place for the program."""
        await self._read_until(lambda report: report.started or report.done)

    async def read_end(self) -> None:
        """Until the program has ended, or there is nobody to say so. May be cut short, and resumed."""
        await self._read_until(lambda report: report.ended or report.done)

    async def read_report(self) -> None:
        """Until a report is complete or the channel ends; a malformed frame is the end, too."""
        await self._read_until(lambda report: report.done)

    async def _read_until(self, is_enough: Callable[[Report], bool]) -> None:
        try:
            while not (self.closed or is_enough(self.report) or self.report.failure):
                await self._read_one()
        except _ENDS:
            self.closed = True

    async def _read_one(self) -> None:
        head = self._head = self._head or await self._stream.readexactly(wire.HEADER_BYTES)
        kind, size = head[:1], int.from_bytes(head[1:], "little")
        if size > _MAX_FRAME_BYTES:
            raise ValueError(f"a frame of {size} bytes")
        if self._payload is None:
            self._payload = await self._stream.readexactly(size)
        payload = self._payload
        if kind == wire.ARTIFACT:
            await self._read_artifact(payload)
        self._head, self._payload = b"", None
        if kind == wire.ARTIFACT:
            return
        if kind in wire.CLAIMS:
            self.report.claims[kind] = payload
        else:
            self._note(kind, payload.decode("utf-8", "replace"))

    def _note(self, kind: bytes, text: str) -> None:
        report = self.report
        if kind == wire.READY:
            lines = text.splitlines()
            self.standing = dict(line.split("=", 1) for line in lines if "=" in line)
            self.walls = tuple(line for line in lines if "=" not in line)
        elif kind == wire.STARTED:
            report.started = True
        elif kind == wire.ENDED:
            self._note_end(text)
        elif kind == wire.NOTE:
            report.notes.append(f"Not handed out: {text}.")
        elif kind == wire.BACK:
            report.back = True
        elif kind == wire.LOST:
            report.lost = text or "it did not say why"
        elif kind == wire.STAYS:
            report.stays = text
        elif kind == wire.FAILED:
            report.failure = text or "it did not say why"
        elif kind == wire.DONE:
            report.done = True
        else:
            raise ValueError(f"an unknown frame {kind!r}")

    def _note_end(self, text: str) -> None:
        status, stopped, cpu_us = text.split()
        self.report.status = int(status)
        self.report.stopped = "" if stopped == "-" else stopped
        self.report.cpu_s = int(cpu_us) / 1_000_000
        self.report.ended = True

    async def _read_artifact(self, head: bytes) -> None:
        digits, _, raw_name = head.partition(b" ")
        size = int(digits)
        too_much = size > self._caps.file_bytes or self._bytes + size > self._caps.total_bytes
        if size < 0 or too_much or len(self._names) >= self._caps.files:
            raise ValueError("artifacts beyond what was allowed")
        content = await self._stream.readexactly(size)
        self._bytes += size
        name = self._unique(harmless_name(raw_name[:_MAX_NAME_BYTES]))
        self._names.add(name)
        self.report.artifacts.append(
            Artifact(name=name, media_type=media_type(name, content), size=size, content=content)
        )

    def _unique(self, name: str) -> str:
        number, unique = 2, name
        while unique in self._names:
            unique = f"{name}~{number}"
            number += 1
        return unique


def harmless_name(raw: bytes) -> str:
    """A relative name with forward slashes, whatever bytes the program chose."""
    text = raw.decode("utf-8", "backslashreplace")
    printable = "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )
    parts = [part for part in printable.split("/") if part not in ("", ".", "..")]
    return "/".join(parts) or "unnamed"
