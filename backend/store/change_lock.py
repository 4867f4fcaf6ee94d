"""Who adds bytes and who removes them keep out of each other's way, in all processes of a folder.

Bytes are shared by content: without this, a removal could take away the bytes of a row that is just
being added. Any number may add at a time; whoever removes is alone.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from backend.errors import StoreUnavailable
from backend.store.blobs import writing
from backend.store.endings import opened

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.001, 0.05
BREATH_S = 2 * _LONGEST_WAIT_S
"""For whoever removes much, some at a time: in between, who waits in another process has a look."""
PATIENCE_S = 30.0
"""After which whoever waits gives up: somebody holds the folder who does nothing."""


class ChangeLock:
    """A lock on a file, as far as processes are concerned; within this one, a queue."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._gate = asyncio.Lock()
        self._adding = 0
        self._nobody_adds = asyncio.Event()
        self._handle = -1

    @asynccontextmanager
    async def adding(self) -> AsyncIterator[None]:
        """Nobody removes meanwhile.

        Raises:
            StoreUnavailable: somebody does, for half a minute already.
        """
        async with self._gate:
            if self._adding == 0:
                await self._take(fcntl.LOCK_SH)
                self._nobody_adds.clear()
            self._adding += 1
        try:
            yield
        finally:
            self._adding -= 1
            if self._adding == 0:
                os.close(self._handle)  # which lets go of the lock
                self._nobody_adds.set()

    @asynccontextmanager
    async def removing(self) -> AsyncIterator[None]:
        """Nobody adds or removes meanwhile.

        Raises:
            StoreUnavailable: somebody does, for half a minute already.
        """
        async with self._gate:
            if self._adding:
                await self._nobody_adds.wait()
            await self._take(fcntl.LOCK_EX)
            try:
                yield
            finally:
                os.close(self._handle)

    async def _take(self, kind: int) -> None:
        with writing(self._path.parent):
            handle = await opened(partial(_open, self._path))
        try:
            wait = _FIRST_WAIT_S
            async with asyncio.timeout(PATIENCE_S):
                # Never waited for in a thread: all threads could be waiting for one that needs one.
                while not _try(handle, kind):
                    await asyncio.sleep(wait)
                    wait = min(2 * wait, _LONGEST_WAIT_S)
        except BaseException as error:
            os.close(handle)
            if isinstance(error, TimeoutError):
                raise StoreUnavailable(
                    f"The files in {str(self._path.parent)!r} are held by another process.",
                    "See what it does; end it if it hangs.",
                ) from None
            raise
        self._handle = handle


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _try(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
