"""The text of files in passages, read inside the sandbox; what comes out of there is not trusted."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from backend.errors import SandboxUnavailable
from backend.tools.input_files import Engine
from backend.types import ExecutionRequest, ExecutionResult, Isolation

SEARCHABLE_TYPES: Final = frozenset(
    "csv tsv txt log md html xml json jsonl yaml yml toml ini py pdf docx pptx xlsx xls ods".split()
)
"""Endings of files whose text can be searched."""

_SECONDS = 60.0
"""For all files of a request together; a program's own limit does not apply to it."""
_MEMORY_MB = 1024
_CRASHES = 5
"""After so many files that took their reader down with them, the rest is left unread."""
_MOST_BYTES = 48 * 2**20
"""That are taken from the sandbox; more than its bounds allow for."""
_PASSAGE_CHARS = 5000
_NOTE_CHARS = 300
_PROGRAM = """\
import os, sys
sys.path[:] = [place for place in sys.path if place != os.getcwd()]
from inside.passages import main
main({into!r}, {terms!r}, {seconds!r})
"""


@dataclass(frozen=True, kw_only=True)
class Passage:
    """Some lines, rows or paragraphs of a file."""

    file: str
    place: str
    """``page 3``, ``lines 4-9``, ``sheet 'Sales', rows 2-8``."""
    text: str
    head: str = ""
    """The names of the columns, where it is rows of a table."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What was read of a file."""

    file: str
    passages: tuple[Passage, ...] = ()
    note: str = ""
    """Why there is nothing, or not everything."""
    whole: bool = True
    """The passages are the same whatever is looked for."""


@dataclass(frozen=True, kw_only=True)
class _Kept:
    reading: Reading
    terms: tuple[str, ...]


@dataclass
class FileReader:
    """Reads files, each once: what it read stays with it."""

    engine: Engine
    isolation: Isolation | None = None
    """The walls that stood around the last reading."""
    _kept: dict[tuple[Any, ...], _Kept] = field(default_factory=dict)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def read(self, files: Mapping[str, Path], terms: Sequence[str]) -> list[Reading]:
        """The text of the files, in their order.

        Args:
            files: name -> path.
            terms: of a file that is longer than fits, passages with one of these are kept.

        Raises:
            PythonCoderError: the sandbox itself did not work.
        """
        wanted = tuple(sorted(set(terms)))
        async with self._turn:  # two searches at a time must not both read
            keys = await asyncio.to_thread(_keys, files)
            missing = [name for name in files if not self._knows(keys[name], wanted)]
            if missing:
                told = await self._read({name: files[name] for name in missing}, wanted)
                for name, reading in told.items():
                    self._kept[keys[name]] = _Kept(reading=reading, terms=wanted)
            return [self._kept[keys[name]].reading for name in files]

    def _knows(self, key: tuple[Any, ...], terms: tuple[str, ...]) -> bool:
        kept = self._kept.get(key)
        return kept is not None and (kept.reading.whole or kept.terms == terms)

    async def _read(self, files: Mapping[str, Path], terms: Sequence[str]) -> dict[str, Reading]:
        ends = time.monotonic() + _SECONDS
        done: dict[str, Reading] = {}
        left = list(files)
        for _ in range(_CRASHES):
            seconds = ends - time.monotonic()
            if not left or seconds < 1:
                break
            result, printed = await self._run({name: files[name] for name in left}, terms, seconds)
            told = await asyncio.to_thread(_readings, printed, left)
            done |= told
            left = left[len(told) :]
            if left:
                done[left[0]] = Reading(file=left[0], note=_why_not(result))
                del left[0]
        unread = "not read: others took all the time there is"
        return done | {name: Reading(file=name, note=unread, whole=False) for name in left}

    async def _run(
        self, files: Mapping[str, Path], terms: Sequence[str], seconds: float
    ) -> tuple[ExecutionResult, bytes]:
        into = "passages.jsonl"
        while any(name == into or name.startswith(f"{into}/") for name in files):
            into = f"_{into}"
        code = _PROGRAM.format(into=into, terms=list(terms), seconds=round(seconds * 0.9, 1))
        request = ExecutionRequest(
            code=code,
            files=files,
            argv=tuple(files),
            timeout_s=seconds,
            memory_mb=_MEMORY_MB,
            on_record="",
        )
        result = await self.engine.execute(request, check=False)
        self.isolation = result.isolation or self.isolation
        found = [each.content for each in result.artifacts if each.name == into]
        if not found and not result.stopped_by:
            tail = result.stderr.strip().splitlines()[-1:] or ["no message"]
            raise SandboxUnavailable(
                f"The files could not be read inside the sandbox: {tail[0]}",
                "Run `python-coder doctor`.",
            )
        return result, found[0] if found and len(found[0]) <= _MOST_BYTES else b""


def is_searchable(name: str) -> bool:
    """Whether a file of that name has text that can be searched."""
    return PurePosixPath(name).suffix.lower().removeprefix(".") in SEARCHABLE_TYPES


def _keys(files: Mapping[str, Path]) -> dict[str, tuple[Any, ...]]:
    keys: dict[str, tuple[Any, ...]] = {}
    for name, path in files.items():
        try:
            found = path.stat()
            keys[name] = (name, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        except OSError:  # the run says what is wrong with it
            keys[name] = (name, str(path))
    return keys


def _why_not(result: ExecutionResult) -> str:
    if result.stopped_by in (None, "killed"):
        return "not read: a library crashed on it"
    return f"not read: stopped by the {result.stopped_by} limit"


def _readings(printed: bytes, names: Sequence[str]) -> dict[str, Reading]:
    """One a line, in the order of the names; the first line that is no such thing is the end."""
    told: dict[str, Reading] = {}
    for name, line in zip(names, printed.splitlines(), strict=False):
        reading = _reading(name, line)
        if reading is None:
            break
        told[name] = reading
    return told


def _reading(name: str, line: bytes) -> Reading | None:
    try:
        value = json.loads(line)
        passages = tuple(
            Passage(
                file=name,
                place=_text(place, _NOTE_CHARS),
                text=_text(text, _PASSAGE_CHARS),
                head=_text(head, _NOTE_CHARS),
            )
            for place, text, head in value["passages"]
        )
        note, whole = _text(value["note"], _NOTE_CHARS), value["whole"] is True
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return Reading(file=name, passages=passages, note=note, whole=whole)


def _text(value: object, most: int) -> str:
    """A text that can be kept and sent: half of a letter cannot."""
    if not isinstance(value, str):
        raise TypeError("no text")
    return value[:most].encode("utf-8", "replace").decode()
