"""Runs programs behind walls. ``open_executor`` is the way in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backend.config.settings import Settings, load_settings
from backend.errors import RequestError
from backend.sandbox.executors.base import Executor
from backend.types import Artifact, ExecutionRequest, ExecutionResult, Isolation

__all__ = [
    "Artifact",
    "ExecutionRequest",
    "ExecutionResult",
    "Executor",
    "Isolation",
    "open_executor",
]

_KNOWN = ("local",)


@asynccontextmanager
async def open_executor(
    name: str = "local", settings: Settings | None = None
) -> AsyncIterator[Executor]:
    """Open an executor by name; its walls have been proved to stand when it is handed over.

    Args:
        name: which one.
        settings: None reads them from the environment and the files.

    Raises:
        RequestError: an unknown name; lists the known ones.
        SandboxUnavailable: it cannot give its isolation on this machine; says what to do.
    """
    if name not in _KNOWN:
        raise RequestError(
            f"There is no executor {name!r}.", f"Use one of: {', '.join(_KNOWN)}.", param="executor"
        )
    from backend.sandbox.executors.local.executor import open_local

    async with open_local(settings or load_settings()) as executor:
        yield executor
