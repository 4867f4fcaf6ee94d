"""Whoever adds and whoever removes keep out of each other's way, and leave nothing open behind."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from backend.store import change_lock, endings
from backend.store.change_lock import ChangeLock


def open_files(path: Path) -> int:
    links = Path("/proc/self/fd")
    count = 0
    for each in links.iterdir():
        with suppress(FileNotFoundError):
            count += each.readlink() == path
    return count


async def test_who_is_cancelled_while_the_lock_is_opened_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, go_on = tmp_path / "lock", threading.Event()
    opened, closed = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    real_open, real_close = change_lock._open, os.close

    def open_slowly(path: Path) -> int:
        loop.call_soon_threadsafe(opened.set)
        go_on.wait()
        return real_open(path)

    def close(handle: int) -> None:
        real_close(handle)
        closed.set()

    monkeypatch.setattr(change_lock, "_open", open_slowly)
    monkeypatch.setattr(endings.os, "close", close)
    adding = asyncio.create_task(ChangeLock(path).adding().__aenter__())
    await opened.wait()
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    go_on.set()
    async with asyncio.timeout(10):
        await closed.wait()
    assert open_files(path) == 0
