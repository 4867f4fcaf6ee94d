"""Writes of a graph's steps what would have to be paid for again: model calls, runs, and what others did.

LangGraph hands in the whole state after each step, and before that what each of its tasks wrote. A
step that only computed is done again in no time; its state waits here for the next one, which holds
all of it. So do a task's writes, which nobody needs once the state after their step is there. What
waits is written when it is asked for, and when a step stops to ask something or fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)

PAID_FOR: Final = frozenset(
    {
        *("calls", "attempts", "facts", "installed", "test_reports", "baseline"),
        *("python_coder_results", "tool_results"),
    }
)
"""Parts of the states that a step changes which asked a model, ran something or used a tool."""

SOON_S: Final = 0.02
"""Seconds that a task's writes wait for the state after their step; steps side by side take longer."""

_Place = tuple[str, str]
"""A thread, and the graph in it."""


@dataclass(frozen=True, kw_only=True)
class _Held:
    """A state that is not written, as it was handed in; the versions are of all since the last."""

    config: RunnableConfig
    checkpoint: Checkpoint
    metadata: CheckpointMetadata
    versions: ChannelVersions


class SparingSteps(BaseCheckpointSaver[Any]):
    """Stands before a saver in a class's bases."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._held: dict[_Place, _Held] = {}
        self._writes: dict[_Place, list[asyncio.Future[bool]]] = {}

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a state, where it was paid for; else hold it until the next."""
        place = _place(config)
        for waiting in self._writes.pop(place, ()):
            _settle(waiting, is_needed=False)
        versions = new_versions
        if held := self._held.pop(place, None):
            config, versions = held.config, {**held.versions, **new_versions}
        if metadata.get("step", 0) > 0 and not PAID_FOR.isdisjoint(new_versions):
            return await super().aput(config, checkpoint, metadata, versions)
        self._held[place] = _Held(
            config=config, checkpoint=checkpoint, metadata=metadata, versions=versions
        )
        thread, graph = place
        here = {"thread_id": thread, "checkpoint_ns": graph, "checkpoint_id": checkpoint["id"]}
        return {"configurable": here}

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Keep what a task wrote, unless the state after its step comes soon."""
        place = _place(config)
        is_special = any(channel in WRITES_IDX_MAP for channel, _ in writes)
        if is_special or await self._is_needed(place):
            await self._write_held(place)
            await super().aput_writes(config, writes, task_id, task_path)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The newest state of a thread, or the one that is named."""
        await self._write_held(_place(config))
        return await super().aget_tuple(config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """The states that are kept, the newest first."""
        for place in list(self._held):
            if config is None or place[0] == _place(config)[0]:
                await self._write_held(place)
        async for each in super().alist(config, filter=filter, before=before, limit=limit):
            yield each

    async def adelete_thread(self, thread_id: str) -> None:
        """Remove a thread's steps, and those of all threads below it."""
        for place in list(self._held):
            if place[0] == thread_id or place[0].startswith(f"{thread_id}/"):
                del self._held[place]
        await super().adelete_thread(thread_id)

    async def _is_needed(self, place: _Place) -> bool:
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[bool] = loop.create_future()
        self._writes.setdefault(place, []).append(waiting)
        timer = loop.call_later(SOON_S, _settle, waiting, True)
        try:
            return await waiting
        finally:
            timer.cancel()
            if waiting in (others := self._writes.get(place, [])):
                others.remove(waiting)
                if not others:
                    del self._writes[place]

    async def _write_held(self, place: _Place) -> None:
        if held := self._held.pop(place, None):
            await super().aput(held.config, held.checkpoint, held.metadata, held.versions)


def _place(config: RunnableConfig) -> _Place:
    where = config["configurable"]
    return str(where["thread_id"]), str(where.get("checkpoint_ns", ""))


def _settle(waiting: asyncio.Future[bool], is_needed: bool) -> None:
    if not waiting.done():
        waiting.set_result(is_needed)
