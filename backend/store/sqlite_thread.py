"""A thread that has an SQLite file to itself: whole transactions are done there, one after the other.

SQLAlchemy's way to SQLite without blocking goes to a thread and back for each statement, and
several connections that write stand in each other's way. Here one transaction is one way to the
thread and back; who comes at the same time waits in a queue and not for a lock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy import Connection, Engine, StaticPool, create_engine
from sqlalchemy.engine import URL

from backend.store.addresses import engine_options
from backend.store.one_thread import OneThread, open_thread

T = TypeVar("T")


class SqliteThread:
    """Does transactions in its thread. Open it with ``open_sqlite_thread``."""

    def __init__(self, engine: Engine, thread: OneThread) -> None:
        self._engine = engine
        self._thread = thread

    async def run(self, do: Callable[[Connection], T]) -> T:
        """Do statements in one transaction; it is rolled back when they raise.

        Once begun it is done to its end, also when whoever waits for it is cancelled.
        """
        return await self._thread.run(lambda: self._run(do))

    async def run_alone(self, do: Callable[[Connection], T]) -> T:
        """Do statements that begin and end their transactions themselves."""
        return await self._thread.run(lambda: self._run_alone(do))

    def _run_alone(self, do: Callable[[Connection], T]) -> T:
        with self._engine.connect() as connection:
            return do(connection.execution_options(isolation_level="AUTOCOMMIT"))

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
        **engine_options(url),
    )
    prepare(engine)
    async with open_thread("database") as thread:
        try:
            yield SqliteThread(engine, thread)
        finally:
            await thread.run(engine.dispose)
