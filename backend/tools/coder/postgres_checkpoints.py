"""A graph's steps in PostgreSQL, where that is the database: any server may go on with them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from backend.errors import StoreUnavailable
from backend.store.addresses import ANSWER_TIMEOUT_S, POOL_WAIT_S, check_encoding
from backend.store.telling import reason_of, remedy_of
from backend.tools.coder.sparing_steps import SparingSteps

POOL_SIZE = 5
"""Connections of a process for its steps, beside those for everything else."""
_LOCK = 0x707964
"""What PostgreSQL's advisory lock is called under which the tables are made."""
_TABLES = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")

_Pool = AsyncConnectionPool[AsyncConnection[DictRow]]


@dataclass(frozen=True)
class _Apart:
    """A value that PostgreSQL's JSON cannot hold: kept among those that are bytes."""

    value: Any


class _CheckpointTables(AsyncPostgresSaver):
    """LangGraph's own saver, where its lock would let one request at a time keep a step."""

    def __init__(self, pool: _Pool) -> None:
        super().__init__(pool)
        self._pool = pool

    @asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[AsyncCursor[DictRow]]:
        async with _told(), self._pool.connection() as connection:
            if pipeline:
                async with connection.pipeline(), connection.cursor(binary=True) as cursor:
                    yield cursor
            else:
                async with connection.cursor(binary=True) as cursor:
                    yield cursor

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a step."""
        values = {
            name: _Apart(value) if _is_refused(value) else value
            for name, value in checkpoint["channel_values"].items()
        }
        whole: Checkpoint = {**checkpoint, "channel_values": values}
        return await super().aput(config, whole, metadata, new_versions)

    def _dump_blobs(
        self, thread_id: str, checkpoint_ns: str, values: dict[str, Any], versions: ChannelVersions
    ) -> list[tuple[str, str, str, str, str, bytes | None]]:
        bare = {
            name: value.value if isinstance(value, _Apart) else value
            for name, value in values.items()
        }
        return super()._dump_blobs(thread_id, checkpoint_ns, bare, versions)

    async def adelete_thread(self, thread_id: str) -> None:
        """Remove its steps, and those of all threads below it, as ``run/0`` is below ``run``."""
        # By bytes, whatever the database's language: no sign stands between "/" and "0".
        which = "thread_id = %s OR thread_id ~>=~ %s AND thread_id ~<~ %s"
        values = (thread_id, f"{thread_id}/", f"{thread_id}0")
        async with self._cursor(pipeline=True) as cursor:
            for table in _TABLES:
                await cursor.execute(f"DELETE FROM {table} WHERE {which}", values)

    async def athreads(self) -> list[str]:
        """The names of all threads that have steps here."""
        async with self._cursor() as cursor:
            await cursor.execute("SELECT DISTINCT thread_id FROM checkpoints")
            return [row["thread_id"] for row in await cursor.fetchall()]


class _SparingTables(SparingSteps, _CheckpointTables):
    """That, sparingly."""


@asynccontextmanager
async def open_checkpoint_tables(
    address: str, options: dict[str, Any]
) -> AsyncIterator[_SparingTables]:
    """Open the tables of checkpoints in a PostgreSQL database, and create them where they are not.

    Args:
        address: the database's URL.
        options: what psycopg is told beside it.

    Raises:
        SettingsError: the database is not in UTF-8.
        StoreUnavailable: PostgreSQL does not let us in; it may do so later.
    """
    try:
        first = await AsyncConnection.connect(
            address, **options, autocommit=True, row_factory=dict_row
        )
        async with first:
            check_encoding(first.info.parameter_status("server_encoding"), "the database")
            await _create(first)
    except (psycopg.Error, OSError) as error:
        raise StoreUnavailable(
            f"The steps of the work cannot be kept in PostgreSQL: {reason_of(error)}.",
            "See that it runs and lets this user create tables, or correct DATABASE_URL.",
        ) from None
    pool: _Pool = AsyncConnectionPool(
        address,
        kwargs={**options, "autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
        min_size=1,
        max_size=POOL_SIZE,
        timeout=POOL_WAIT_S,
        open=False,
        check=AsyncConnectionPool.check_connection,
        name="checkpoints",
    )
    async with pool:
        yield _SparingTables(pool)


async def _create(connection: AsyncConnection[DictRow]) -> None:
    """Create the tables, or bring them up to date; several processes may do so at once."""
    steps = AsyncPostgresSaver.MIGRATIONS
    known = await connection.execute("SELECT to_regclass('checkpoint_migrations') AS name")
    if (await _first(known))["name"] is not None and not await _pending(connection):
        return
    async with connection.transaction():
        await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        await connection.execute(steps[0])
        pending = await _pending(connection)
        for number in pending:
            # Not possible in a transaction; and without one, not under a lock.
            await connection.execute(steps[number].replace("INDEX CONCURRENTLY", "INDEX").encode())
            await connection.execute("INSERT INTO checkpoint_migrations (v) VALUES (%s)", (number,))
        for table in _TABLES if pending else ():
            await connection.execute(
                f"CREATE INDEX IF NOT EXISTS {table}_below ON {table} (thread_id text_pattern_ops)"
            )


async def _pending(connection: AsyncConnection[DictRow]) -> range:
    latest = await connection.execute("SELECT max(v) AS version FROM checkpoint_migrations")
    version = (await _first(latest))["version"]
    return range(0 if version is None else version + 1, len(AsyncPostgresSaver.MIGRATIONS))


@asynccontextmanager
async def _told() -> AsyncIterator[None]:
    scope = asyncio.timeout(ANSWER_TIMEOUT_S)
    try:
        async with scope:
            yield
    except (psycopg.Error, OSError) as error:
        if isinstance(error, TimeoutError) and not scope.expired():
            raise
        raise StoreUnavailable(
            f"The steps of the work cannot be kept in PostgreSQL: {reason_of(error)}.",
            remedy_of(is_postgres=True),
        ) from error


async def _first(cursor: AsyncCursor[DictRow]) -> DictRow:
    row = await cursor.fetchone()
    assert row is not None
    return row


def _is_refused(value: object) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if not isinstance(value, str):
        return False
    if "\0" in value:
        return True
    if value.isascii():
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return True
    return False
