"""Runs each program in a bubblewrap-walled process of its own on this machine."""

from __future__ import annotations

import asyncio
import os
import py_compile
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

from backend.config.settings import Settings
from backend.errors import SandboxUnavailable
from backend.sandbox import inside
from backend.sandbox.endings import see_through
from backend.sandbox.executors.base import Executor
from backend.sandbox.executors.local.fonts import FontCache
from backend.sandbox.executors.local.header import build_header, check_request
from backend.sandbox.executors.local.outcome import result_of
from backend.sandbox.executors.local.process import WalledProcess
from backend.sandbox.executors.local.report import Reader, Report
from backend.sandbox.walls.bubblewrap import Walls
from backend.sandbox.walls.interpreter import this_interpreter
from backend.sandbox.walls.inventory import isolation_of
from backend.sandbox.walls.limits import Limits, resolve_limits
from backend.sandbox.walls.probe import explain, find_bubblewrap
from backend.sandbox.walls.seccomp import build_filter
from backend.sandbox.workspace import Workspaces, open_workspaces
from backend.types import ExecutionRequest, ExecutionResult, Isolation, StoppedBy

_START_SECONDS = 20.0
"""For bubblewrap and the interpreter, on a machine that is busy with other things."""
_GRACE_SECONDS = 0.25
"""Between asking the keeper to stop and killing it."""
_SECONDS_WHEN_STOPPED = 0.4
"""Between asking it and the end of the run, artifacts included."""
_ARTIFACT_MS_WHEN_STOPPED = 300

T = TypeVar("T")


class LocalExecutor(Executor):
    """One process a run; nothing is shared between two runs."""

    name = "local"

    def __init__(self, settings: Settings, walls: Walls, workspaces: Workspaces) -> None:
        self._settings = settings
        self._walls = walls
        self._workspaces = workspaces
        self._slots = asyncio.Semaphore(settings.max_parallel_runs or 2 * (os.cpu_count() or 1))
        self._constant = {
            "filter": build_filter(allow_network=settings.allow_network),
            "allow_network": settings.allow_network,
        }
        self._fonts = FontCache(walls.interpreter, workspaces)
        self._isolation: Isolation | None = None

    @property
    def isolation(self) -> Isolation:
        """The walls of the run that was made at opening."""
        if self._isolation is None:
            raise SandboxUnavailable("The executor has not been opened.", "Use open_executor.")
        return self._isolation

    async def probe(self) -> ExecutionResult:
        """Run a real program, and keep the walls it found as this executor's own."""
        marker = os.urandom(8).hex()
        result = await self.run(ExecutionRequest(code=f"print({marker!r})", timeout_s=20))
        if not result.success or result.stdout.strip() != marker:
            raise explain(f"a first program ended with {result.returncode}: {result.stderr}")
        self._isolation = result.isolation
        return result

    async def run(self, request: ExecutionRequest) -> ExecutionResult:
        """Run one program (see ``Executor.run``)."""
        limits = resolve_limits(request, self._settings)
        check_request(request)
        header = build_header(request, limits, self._constant)
        if self._fonts.is_wanted(request.code):
            await self._fonts.prepare(self._run_ours)
        staged = self._workspaces.stage(request.files, self._settings.max_file_size_mb)
        async with self._slots, _in_thread(staged, skip=not request.files) as inputs:
            return await self._run_walled(limits, header, inputs)

    async def _run_ours(self, code: str) -> ExecutionResult:
        """Run a program of our own, under the same walls as any other."""
        request = ExecutionRequest(code=code, timeout_s=60)
        limits = resolve_limits(request, self._settings)
        header = build_header(request, limits, self._constant)
        return await self._run_walled(limits, header, {})

    async def _run_walled(
        self, limits: Limits, header: bytes, inputs: Mapping[str, Path]
    ) -> ExecutionResult:
        began = time.monotonic()
        async with WalledProcess(self._walls, limits, inputs) as process:
            reader = Reader(process.reader, limits.artifacts)
            reading = asyncio.create_task(reader.read_all())
            try:
                await process.send(header)
                await self._wait_for_start(process, reader)
                stopped, seconds_left = await _until_over(process, reader, limits)
                duration = time.monotonic() - began
                await asyncio.wait({reading}, timeout=seconds_left)
            finally:
                reading.cancel()
            process.drain()
        if reader.report.failure and not reader.report.ended:
            raise explain(reader.report.failure)
        isolation = isolation_of(reader.report.standing, reader.report.walls, self._walls)
        return result_of(
            reader.report, process.stdout, process.stderr, stopped, duration, limits, isolation
        )

    async def _wait_for_start(self, process: WalledProcess, reader: Reader) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(reader.started.wait(), _START_SECONDS)
        report: Report = reader.report
        if report.failure or not report.walls:
            process.drain()
            said = process.stderr.finish().text.strip()
            silent = (
                "bubblewrap ended without a word"
                if reader.over.is_set()
                else f"nothing stood after {_START_SECONDS:g} seconds"
            )
            raise explain(report.failure or said or silent)


