"""How requests ended, on record: written at once, or as soon as the store works again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from backend.errors import (
    NotFound,
    PythonCoderError,
    RunCancelled,
    RunTaken,
    StoreUnavailable,
)
from backend.store.runs import RunStore
from backend.store.told import told
from backend.tools.coder.checkpoints import Checkpointer
from backend.tools.coder.entries import Entry, Job, Result, prompts_of
from backend.usage import UsageTotals, total_usage, usage_sum


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What is to be recorded of a run that is over; see ``RunStore.finish``."""

    run_id: str
    owner: str
    result: Mapping[str, Any] | None
    status: Literal["failed", "cancelled"] | None = None
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    prompts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    usage: UsageTotals | None = None
    """None: the result tells."""


def ending_with(result: Result, entry: Entry, job: Job) -> Ending:
    """The end of work that was done: its result says whether it succeeded."""
    return Ending(
        run_id=job.run_id,
        owner=entry.owner,
        result=result,
        columns=job.columns,
        prompts=prompts_of(result),
    )


def ending_by(error: BaseException, entry: Entry, job: Job) -> Ending:
    """The end of work that was cancelled or failed."""
    left = Ending(
        run_id=job.run_id,
        owner=entry.owner,
        result=None,
        status="cancelled",
        usage=_used(job),
    )
    if isinstance(error, asyncio.CancelledError | RunCancelled):
        return left
    result = {"success": False, "error": repr(error)}
    if isinstance(error, PythonCoderError):
        result |= {"error": told(error), "error_kind": error.error_kind}
    return replace(left, result=result, status="failed")


def _used(job: Job) -> UsageTotals:
    """What a run used up here, and before it waited for an approval."""
    here, before = total_usage(job.calls), job.told_usage
    return here if before is None else usage_sum(before, here)


class Endings:
    """Those that one process has to write."""

    def __init__(self, runs: RunStore, checkpointer: Checkpointer) -> None:
        self._runs = runs
        self._checkpointer = checkpointer
        self._due: dict[str, Ending] = {}

    @property
    def due(self) -> frozenset[str]:
        """The ids of runs that are over, and whose record does not say so yet."""
        return frozenset(self._due)

    async def write(self, ending: Ending, *, keeps: bool = True) -> None:
        """Record it, and forget the steps that led there.

        Raises:
            StoreUnavailable: that cannot be done now; ``catch_up`` does it, if it ``keeps``.
            NotFound: the run was deleted meanwhile.
            RunTaken: the run is somebody else's by now.
        """
        try:
            await self._write(ending)
        except StoreUnavailable:
            if keeps:
                self._due[ending.run_id] = ending
            raise

    async def catch_up(self) -> None:
        """Write what is due; what still cannot be written stays so."""
        for run_id, ending in list(self._due.items()):
            try:
                # Deleted or somebody else's meanwhile, there is nothing to be said of it.
                with suppress(NotFound, RunTaken):
                    await self._write(ending)
            except StoreUnavailable:
                # Others come first the next time: it may be this one alone that finds no room.
                if self._due.pop(run_id, None) is not None:
                    self._due[run_id] = ending
                return
            except Exception:
                logging.getLogger("backend.tools").exception("The end of %s is lost", run_id)
            self._due.pop(run_id, None)

    async def forget_steps(self, run_id: str) -> None:
        """Remove the steps that are kept of a run: nobody goes on with it."""
        with suppress(OSError, StoreUnavailable):
            await self._checkpointer.adelete_thread(run_id)

    async def _write(self, ending: Ending) -> None:
        await self._runs.finish(
            ending.run_id,
            ending.result,
            owner=ending.owner,
            status=ending.status,
            columns=ending.columns,
            prompts=ending.prompts,
            usage=ending.usage,
        )
        await self.forget_steps(ending.run_id)
