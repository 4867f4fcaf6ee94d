"""Input files: the names they get beside a program, and what is in them."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from backend.config.settings import Settings
from backend.errors import NotFound, RequestError, SandboxUnavailable, TooLarge
from backend.sandbox.file_types import require_supported
from backend.types import ExecutionRequest, ExecutionResult

_INSPECTION_SECONDS = 60.0
"""A large spreadsheet takes seconds to open; a program's own limit does not apply to it."""
_INSPECTION_MEMORY_MB = 1024
_INSPECTION = """\
import os, sys
sys.path[:] = [place for place in sys.path if place != os.getcwd()]
from inside.inspection import main
main({room})
"""
"""An input lies in the working directory: one named csv.py is not what ``import csv`` means."""


class Engine(Protocol):
    """What runs the inspection: ``PythonExecutor``."""

    @property
    def output_bytes(self) -> int:
        """Bytes that are kept of what a program prints."""

    async def execute(self, request: ExecutionRequest, *, check: bool = True) -> ExecutionResult:
        """Run a program."""


def place_files(paths: Sequence[str | Path], settings: Settings) -> dict[str, Path]:
    """Give every input file its name in the working directory: its own basename.

    Of two files with one basename the second lies in a subfolder of its own, named after the
    folder it comes from where that is free. A path given twice is placed once.

    Raises:
        NotFound: a file is not there.
        TooLarge: a file is over ``PYTHON_CODE_MAX_FILE_SIZE``.
        RequestError: a folder, an empty file, or a type that is not supported.
    """
    placed: dict[str, Path] = {}
    for given in paths:
        path = Path(given)
        _refuse_unusable(path, settings)
        if any(path.samefile(known) for known in placed.values()):
            continue
        placed[_free_name(path, placed)] = path
    return placed


def _refuse_unusable(path: Path, settings: Settings) -> None:
    shown = str(path)
    if "\0" in shown or not path.exists():
        raise NotFound(f"The file {shown!r} does not exist.", "Check the path.")
    if not path.is_file():
        raise RequestError(f"{shown!r} is not a file.", "Name the files one by one.")
    size = path.stat().st_size
    require_supported(shown, size)
    if size > settings.max_file_bytes:
        raise TooLarge(
            f"{shown!r} has {size / 2**20:.1f} MB, the limit is {settings.max_file_size_mb} MB.",
            "Send less, or raise PYTHON_CODE_MAX_FILE_SIZE.",
        )


def _free_name(path: Path, placed: Mapping[str, Path]) -> str:
    if path.name not in placed:
        return path.name
    folder = path.resolve().parent.name or "file"
    candidates = [folder, *(f"{folder}_{number}" for number in range(2, len(placed) + 3))]
    names = (str(PurePosixPath(candidate) / path.name) for candidate in candidates)
    taken_files = set(placed)
    return next(
        name for name in names if name not in taken_files and name.split("/")[0] not in taken_files
    )


async def describe_files(engine: Engine, files: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Look into the files, inside the sandbox: names, types, columns, dtypes, sample rows.

    One that takes its reader down with it is told as such and does not hide the others.

    Returns:
        One mapping of facts a file; a file that cannot be read has ``error`` among them. Of files
        with one basename each has ``given_as``, with the folder it comes from.

    Raises:
        SandboxUnavailable: the inspection itself did not work.
    """
    if not files:
        return []
    ends = time.monotonic() + _INSPECTION_SECONDS
    told = await _inspect(engine, files, _INSPECTION_SECONDS)
    if isinstance(told, str):
        told = await _inspect_each(engine, files, ends, told)
    return [{**entry, **_given(entry["name"], files)} for entry in told]


async def _inspect_each(
    engine: Engine, files: Mapping[str, Path], ends: float, why: str
) -> list[dict[str, Any]]:
    """One after the other, for as long as there is time."""
    told: list[dict[str, Any]] = []
    for name, path in files.items():
        left = ends - time.monotonic()
        alone = why if len(files) == 1 or left < 1 else await _inspect(engine, {name: path}, left)
        told += alone if isinstance(alone, list) else [{"name": name, "note": alone}]
    return told


async def _inspect(
    engine: Engine, files: Mapping[str, Path], seconds: float
) -> list[dict[str, Any]] | str:
    """The facts of the files, or why there are none."""
    request = ExecutionRequest(
        code=_INSPECTION.format(room=engine.output_bytes),
        files=files,
        argv=tuple(files),
        timeout_s=seconds,
        memory_mb=_INSPECTION_MEMORY_MB,
        on_record="",
    )
    result = await engine.execute(request, check=False)
    facts = _read_facts(result.stdout, list(files))
    if facts is not None:
        return facts
    why = result.stopped_by or ("output" if "stdout" in result.truncated else None)
    if why is not None:
        crashed = "a library crashed on it"
        reason = crashed if why == "killed" else f"stopped by the {why} limit"
        return f"not looked into: {reason}"
    tail = result.stderr.strip().splitlines()[-1:] or ["no message"]
    raise SandboxUnavailable(
        f"The input files could not be inspected inside the sandbox: {tail[0]}",
        "Run `python-coder doctor`.",
    )


def _given(name: str, files: Mapping[str, Path]) -> dict[str, str]:
    """By which folder a request tells a file from others of its basename; {} if it is the only one.

    A path of another basename is where the bytes are kept, which means nothing to anybody.
    """
    base = PurePosixPath(name).name
    alike = Counter(PurePosixPath(other).name for other in files)[base]
    path = files[name]
    if alike == 1 or path.name != base:
        return {}
    return {"given_as": f"{path.resolve().parent.name}/{base}"}


def _read_facts(printed: str, names: Sequence[str]) -> list[dict[str, Any]] | None:
    """One entry a file, in their order; None if that is not what was printed."""
    try:
        entries = json.loads(printed)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entries, list) or len(entries) != len(names):
        return None
    if not all(isinstance(entry, dict) for entry in entries):
        return None
    return [{**entry, "name": name} for name, entry in zip(names, entries, strict=True)]