async def _until_over(
    process: WalledProcess, reader: Reader, limits: Limits
) -> tuple[StoppedBy | None, float]:
    """Wait for the program's end, or bring it about.

    Returns:
        Our reason, if it was ours, and the seconds that its artifacts may take.
    """
    over = asyncio.create_task(reader.over.wait())
    flooded = asyncio.create_task(process.flooded.wait())
    try:
        await asyncio.wait(
            {over, flooded}, timeout=limits.timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        if over.done():
            return None, limits.artifacts.seconds + 2
        asked = time.monotonic()
        reason: StoppedBy = "output" if process.flooded.is_set() else "timeout"
        await process.send(b"%d\n" % _ARTIFACT_MS_WHEN_STOPPED)
        await asyncio.wait({over}, timeout=_GRACE_SECONDS)
        if not over.done():
            process.kill()
        return reason, max(0.0, asked + _SECONDS_WHEN_STOPPED - time.monotonic())
    finally:
        over.cancel()
        flooded.cancel()


@asynccontextmanager
async def open_local(settings: Settings) -> AsyncIterator[LocalExecutor]:
    """Open an executor on this machine and prove with one run that its walls stand.

    Raises:
        SandboxUnavailable: they do not; says what to do about it.
    """
    bubblewrap = find_bubblewrap()
    async with _in_thread(open_workspaces(settings.execution_dir)) as workspaces:
        interpreter = this_interpreter(allow_network=settings.allow_network)
        await asyncio.to_thread(_lay_out, workspaces.runtime)
        walls = Walls(
            bubblewrap=bubblewrap,
            interpreter=interpreter,
            runtime=workspaces.runtime,
            as_root=os.geteuid() == 0,
            allow_network=settings.allow_network,
        )
        executor = LocalExecutor(settings, walls, workspaces)
        await executor.probe()
        yield executor


def _lay_out(runtime: Path) -> None:
    """Put our own files for the inside where they can be bound, compiled."""
    runner = runtime / "runner"
    (runtime / "fonts").mkdir()
    ours = Path(inside.__file__).parent
    for source in sorted(ours.rglob("*.py")):
        place = source.relative_to(ours.parent)
        copy = runner / place
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
        py_compile.compile(
            str(copy),
            dfile=str(place),
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
    etc = runtime / "etc"
    etc.mkdir()
    for name, text in {
        "passwd": "nobody:x:65534:65534:nobody:/tmp:/bin/sh\n",
        "group": "nogroup:x:65534:\n",
        "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    }.items():
        (etc / name).write_text(text, encoding="ascii")
    for path in runtime.rglob("*"):
        # Whoever reads them inside is nobody, also where our umask lets nobody read.
        path.chmod(0o755 if path.is_dir() else 0o644)


@asynccontextmanager
async def _in_thread(context: AbstractContextManager[T], *, skip: bool = False) -> AsyncIterator[T]:
    """Enter and leave a blocking context in a thread; when cancelled meanwhile, leave it too."""
    if skip:
        with context as value:
            yield value
        return
    entering = asyncio.ensure_future(asyncio.to_thread(context.__enter__))
    try:
        value = await see_through(entering)
    except asyncio.CancelledError:
        if entering.exception() is None:
            context.__exit__(None, None, None)
        raise
    try:
        yield value
    finally:
        await see_through(asyncio.to_thread(context.__exit__, None, None, None))
