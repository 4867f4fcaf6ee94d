"""Check, then run: the only door to execution, for the loop and for every face."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from backend.config.settings import Settings
from backend.errors import Disabled
from backend.observing import Observe, unobserved
from backend.sandbox import Executor, open_executor
from backend.sandbox.executors.base import SandboxLoad, Session
from backend.sandbox.file_types import SUPPORTED_FILE_TYPES
from backend.sandbox.fixes import Fixed, KnownFiles, fix
from backend.sandbox.packages import PackageInstaller
from backend.sandbox.policy import (
    BLOCKED_IMPORTS,
    SAFE_PACKAGES,
    blocking,
    check,
    installed_in,
)
from backend.store.audit import AuditTrail
from backend.tools.input_files import describe_files, place_files
from backend.tools.witness import Witness
from backend.types import (
    Execute,
    ExecutionRequest,
    ExecutionResult,
    Failure,
    Isolation,
    Issue,
    Language,
)

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

    def __init__(
        self,
        executor: Executor,
        settings: Settings,
        *,
        installed: Collection[str] | None = None,
        witness: Witness | None = None,
    ) -> None:
        self._executor = executor
        self._settings = settings
        self._installed = installed
        self._witness = witness or Witness()
        self.answered_at = -math.inf
        """When the sandbox last gave a result, on the monotonic clock."""

    @property
    def isolation(self) -> Isolation:
        """The walls that stand around every run."""
        return self._executor.isolation

    @property
    def load(self) -> SandboxLoad:
        """How much the executor has to do."""
        return self._executor.load

    @property
    def packages(self) -> PackageInstaller | None:
        """What knows the packages that programs have, and installs more where that is allowed."""
        return self._executor.packages

    @property
    def output_bytes(self) -> int:
        """Bytes that are kept of what a program prints."""
        return self._settings.max_output_kb * 1024

    @property
    def installed(self) -> Collection[str] | None:
        """What programs can import beside the standard library; see ``policy.installed_in``.

        None where it is not known, or where what lacks may be installed.
        """
        may_grow = self.packages is not None and self.packages.folder is not None
        return None if may_grow else self._installed

    def check(
        self,
        code: str,
        language: Language = "python",
        files: Iterable[str] = (),
        *,
        known: KnownFiles | None = None,
        names: Collection[str] | None = None,
        foresee: bool = False,
    ) -> list[Issue]:
        """What the static check has to say; nothing is run.

        Args:
            code: the program.
            language: what it is written in.
            files: names of its input files; Python files among them can be imported.
            known: the same files with what is known of them; None: which there are is not judged.
            names: variables that the program finds defined; None: not known.
            foresee: what is certain to fail keeps a program from running, too.
        """
        return check(
            code,
            language,
            allow_network=self._settings.allow_network,
            known_modules={*_modules(files), *self._may_be_there()},
            files=None if known is None else known.files,
            columns=None if known is None else known.columns,
            installed=self.installed,
            names=names,
            foresee=foresee,
        )

    def _may_be_there(self) -> Collection[str]:
        """Packages that are accepted though ``installed`` cannot tell of them."""
        if self.packages is None or self.packages.folder is None:
            return ()
        return self.packages.installable() | frozenset(self._installed or ())

    def fix(
        self,
        code: str,
        wrong: Iterable[Issue] | Failure | str,
        files: Iterable[str] = (),
        *,
        known: KnownFiles | None = None,
        names: Collection[str] = (),
    ) -> Fixed | None:
        """Mend a Python program without a model, where that is certain; see ``fixes.fix``.

        Args:
            code: the program.
            wrong: what ``check`` found, or how a run failed.
            files: names of its input files.
            known: the same files with what is known of them.
            names: variables that the program finds defined.
        """
        return fix(
            code,
            wrong,
            known=known,
            installed=self.installed,
            known_modules=_modules(files),
            names=names,
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
            StoreUnavailable: the program cannot be put on record, and was not run.
        """
        return await self.execute_with(self._executor.run, request, check=check)

    async def execute_with(
        self,
        run: Execute,
        request: ExecutionRequest,
        *,
        check: bool,
        known_files: Iterable[str] = (),
        names: Collection[str] | None = None,
    ) -> ExecutionResult:
        """The same with ``run``, where the files ``known_files`` lie beside the program.

        Args:
            run: runs it.
            request: the program and what it may use.
            check: False leaves out the static check.
            known_files: lie in the working directory already.
            names: are defined already; None: not known.
        """
        require_enabled(self._settings)
        files = [*request.files, *known_files]
        names = None if names is None else [*names, *request.variables]
        issues = self.check(request.code, request.language, files, names=names) if check else []
        if blocking(issues):
            await self.put_refusal_on_record(request, issues)
            return ExecutionResult(
                success=False, returncode=None, stdout="", stderr="", issues=tuple(issues)
            )
        said = issues if check else request.checked
        result = await self._witness.run(run, request, said)
        self.answered_at = time.monotonic()
        return replace(result, issues=tuple(issues))

    async def put_refusal_on_record(
        self, request: ExecutionRequest, issues: Sequence[Issue]
    ) -> None:
        """Take note of a program that is not run because of what the check found.

        Raises:
            StoreUnavailable: that cannot be put on record.
        """
        await self._witness.refused(request, issues)

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

    @property
    def why_gone(self) -> str:
        """Why it is not open any more, as a sentence; '' while it is."""
        return self._session.why_gone

    async def execute(
        self,
        request: ExecutionRequest,
        *,
        check: bool = True,
        names: Collection[str] | None = None,
    ) -> ExecutionResult:
        """Run a program in the state that the last one left, unless the check refuses it.

        A refused program changes nothing. Python files that came in or were written earlier in
        the session can be imported.

        Args:
            request: the program and what it may use.
            check: False leaves out the static check.
            names: what the programs before it left, for the check; None: not known.

        Raises:
            SessionGone: the session is not open any more; nothing was run.
            PythonCoderError: as ``PythonExecutor.execute``.
        """
        result = await self._engine.execute_with(
            self._session.run, request, check=check, known_files=self._modules, names=names
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


def _modules(files: Iterable[str]) -> list[str]:
    return [name.removesuffix(".py") for name in files if name.endswith(".py")]


def _importable(names: Iterable[str]) -> set[str]:
    """Names of Python files; a package counts by its folder, as if that were a file."""
    tops = (name.partition("/")[0].removesuffix(".py") for name in names if name.endswith(".py"))
    return {f"{top}.py" for top in tops}


@asynccontextmanager
async def open_engine(
    settings: Settings, executor: str | None = None, *, observe: Observe = unobserved
) -> AsyncIterator[PythonExecutor]:
    """Open an executor by name (None: the configured one) and put the door before it.

    Args:
        settings: what programs may use.
        executor: its name.
        observe: is told of every program.

    Raises:
        RequestError: no executor has that name.
        SandboxUnavailable: it cannot isolate programs on this machine.
    """
    name = executor or settings.executor
    async with open_executor(name, settings) as opened:
        trail = await asyncio.to_thread(AuditTrail.of, settings, executor=name)
        witness = Witness(trail, observe)
        installed = await _installed(opened)
        yield PythonExecutor(opened, settings, installed=installed, witness=witness)


async def _installed(executor: Executor) -> Collection[str] | None:
    if executor.packages is None:
        return None
    return await asyncio.to_thread(installed_in, executor.packages.folders)
