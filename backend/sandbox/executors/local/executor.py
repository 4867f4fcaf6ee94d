"""Runs each program in a walled process of its own on this machine, which waits for it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from typing import TypeVar

from backend.config.settings import Settings
from backend.errors import Busy, SandboxUnavailable
from backend.sandbox.endings import see_through
from backend.sandbox.executors.base import Executor, SandboxLoad
from backend.sandbox.executors.local.child import Child
from backend.sandbox.executors.local.fonts import FontLists
from backend.sandbox.executors.local.header import (
    Header,
    build_header,
    check_request,
    is_heavy,
    zygote_setup,
)
from backend.sandbox.executors.local.layout import lay_out
from backend.sandbox.executors.local.pool import Pool
from backend.sandbox.executors.local.running import DiedBefore, run_once
from backend.sandbox.executors.local.session import LocalSession
from backend.sandbox.executors.local.zygote import Zygote
from backend.sandbox.packages import PackageInstaller
from backend.sandbox.walls.anywalls import AnyWalls
from backend.sandbox.walls.bubblewrap import Walls
from backend.sandbox.walls.cgroups import Cgroups, Unusable, open_cgroups
from backend.sandbox.walls.interpreter import Interpreter, find_interpreter
from backend.sandbox.walls.landlocked import Landlocked
from backend.sandbox.walls.limits import Limits, resolve_limits
from backend.sandbox.walls.probe import explain, find_bubblewrap
from backend.sandbox.workspace import Workspaces, open_workspaces
from backend.types import ExecutionRequest, ExecutionResult, Isolation

T = TypeVar("T")
_NOBODY = 65534
_MOST_CHILDREN_TRIED = 20
"""For one program, when those that are ready turn out to be dead."""


class LocalExecutor(Executor):
    """A process in namespaces of its own for every run; nothing is shared between two."""

    name = "local"

    def __init__(
        self,
        settings: Settings,
        walls: AnyWalls,
        workspaces: Workspaces,
        groups: Cgroups | None,
        packages: PackageInstaller,
    ) -> None:
        self._settings = settings
        self._packages = packages
        self._walls = walls
        self._groups = groups
        self._workspaces = workspaces
        processors = os.cpu_count() or 1
        limits = resolve_limits(ExecutionRequest(code=""), settings)
        self._group_bytes = limits.group_bytes(is_session=False)
        parallel = settings.max_parallel_runs or 2 * processors
        self._slots = asyncio.Semaphore(parallel)
        size = settings.pool_size or 2 * processors
        self.pool = Pool(
            self._start_zygote,
            self._bear,
            size=size,
            most=max(size, parallel),
            warm=bool(settings.preimported_modules),
        )
        self._sessions: dict[LocalSession, Child] = {}
        self._session_count = 0
        """With those that are being opened."""
        plots = any(name.startswith("matplotlib") for name in settings.preimported_modules)
        self._fonts = FontLists(workspaces, made_by_zygote=plots)
        self._isolation: Isolation | None = None

    @property
    def isolation(self) -> Isolation:
        """The walls of the run that was made at opening."""
        if self._isolation is None:
            raise SandboxUnavailable("The executor has not been opened.", "Use open_executor.")
        return self._isolation

    @property
    def packages(self) -> PackageInstaller:
        """What knows its programs' packages, and installs more."""
        return self._packages

    @property
    def load(self) -> SandboxLoad:
        """What the pool has ready, and what of it is in use."""
        return SandboxLoad(
            ready=self.pool.ready,
            in_use=self.pool.in_use,
            sessions=len(self._sessions),
            shortages=self.pool.shortages,
        )

    async def _start_zygote(self, warm: bool) -> Zygote:
        modules = self._settings.preimported_modules if warm else ()
        has_cgroup = self._groups is not None
        setup = zygote_setup(self._settings, self._walls, modules, has_cgroup=has_cgroup)
        return await Zygote.started(self._walls, setup, self._fonts.keep)

    async def _bear(self, zygote: Zygote, hurry: bool) -> Child:
        return await Child.born(zygote, self._walls, self._groups, self._group_bytes, hurry=hurry)

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
        await self._fonts.prepare_for(request.code, self._run_now)
        return await self._run_now(request)

    async def _run_now(self, request: ExecutionRequest) -> ExecutionResult:
        async with self._prepared(request, is_session=False) as (header, limits):
            for _ in range(_MOST_CHILDREN_TRIED):
                with suppress(DiedBefore):
                    return await self._run_in_a_child(header, limits)
        raise explain("processes that stood ready died before they were used")

    async def open_session(self) -> LocalSession:
        """A session (see ``Executor.open_session``)."""
        if not self._walls.has_namespaces:
            raise SandboxUnavailable(
                "There are no sessions without user namespaces (tier C).",
                "Run each program by itself, or make tier B work: run python-coder doctor.",
            )
        most = self._settings.max_sessions
        if self._session_count >= most:
            raise Busy(
                f"{most} sessions are open, which is as many as may be.",
                "Close one, wait, or raise PYTHON_CODE_MAX_SESSIONS.",
            )
        for _ in range(_MOST_CHILDREN_TRIED):
            with suppress(DiedBefore):
                return await self._new_session()
        raise explain("processes that stood ready died before they were used")

    async def _new_session(self) -> LocalSession:
        self._session_count += 1
        try:
            child = await self.pool.take()
        except BaseException:
            self._session_count -= 1
            raise
        session = LocalSession(
            child,
            lambda request: self._prepared(request, is_session=True),
            self._settings.session_idle_s,
            self._forget,
        )
        self._sessions[session] = child
        try:
            await session.open(resolve_limits(ExecutionRequest(code=""), self._settings))
        except BaseException:
            await session.aclose()
            raise
        return session

    def _forget(self, session: LocalSession) -> None:
        child = self._sessions.pop(session, None)
        if child is not None:
            self._session_count -= 1
            self.pool.give_back(child)

    async def aclose(self) -> None:
        """End every session and every process."""
        for session in list(self._sessions):
            await session.aclose()
        await self.pool.aclose()

    @asynccontextmanager
    async def _prepared(
        self, request: ExecutionRequest, *, is_session: bool
    ) -> AsyncIterator[tuple[Header, Limits]]:
        """Check a request, wait for a slot, stage its inputs, marshal it."""
        limits = resolve_limits(request, self._settings)
        check_request(request)
        async with self._slots:
            if not request.files:
                yield await _header(request, limits, {}, is_session=is_session), limits
                return
            staged = self._workspaces.stage(request.files, self._settings.max_file_size_mb)
            async with _in_thread(staged) as inputs:
                yield await _header(request, limits, inputs, is_session=is_session), limits

    async def _run_in_a_child(self, header: Header, limits: Limits) -> ExecutionResult:
        child = await self.pool.take()
        try:
            result = await run_once(child, header, limits)
        except BaseException:
            await self.pool.end(child)
            raise
        # Nothing of the program runs any more; taking its memory apart takes longer than it did.
        self.pool.give_back(child)
        return result


