"""Where a graph's steps are kept, so that a crash does not cost them.

A request that ends, however it ends, leaves nothing behind here: its record is in the run store.
"""

from __future__ import annotations

import asyncio
import functools
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, Durability, Interrupt

from backend.config.settings import Settings
from backend.errors import SettingsError, StoreUnavailable
from backend.store.addresses import postgres_address
from backend.store.database import BUSY_TIMEOUT_MS, make_private
from backend.store.endings import to_its_end
from backend.store.one_thread import OneThread, open_thread
from backend.store.telling import reason_of, remedy_of
from backend.tools.coder.sparing_steps import SparingSteps

T = TypeVar("T")

Checkpointer = BaseCheckpointSaver[Any]
_LOG_PAGES = 250
"""Of 4 KiB, after which SQLite moves its log into the file."""
Answering = Callable[[Any], Awaitable[Any]]
"""Given what a step asks, what it is to be told."""
INTERRUPT = "__interrupt__"
"""Under which key a state says what its steps wait for."""


@asynccontextmanager
async def open_checkpointer(settings: Settings) -> AsyncIterator[Checkpointer]:
    """Open the checkpoints: in PostgreSQL where that is the database, else in the data folder.

    Raises:
        SettingsError: the file cannot be opened or written, or PostgreSQL is not in UTF-8.
        StoreUnavailable: PostgreSQL does not let us in; it may do so later.
    """
    address = postgres_address(settings)
    if address is not None:
        from backend.tools.coder.postgres_checkpoints import open_checkpoint_tables

        async with open_checkpoint_tables(*address) as tables:
            yield tables
        return
    path = await asyncio.to_thread(settings.data_dir.absolute) / "checkpoints.db"
    opened: list[_CheckpointFile] = []

    def commit() -> None:
        for each in opened:
            each.conn.commit()

    def close() -> None:
        for each in opened:
            each.conn.close()

    try:
        async with open_thread("checkpoints", after=commit) as thread:
            # By the thread, which does it to its end, and ends itself before the file is closed,
            # whoever is cancelled meanwhile.
            await thread.run(lambda: opened.append(_open(path)))
            opened[0].thread = thread
            yield opened[0]
    finally:
        await to_its_end(lambda: asyncio.to_thread(close))


