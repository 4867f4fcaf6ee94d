"""Puts the store in order every quarter of an hour, while requests are served.

Of several servers on one data folder one does it at a time.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from backend.config.settings import Settings
from backend.core.assistant import Assistant
from backend.errors import PythonCoderError
from backend.store.database import Database
from backend.store.endings import opened
from backend.store.files import FileStore
from backend.store.upkeep import Upkeep
from backend.tools.coder.checkpoints import Checkpointer, kept_threads

PERIOD_S = 900.0
FIRST_S = 60.0
"""After the start; who starts has more urgent things to do."""
_DAY_S = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Janitor:
    """Forgets what is over. Open it with ``open_janitor``."""

    upkeep: Upkeep
    checkpointer: Checkpointer
    mark: Path
    """A file that whoever is at work has locked, and that says when that was."""
    keep_days: int
    """How long runs are kept; 0: for ever."""

    async def clean_if_due(self) -> bool:
        """Clean, unless another process is at it, or was a moment ago; whether it was done."""
        handle = await opened(partial(_open, self.mark))
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            # A little less than the period: several servers' clocks of it are not the same.
            if os.fstat(handle).st_mtime > time.time() - PERIOD_S / 2:
                return False
            await self.clean()
            os.utime(handle)
            return True
        finally:
            os.close(handle)

    async def clean(self) -> None:
        """Forget files and containers that are over, old runs, steps of what is over, and unused bytes.

        Raises:
            StoreUnavailable: the database or the data folder cannot be used.
        """
        files = await self.upkeep.forget_files()
        containers = await self.upkeep.forget_containers()
        old = 0
        if self.keep_days:
            older_than = time.time() - self.keep_days * _DAY_S
            old = (await self.upkeep.forget_runs(older_than=older_than)).count
        steps = await self._forget_steps()
        swept = await self.upkeep.sweep()
        logging.getLogger("backend.store").info(
            "Forgotten: %d files, %d containers, %d old runs, the steps of %d runs, "
            "%d unused blobs",
            *(files, containers, old, steps, swept),
        )

    async def _forget_steps(self) -> int:
        """Forget the steps of runs that are over: left where a process was killed at their end."""
        ids = {name.partition("/")[0] for name in await kept_threads(self.checkpointer)}
        over = await self.upkeep.runs_that_are_over(sorted(ids))
        for run_id in over:
            await self.checkpointer.adelete_thread(run_id)
        return len(over)

    async def work(self) -> None:
        """Clean now and then, until cancelled. What fails is said, and tried again the next time."""
        await _tried(self._forget_steps)  # killed ones leave some, and we may be their heir
        wait = FIRST_S
        while True:
            await asyncio.sleep(wait)
            wait = PERIOD_S
            await _tried(self.clean_if_due)


@asynccontextmanager
async def open_janitor(
    settings: Settings, database: Database, assistant: Assistant
) -> AsyncIterator[Janitor]:
    """Start cleaning now and then, and stop it."""
    recorder = assistant.recorder
    assert recorder is not None, "open_assistant opens it"
    blobs = assistant.blobs
    janitor = Janitor(
        upkeep=Upkeep(database=database, files=FileStore(database, blobs), blobs=blobs),
        checkpointer=recorder.checkpointer,
        mark=settings.data_dir / "janitor",
        keep_days=settings.keep_runs_days,
    )
    task = asyncio.create_task(janitor.work(), name="janitor")
    try:
        yield janitor
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _tried(clean: Callable[[], Awaitable[object]]) -> None:
    try:
        await clean()
    except (PythonCoderError, OSError) as error:
        logging.getLogger("backend.store").warning("Nothing was cleaned up: %s", error)
    except Exception:
        logging.getLogger("backend.store").exception("Cleaning up failed")


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.touch(mode=0o600)
        os.utime(path, (0, 0))  # never yet
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)
