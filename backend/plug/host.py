"""The graph that the coder is a part of: whom to tell, and how to work beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import asdict
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from langgraph.config import get_stream_writer

from backend.types import Emit, Event, ignore_event

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, T]]

SOURCE = "python_coder"
"""Under ``source`` in each event, so that a host tells them from its own."""


def emit_to_host(tool_call_id: str | None = None) -> Emit:
    """Tell the steps to the graph around, as its ``custom`` stream.

    Args:
        tool_call_id: the call they belong to; several may be under way.

    Returns:
        What ignores every event where there is no graph around.
    """
    try:
        write = get_stream_writer()
    except (RuntimeError, KeyError):
        return ignore_event
    about = {"source": SOURCE} | ({"tool_call_id": tool_call_id} if tool_call_id else {})

    # LangGraph looks up there where in the graph an event comes from.
    here = copy_context()

    def emit(event: Event) -> None:
        here.copy().run(write, about | asdict(event))

    return emit


async def apart(work: Work[T]) -> T:
    """Do it beside the graph around: what it runs is no subgraph and leaves no checkpoint there.

    The callbacks stay, so that traces show the model's calls where they belong.
    """
    around = var_child_runnable_config.get()
    left: RunnableConfig = {}
    if around and "callbacks" in around:
        left["callbacks"] = around["callbacks"]
    context = copy_context()
    context.run(var_child_runnable_config.set, left)
    return await asyncio.create_task(work(), context=context)


async def do_in(home: asyncio.AbstractEventLoop | None, work: Work[T]) -> T:
    """Do it in the event loop that what it needs was opened in; None: in this one."""
    if home is None or home is asyncio.get_running_loop():
        return await apart(work)
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(apart(work), home))


def do_and_wait(home: asyncio.AbstractEventLoop | None, work: Work[T]) -> T:
    """The same for callers that cannot await.

    Raises:
        RuntimeError: it would wait for the event loop that it holds up.
    """
    try:
        here = asyncio.get_running_loop()
    except RuntimeError:
        here = None
    if home is not None:
        if home is here:
            raise RuntimeError(
                "python_coder was opened in this event loop, which invoke() would hold up. "
                "Use ainvoke()."
            )
        return asyncio.run_coroutine_threadsafe(apart(work), home).result()
    if here is None:
        return asyncio.run(apart(work))
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix=SOURCE) as thread:
        return thread.submit(copy_context().run, asyncio.run, apart(work)).result()