@asynccontextmanager
async def open_local(settings: Settings) -> AsyncIterator[LocalExecutor]:
    """Open an executor on this machine and prove with one run that its walls stand.

    Raises:
        SandboxUnavailable: they do not; says what to do about it.
    """
    async with (
        _in_thread(open_workspaces(settings.execution_dir)) as workspaces,
        _in_thread(open_cgroups()) as found,
    ):
        groups = _require_tier(found, settings)
        interpreter = await asyncio.to_thread(
            find_interpreter, settings.interpreter, allow_network=settings.allow_network
        )
        await asyncio.to_thread(lay_out, workspaces)
        packages = await asyncio.to_thread(PackageInstaller.opened, settings, interpreter)
        executor = await _stand(settings, interpreter, workspaces, groups, packages)
        try:
            yield executor
        finally:
            await executor.aclose()


async def _stand(
    settings: Settings,
    interpreter: Interpreter,
    workspaces: Workspaces,
    groups: Cgroups | None,
    packages: PackageInstaller,
) -> LocalExecutor:
    """An executor behind the best walls there can be here, as far as the settings allow.

    Raises:
        SandboxUnavailable: there are none.
    """
    try:
        walls = Walls(
            bubblewrap=await asyncio.to_thread(find_bubblewrap),
            interpreter=interpreter,
            runtime=workspaces.runtime,
            runs=workspaces.runs,
            as_root=os.geteuid() == 0,
            allow_network=settings.allow_network,
            packages=packages.folder,
        )
        return await _proven(LocalExecutor(settings, walls, workspaces, groups, packages))
    except SandboxUnavailable:
        if settings.min_tier != "C":
            raise
    landlocked = Landlocked(
        interpreter=interpreter,
        runtime=workspaces.runtime,
        runs=workspaces.runs,
        scratch=workspaces.scratch,
        allow_network=settings.allow_network,
        packages=packages.folder,
    )
    workspaces.scratch.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(workspaces.scratch, _NOBODY, _NOBODY)
        workspaces.folder.chmod(0o711)
    landlocked.require()
    return await _proven(LocalExecutor(settings, landlocked, workspaces, groups, packages))


async def _proven(executor: LocalExecutor) -> LocalExecutor:
    """An executor that has run a program; it is closed where it has not."""
    try:
        await executor.pool.open()
        await executor.probe()
    except BaseException:
        await executor.aclose()
        raise
    return executor


def _require_tier(found: Cgroups | Unusable, settings: Settings) -> Cgroups | None:
    """The control groups, or None where there are none and none are asked for.

    Raises:
        SandboxUnavailable: tier A is asked for and cannot be had.
    """
    if isinstance(found, Cgroups):
        return found
    if settings.min_tier == "A":
        raise SandboxUnavailable(
            f"Tier A is asked for (PYTHON_CODE_MIN_TIER), and there is no control group: "
            f"{found.reason}",
            found.remedy,
        )
    return None


async def _header(
    request: ExecutionRequest, limits: Limits, inputs: Mapping[str, str], *, is_session: bool
) -> Header:
    if is_heavy(request):
        return await asyncio.to_thread(build_header, request, limits, inputs, is_session=is_session)
    return build_header(request, limits, inputs, is_session=is_session)


@asynccontextmanager
async def _in_thread(context: AbstractContextManager[T]) -> AsyncIterator[T]:
    """Enter and leave a blocking context in a thread; when cancelled meanwhile, leave it too."""
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
