"""Check, then run: the only door to execution, for the loop and for every face."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from backend.config.settings import Settings
from backend.errors import Disabled, NotFound, RequestError, SandboxUnavailable, TooLarge
from backend.sandbox import Executor, open_executor
from backend.sandbox.executors.base import Session
from backend.sandbox.file_types import SUPPORTED_FILE_TYPES, require_supported
from backend.sandbox.packages import PackageInstaller
from backend.sandbox.policy import BLOCKED_IMPORTS, SAFE_PACKAGES, blocking, check
from backend.types import ExecutionRequest, ExecutionResult, Isolation, Issue, Language

__all__ = [
    "BLOCKED_IMPORTS",
    "SAFE_PACKAGES",
    "SUPPORTED_FILE_TYPES",
    "EngineSession",
    "PythonExecutor",
    "describe_files",
    "open_engine",
    "place_files",
    "require_enabled",
]

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


def require_enabled(settings: Settings) -> None:
    """Refuse everything that runs code when the operator switched it off.

    Raises:
        Disabled: ``PYTHON_CODE_ENABLED`` is false.
    """
    if not settings.enabled:
        raise Disabled(
            "Running code is switched off (PYTHON_CODE_ENABLED is false).",
            "Ask whoever runs this machine to set it to true.",
        )


class PythonExecutor:
    """Runs a program if the static check has nothing against it.

    The check is advice to whoever wrote the program; the executor's walls are what protects.
    """

    def __init__(self, executor: Executor, settings: Settings) -> None:
        self._executor = executor
        self._settings = settings

    @property
    def isolation(self) -> Isolation:
        """The walls that stand around every run."""
        return self._executor.isolation

    @property
    def packages(self) -> PackageInstaller | None:
        """What knows the packages that programs have, and installs more where that is allowed."""
        return self._executor.packages

    @property
    def output_bytes(self) -> int:
        """Bytes that are kept of what a program prints."""
        return self._settings.max_output_kb * 1024

    def check(
        self, code: str, language: Language = "python", files: Iterable[str] = ()
    ) -> list[Issue]:
        """What the static check has to say; nothing is run.

        Args:
            code: the program.
            language: what it is written in.
            files: names of its input files; Python files among them can be imported.
        """
        modules = [name.removesuffix(".py") for name in files if name.endswith(".py")]
        return check(
            code, language, allow_network=self._settings.allow_network, known_modules=modules
        )

    async def execute(self, request: ExecutionRequest, *, check: bool = True) -> ExecutionResult:
        """Run a program, unless the check refuses it; then ``issues`` says why.

        Args:
            request: the program and what it may use.
            check: False leaves out the static check; the walls stand all the same.

        Raises:
            Disabled: running code is switched off.
            RequestError: a limit, name or file of the request is not acceptable.
            SandboxUnavailable: the walls cannot be put up.
        """
        return await self.execute_with(self._executor.run, request, check=check)

    async def execute_with(
        self,
        run: Callable[[ExecutionRequest], Awaitable[ExecutionResult]],
        request: ExecutionRequest,
        *,
        check: bool,
        known_files: Iterable[str] = (),
    ) -> ExecutionResult:
        """The same with ``run``, where the files ``known_files`` lie beside the program."""
        require_enabled(self._settings)
        files = [*request.files, *known_files]
        issues = self.check(request.code, request.language, files) if check else []
        if blocking(issues):
            return ExecutionResult(
                success=False, returncode=None, stdout="", stderr="", issues=tuple(issues)
            )
        result = await run(request)
        return replace(result, issues=tuple(issues))

    async def open_session(self) -> EngineSession:
        """Programs that share variables, imports, files and figures; each one is checked.

        Raises:
            Disabled: running code is switched off.
            Busy: as many sessions as may be are open already.
            SandboxUnavailable: the walls cannot be put up.
        """
        require_enabled(self._settings)
        return EngineSession(self, await self._executor.open_session())


class EngineSession:
    """A session behind the door; see ``Session``. Use as an async context manager."""

    def __init__(self, engine: PythonExecutor, session: Session) -> None:
        self._engine = engine
        self._session = session
        self._modules: set[str] = set()

    @property
    def is_open(self) -> bool:
        """It can run programs."""
        return self._session.is_open

    async def execute(self, request: ExecutionRequest, *, check: bool = True) -> ExecutionResult:
        """Run a program in the state that the last one left, unless the check refuses it.

        A refused program changes nothing. Python files that came in or were written earlier in
        the session can be imported.

        Raises:
            SessionGone: the session is not open any more; nothing was run.
            PythonCoderError: as ``PythonExecutor.execute``.
        """
        result = await self._engine.execute_with(
            self._session.run, request, check=check, known_files=self._modules
        )
        if result.isolation is not None:
            written = [artifact.name for artifact in result.artifacts]
            self._modules |= _importable([*request.files, *written])
        return result

    async def undo(self) -> bool:
        """Go back to before the last program; whether there was one (see ``Session.undo``)."""
        return await self._session.undo()

    async def aclose(self) -> None:
        """End every process of the session and forget its files."""
        await self._session.aclose()

    async def __aenter__(self) -> EngineSession:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _importable(names: Iterable[str]) -> set[str]:
    """Names of Python files; a package counts by its folder, as if that were a file."""
    tops = (name.partition("/")[0].removesuffix(".py") for name in names if name.endswith(".py"))
    return {f"{top}.py" for top in tops}


@asynccontextmanager
async def open_engine(
    settings: Settings, executor: str | None = None
) -> AsyncIterator[PythonExecutor]:
    """Open an executor by name (None: the configured one) and put the door before it.

    Raises:
        RequestError: no executor has that name.
        SandboxUnavailable: it cannot isolate programs on this machine.
    """
    async with open_executor(executor or settings.executor, settings) as opened:
        yield PythonExecutor(opened, settings)


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


async def describe_files(engine: PythonExecutor, files: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Look into the files, inside the sandbox: names, types, columns, dtypes, sample rows.

    Returns:
        One mapping of facts a file; a file that cannot be read has ``error`` among them.

    Raises:
        SandboxUnavailable: the inspection itself did not work.
    """
    if not files:
        return []
    request = ExecutionRequest(
        code=_INSPECTION.format(room=engine.output_bytes),
        files=files,
        argv=tuple(files),
        timeout_s=_INSPECTION_SECONDS,
        memory_mb=_INSPECTION_MEMORY_MB,
    )
    result = await engine.execute(request, check=False)
    facts = _read_facts(result.stdout, list(files))
    if facts is not None:
        return facts
    why = result.stopped_by or ("output" if "stdout" in result.truncated else None)
    if why is not None:
        crashed = "a library crashed on one of the files"
        reason = crashed if why == "killed" else f"stopped by the {why} limit"
        return [{"name": name, "note": f"not looked into: {reason}"} for name in files]
    tail = result.stderr.strip().splitlines()[-1:] or ["no message"]
    raise SandboxUnavailable(
        f"The input files could not be inspected inside the sandbox: {tail[0]}",
        "Run `python-coder doctor`.",
    )


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
