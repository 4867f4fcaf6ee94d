"""The seam between what asks for a run and what gives it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backend.types import ExecutionRequest, ExecutionResult, Isolation

if TYPE_CHECKING:
    from backend.sandbox.packages import PackageInstaller


@dataclass(frozen=True, kw_only=True)
class SandboxLoad:
    """How much an executor has to do at the moment."""

    ready: int = 0
    """Sandboxes that wait for a program."""
    in_use: int = 0
    """Those that run one, or hold a session."""
    sessions: int = 0
    shortages: int = 0
    """How often a program had to wait for its sandbox to come about, since the start."""


class Executor(ABC):
    """Runs programs behind walls. Open one with ``open_executor``; many runs at a time are fine."""

    name: str

    @property
    @abstractmethod
    def isolation(self) -> Isolation:
        """The walls this executor builds on this machine, as a real run reported them."""

    @property
    def packages(self) -> PackageInstaller | None:
        """What knows its programs' packages, and installs more; None where nothing does."""
        return None

    @property
    def load(self) -> SandboxLoad:
        """What is ready and in use; nothing where that is not known."""
        return SandboxLoad()

    @abstractmethod
    async def run(self, request: ExecutionRequest) -> ExecutionResult:
        """Run one program. How it ended is in the result, whatever it did.

        Cancelling kills every process of the run and removes its files before it returns.

        Raises:
            RequestError: a limit, name, variable or argument that cannot be; nothing was run.
            NotFound: a file that does not exist.
            TooLarge: a file or variable over the limit.
            SandboxUnavailable: the walls could not be built; nothing was run.
        """

    @abstractmethod
    async def open_session(self) -> Session:
        """A session: what one run leaves behind, the next one finds.

        It ends with the executor at the latest, and before that when nobody uses it for
        ``PYTHON_CODE_SESSION_IDLE`` seconds.

        Raises:
            Busy: as many as may be are open already.
            SandboxUnavailable: the walls could not be built.
        """


class Session(ABC):
    """Programs that share variables, imports, files and open figures, one after another.

    A run that is killed (by a limit, a crash, or being cancelled) leaves nothing behind: variables
    and files are as they were before it, and its result says so. Use as an async context manager.
    """

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """It can run programs; not any more once it was closed, has expired, or was lost."""

    @property
    @abstractmethod
    def why_gone(self) -> str:
        """Why it is not open any more, as a sentence; '' while it is."""

    @abstractmethod
    async def run(self, request: ExecutionRequest) -> ExecutionResult:
        """Run one program in the state that the last one left (see ``Executor.run``).

        Raises:
            SessionGone: the session is not open any more; nothing was run.
        """

    @abstractmethod
    async def undo(self) -> bool:
        """Go back to before the last run that was not undone, one step at most.

        Returns:
            Whether there was one to go back to.

        Raises:
            SessionGone: the session is not open any more.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """End every process of the session and forget its files."""

    async def __aenter__(self) -> Session:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
