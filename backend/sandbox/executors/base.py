"""The seam between what asks for a run and what gives it."""

from __future__ import annotations

from abc import ABC, abstractmethod

from backend.types import ExecutionRequest, ExecutionResult, Isolation


class Executor(ABC):
    """Runs programs behind walls. Open one with ``open_executor``; many runs at a time are fine."""

    name: str

    @property
    @abstractmethod
    def isolation(self) -> Isolation:
        """The walls this executor builds on this machine, as a real run reported them."""

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
