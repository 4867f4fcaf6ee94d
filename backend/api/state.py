"""What the routers share: opened once with the application, handed to them by dependencies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from backend.api.links import SignedLinks, link_secret
from backend.api.turns import Turns
from backend.config.settings import Settings
from backend.core.assistant import Assistant, open_assistant
from backend.store.database import LOCAL_OWNER, Database, open_database
from backend.store.files import FileStore
from backend.store.sessions import SessionStore
from backend.tools.live_sessions import LiveSessions


@dataclass(frozen=True, kw_only=True)
class Server:
    """Everything a request needs that outlives it."""

    settings: Settings
    assistant: Assistant
    database: Database
    files: FileStore
    sessions: SessionStore
    live_sessions: LiveSessions
    links: SignedLinks
    turns: Turns
    started_at: int
    """Unix time in seconds; the date of everything that has none of its own."""


@asynccontextmanager
async def open_server(settings: Settings) -> AsyncIterator[Server]:
    """Open the assistant and the store. The model need not be reachable.

    Raises:
        SandboxUnavailable: programs cannot be isolated on this machine.
        SettingsError: the database or the model's name cannot be used.
    """
    async with (
        open_database(settings) as database,
        open_assistant(settings, database) as assistant,
    ):
        secret = await asyncio.to_thread(link_secret, settings.data_dir)
        sessions = SessionStore(database)
        live_sessions = assistant.live_sessions
        assert live_sessions is not None, "open_assistant opens them"
        yield Server(
            settings=settings,
            assistant=assistant,
            database=database,
            files=FileStore(database, assistant.blobs),
            sessions=sessions,
            live_sessions=live_sessions,
            links=SignedLinks(secret),
            turns=Turns.of(settings),
            started_at=int(time.time()),
        )


async def get_server(request: Request) -> Server:
    """The opened server. A dependency that is no coroutine is run in a thread, which takes longer."""
    server = request.app.state.server
    assert isinstance(server, Server)
    return server


async def get_owner() -> str:
    """Whose request it is: while there are no keys, everything belongs to this machine's user."""
    return LOCAL_OWNER


def base_url(request: Request, settings: Settings) -> str:
    """The address that links begin with."""
    if settings.public_base_url:
        return settings.public_base_url
    return f"{request.url.scheme}://{request.headers['host']}"


ServerDep = Annotated[Server, Depends(get_server)]
OwnerDep = Annotated[str, Depends(get_owner)]
