"""Removing what deleted runs and conversations leave behind: bytes that nobody has, kept steps."""

from __future__ import annotations

from contextlib import suppress

from backend.api.state import Server
from backend.errors import StoreUnavailable
from backend.store.run_records import Forgotten


async def forget(forgotten: Forgotten, server: Server) -> None:
    """Remove the bytes that nothing refers to any more, and the steps that nobody goes on with."""
    await server.files.forget_bytes(forgotten.unused)
    for run_id in forgotten.interrupted:
        with suppress(OSError, StoreUnavailable):
            await server.recorder.checkpointer.adelete_thread(run_id)
