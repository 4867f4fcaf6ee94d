"""What the inside says about a run, read with suspicion.

The frames come from the keeper, which is ours, but names and contents in them are the program's.
Every length is bounded and every name is made harmless before anyone else sees it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from backend.sandbox.file_types import media_type
from backend.sandbox.inside import wire
from backend.sandbox.walls.limits import ArtifactCaps
from backend.types import Artifact

_MAX_FRAME_BYTES = 1 << 20
_MAX_NAME_BYTES = 4096


@dataclass(kw_only=True)
class Report:
    """What is known of a run so far; filled frame by frame."""

    standing: dict[str, str] = field(default_factory=dict)
    """What the keeper said of itself: its namespaces, its uid."""
    walls: tuple[str, ...] = ()
    ended: bool = False
    """Nothing of the program is left."""
    status: int = 0
    """Its wait status."""
    stopped: str = ""
    """Who stopped it, if anyone: ``host``, ``memory``, ``processes`` or ``disk``."""
    cpu_s: float = 0.0
    max_rss_kb: int = 0
    value: str | None = None
    """The program's own claim."""
    artifacts: list[Artifact] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failure: str = ""
    """Why a wall could not be built; nothing was run then."""
    done: bool = False


class Reader:
    """Reads a run's frames into a report."""

    def __init__(self, stream: asyncio.StreamReader, caps: ArtifactCaps) -> None:
        self._stream = stream
        self._caps = caps
        self._bytes = 0
        self._names: set[str] = set()
        self.report = Report()
        self.started = asyncio.Event()
        self.over = asyncio.Event()
        """Set when the program has ended, or the inside has no more to say."""

    async def read_all(self) -> None:
        """Until the last frame or the end of the channel; a malformed frame is the end, too."""
        try:
            while not (self.report.done or self.report.failure):
                await self._read_one()
        except (asyncio.IncompleteReadError, ConnectionError, ValueError, IndexError):
            pass
        finally:
            self.started.set()
            self.over.set()

    async def _read_one(self) -> None:
        head = await self._stream.readexactly(wire.HEADER_BYTES)
        kind, size = head[:1], int.from_bytes(head[1:], "little")
        if size > _MAX_FRAME_BYTES:
            raise ValueError(f"a frame of {size} bytes")
        payload = await self._stream.readexactly(size)
        if kind == wire.ARTIFACT:
            await self._read_artifact(payload)
        else:
            self._note(kind, payload.decode("utf-8", "replace"))

    def _note(self, kind: bytes, text: str) -> None:
        report = self.report
        if kind == wire.READY:
            report.standing = dict(line.split("=", 1) for line in text.splitlines())
        elif kind == wire.STARTED:
            report.walls = tuple(text.splitlines())
            self.started.set()
        elif kind == wire.ENDED:
            self._note_end(text)
        elif kind == wire.VALUE:
            report.value = text
        elif kind == wire.NOTE:
            report.notes.append(f"Not handed out: {text}.")
        elif kind == wire.FAILED:
            report.failure = text or "it did not say why"
        elif kind == wire.DONE:
            report.done = True
        else:
            raise ValueError(f"an unknown frame {kind!r}")

    def _note_end(self, text: str) -> None:
        status, stopped, cpu_us, max_rss_kb = text.split()
        self.report.status = int(status)
        self.report.stopped = "" if stopped == "-" else stopped
        self.report.cpu_s = int(cpu_us) / 1_000_000
        self.report.max_rss_kb = int(max_rss_kb)
        self.report.ended = True
        self.over.set()

    async def _read_artifact(self, head: bytes) -> None:
        digits, _, raw_name = head.partition(b" ")
        size = int(digits)
        self._bytes += size
        too_much = size > self._caps.file_bytes or self._bytes > self._caps.total_bytes
        if size < 0 or too_much or len(self._names) >= self._caps.files:
            raise ValueError("artifacts beyond what was allowed")
        content = await self._stream.readexactly(size)
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