class _CheckpointFile(SqliteSaver):
    """LangGraph's own saver, each operation as a whole in one thread that belongs to the file.

    Its asynchronous sibling goes to a thread and back for each statement, which costs several
    milliseconds a request.
    """

    thread: OneThread

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        super().__init__(connection)
        self._path = path

    @contextmanager
    def cursor(self, transaction: bool = True) -> Iterator[sqlite3.Cursor]:
        """A cursor; the thread commits, once for all that it does at a time."""
        self.setup()
        with closing(self.conn.cursor()) as cursor:
            yield cursor

    async def _there(self, work: Callable[..., T], *given: Any) -> T:
        try:
            return await self.thread.run(functools.partial(work, *given))
        except sqlite3.Error as error:
            raise StoreUnavailable(
                f"The steps of the work cannot be kept in {str(self._path)!r}: {reason_of(error)}.",
                remedy_of(is_postgres=False),
            ) from error

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return await self._there(self.get_tuple, config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        found = await self._there(
            lambda: list(self.list(config, filter=filter, before=before, limit=limit))
        )
        for each in found:
            yield each

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return await self._there(self.put, config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        await self._there(self.put_writes, config, writes, task_id, task_path)

    def delete_thread(self, thread_id: str) -> None:
        """Remove its steps, and those of all threads below it, as ``run/0`` is below ``run``."""
        below = (f"{thread_id}/", f"{thread_id}0")  # no sign stands between "/" and "0"
        with self.cursor() as cursor:
            for table in ("checkpoints", "writes"):
                cursor.execute(
                    f"DELETE FROM {table} WHERE thread_id = ? OR thread_id > ? AND thread_id < ?",
                    (thread_id, *below),
                )

    async def adelete_thread(self, thread_id: str) -> None:
        await self._there(self.delete_thread, thread_id)

    async def athreads(self) -> list[str]:
        """The names of all threads that have steps here."""
        return await self._there(self._threads)

    def _threads(self) -> list[str]:
        with self.cursor() as cursor:
            cursor.execute("SELECT DISTINCT thread_id FROM checkpoints")
            return [name for (name,) in cursor.fetchall()]


class _SparingFile(SparingSteps, _CheckpointFile):
    """That, sparingly."""


async def kept_threads(checkpointer: Checkpointer) -> list[str]:
    """The names of all threads whose steps are kept; none where that is not for us to know."""
    threads: Callable[[], Awaitable[list[str]]] | None = getattr(checkpointer, "athreads", None)
    return [] if threads is None else await threads()


def _open(path: Path) -> _CheckpointFile:
    try:
        make_private(path)
        try:
            return _connect(path)
        except _Unreadable:
            # It holds steps of interrupted requests only, and they are lost already.
            _set_aside(path)
            return _connect(path)
    except (OSError, sqlite3.Error) as error:
        raise SettingsError(
            f"The checkpoints in {str(path)!r} cannot be opened: {reason_of(error)}.",
            "Correct PYTHON_CODER_DATA_DIR, or make the folder writable.",
        ) from None


class _Unreadable(sqlite3.Error):
    """The file is damaged, or of another make."""


def _connect(path: Path) -> _CheckpointFile:
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        # A commit is in the log before its step is over; the disk may have it a moment later.
        # That survives whatever becomes of the process, only not the loss of power.
        for pragma in (
            f"busy_timeout = {BUSY_TIMEOUT_MS}",
            "journal_mode = WAL",
            "synchronous = NORMAL",
            # Nothing stays here for long: a log of 4 MB would be larger than all that is in it.
            f"wal_autocheckpoint = {_LOG_PAGES}",
        ):
            connection.execute(f"PRAGMA {pragma}")
        saver = _SparingFile(connection, path)
        saver.setup()
        saver.get_tuple({"configurable": {"thread_id": ""}})
        connection.commit()
    except sqlite3.Error as error:
        connection.close()
        if _is_unreadable(error):
            raise _Unreadable(str(error)) from None
        raise
    return saver


def _is_unreadable(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR)


def _set_aside(path: Path) -> None:
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    path.replace(path.with_name(f"{path.name}.broken"))
    make_private(path)


def keeping_steps(
    graph: CompiledStateGraph[Any, Any, Any, Any], checkpointer: Checkpointer | None
) -> Any:
    """The same graph, its steps kept by ``checkpointer``; nothing is compiled again."""
    return graph if checkpointer is None else graph.copy({"checkpointer": checkpointer})


async def stream_states(
    graph: CompiledStateGraph[Any, Any, Any, Any],
    first: Any,
    context: Any,
    *,
    thread: str | None,
    most_steps: int,
    side_by_side: int | None = None,
    answer: Answering | None = None,
) -> AsyncGenerator[Any]:
    """The states a graph reaches, step by step; what was paid for is kept before the next one begins.

    Args:
        graph: the graph.
        first: the state to begin with. A thread that was interrupted goes on after its last
            finished step instead that was paid for.
        context: what the steps work with.
        thread: under which name the steps are kept; None, or a graph without a checkpointer:
            they are not.
        most_steps: LangGraph's own limit.
        side_by_side: how many steps may be under way at a time; None: all that can be.
        answer: gives what a step that called ``interrupt`` waits for. What it raises leaves the
            thread as it stands, to be gone on with later; None leaves it so without a word.
    """
    config: RunnableConfig = {"recursion_limit": most_steps}
    if side_by_side is not None:
        config["max_concurrency"] = side_by_side
    checkpointer = graph.checkpointer
    durability: Durability | None = None
    if thread is not None and isinstance(checkpointer, BaseCheckpointSaver):
        config["configurable"] = {"thread_id": thread}
        # A step whose end is not on disk would be done again: a model call, or a run.
        durability = "sync"
        if await checkpointer.aget_tuple(config) is not None:
            first = None
    while True:
        waiting: tuple[Interrupt, ...] = ()
        async for state in graph.astream(
            first, config, context=context, stream_mode="values", durability=durability
        ):
            waiting = state.pop(INTERRUPT, ())
            yield state
        if not waiting or answer is None:
            return
        first = Command(resume={each.id: await answer(each.value) for each in waiting})
