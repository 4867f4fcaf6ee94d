"""A thread that has an SQLite file to itself: whole transactions are done there, one after the other.

SQLAlchemy's way to SQLite without blocking goes to a thread and back for each statement, and
several connections that write stand in each other's way. Here one transaction is one way to the
thread and back; who comes at the same time waits in a queue and not for a lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy import Connection, Engine, StaticPool, create_engine
from sqlalchemy.engine import URL

T = TypeVar("T")


class SqliteThread:
    """Does transactions in its thread. Open it with ``open_sqlite_thread``."""

    def __init__(self, engine: Engine, thread: ThreadPoolExecutor) -> None:
        self._engine = engine
        self._thread = thread

    async def run(self, do: Callable[[Connection], T]) -> T:
        """Do statements in one transaction; it is rolled back when they raise.

        Once begun it is done to its end, also when whoever waits for it is cancelled.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, do)

    def _run(self, do: Callable[[Connection], T]) -> T:
        with self._engine.begin() as connection:
            return do(connection)


@asynccontextmanager
async def open_sqlite_thread(
    url: URL, prepare: Callable[[Engine], None]
) -> AsyncIterator[SqliteThread]:
    """Open a connection of its own to a file, in a thread of its own.

    Args:
        url: the file's.
        prepare: is given the engine before its first connection.
    """
    engine = create_engine(
        url.set(drivername="sqlite"),
        poolclass=StaticPool,
        connect_args={"check_same_thread": False},
    )
    prepare(engine)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="database") as thread:
        try:
            yield SqliteThread(engine, thread)
        finally:
            await asyncio.get_running_loop().run_in_executor(thread, engine.dispose)
