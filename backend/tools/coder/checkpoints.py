"""Where a graph's steps are kept, so that a crash does not cost them.

A request that ends, however it ends, leaves nothing behind here: its record is in the run store.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Durability

from backend.config.settings import Settings
from backend.errors import SettingsError
from backend.store.database import BUSY_TIMEOUT_MS, make_private

Checkpointer = BaseCheckpointSaver[Any]


@asynccontextmanager
async def open_checkpointer(settings: Settings) -> AsyncIterator[Checkpointer]:
    """Open the file of checkpoints in the data folder, and create it where it is missing.

    Raises:
        SettingsError: the file cannot be opened or written.
    """
    path = settings.data_dir.absolute() / "checkpoints.db"
    connection = await _connect(path)
    try:
        saver = AsyncSqliteSaver(connection)
        await saver.setup()
        yield saver
    finally:
        await connection.close()


async def _connect(path: Path) -> aiosqlite.Connection:
    try:
        make_private(path)
        connection = await aiosqlite.connect(path)
    except (OSError, aiosqlite.Error) as error:
        raise _unusable(path, error) from None
    try:
        # A commit is in the log before its step is over; the disk may have it a moment later.
        # That survives whatever becomes of the process, only not the loss of power.
        for pragma in (
            f"busy_timeout = {BUSY_TIMEOUT_MS}",
            "journal_mode = WAL",
            "synchronous = NORMAL",
        ):
            await connection.execute(f"PRAGMA {pragma}")
    except aiosqlite.Error as error:
        await connection.close()
        raise _unusable(path, error) from None
    return connection


def _unusable(path: Path, error: Exception) -> SettingsError:
    return SettingsError(
        f"The checkpoints in {str(path)!r} cannot be opened: {error}.",
        "Correct PYTHON_CODER_DATA_DIR, or make the folder writable.",
    )


def in_memory() -> Checkpointer:
    """Steps kept as long as the process lives."""
    return InMemorySaver()


async def stream_states(
    graph: CompiledStateGraph[Any, Any, Any, Any],
    first: Any,
    context: Any,
    *,
    thread: str | None,
    most_steps: int,
) -> AsyncGenerator[Any]:
    """The states a graph reaches, step by step, each kept before the next step begins.

    Args:
        graph: the graph.
        first: the state to begin with. A thread that was interrupted goes on after its last
            finished step instead.
        context: what the steps work with.
        thread: under which name the steps are kept; None, or a graph without a checkpointer:
            they are not.
        most_steps: LangGraph's own limit.
    """
    config: RunnableConfig = {"recursion_limit": most_steps}
    checkpointer = graph.checkpointer
    durability: Durability | None = None
    if thread is not None and isinstance(checkpointer, BaseCheckpointSaver):
        config["configurable"] = {"thread_id": thread}
        # A step whose end is not on disk would be done again: a model call, or a run.
        durability = "sync"
        if await checkpointer.aget_tuple(config) is not None:
            first = None
    async for state in graph.astream(
        first, config, context=context, stream_mode="values", durability=durability
    ):
        yield state


async def forget(checkpointer: Checkpointer, *threads: str) -> None:
    """Remove every step of these threads."""
    for thread in threads:
        await checkpointer.adelete_thread(thread)
