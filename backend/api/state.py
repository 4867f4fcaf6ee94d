"""What the routers share: opened once with the application, handed to them by dependencies."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from backend.api.auth import OwnerDep as OwnerDep
from backend.api.janitor import open_janitor
from backend.api.links import SignedLinks, link_secret
from backend.api.meters import Meters, models_of
from backend.api.probes import Probes
from backend.api.spans import NoSpans, Spans, open_spans
from backend.api.standing import Standing
from backend.api.turns import Turns
from backend.config.settings import Settings
from backend.core.assistant import Assistant, open_assistant
from backend.observing import Observe, together
from backend.store.container_files import ContainerFiles
from backend.store.containers import ContainerStore
from backend.store.database import Database, open_database
from backend.store.files import FileStore
from backend.store.keys import KeyStore, open_keys
from backend.store.responses import ResponseStore
from backend.store.sessions import SessionStore
from backend.tools.coder.recording import Recorder
from backend.tools.live_sessions import LiveSessions

_AUTHORITY = re.compile(r"([\w.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Server:
    """Everything a request needs that outlives it."""

    settings: Settings
    assistant: Assistant
    recorder: Recorder
    database: Database
    files: FileStore
    sessions: SessionStore
    live_sessions: LiveSessions
    links: SignedLinks
    keys: KeyStore
    responses: ResponseStore
    containers: ContainerStore
    container_files: ContainerFiles
    turns: Turns
    meters: Meters
    standing: Standing
    spans: Spans | NoSpans
    observe: Observe
    """Tells both of what is done."""
    probes: Probes
    started_at: int
    """Unix time in seconds; the date of everything that has none of its own."""


@asynccontextmanager
async def open_server(settings: Settings) -> AsyncIterator[Server]:
    """Open the assistant and the store. The model need not be reachable.

    Raises:
        SandboxUnavailable: programs cannot be isolated on this machine.
        SettingsError: the database or the model's name cannot be used.
    """
    meters = Meters(models_of(settings))
    async with open_spans() as spans, _open_with(settings, meters, spans) as server:
        yield server


@asynccontextmanager
async def _open_with(
    settings: Settings, meters: Meters, spans: Spans | NoSpans
) -> AsyncIterator[Server]:
    observe = (
        meters.observe if isinstance(spans, NoSpans) else together(meters.observe, spans.observe)
    )
    async with (
        open_database(settings) as database,
        open_assistant(settings, database, observe=observe) as assistant,
        open_keys(database, settings) as keys,
        Probes(assistant, database, keys) as probes,
        open_janitor(settings, database, assistant),
    ):
        secret = await asyncio.to_thread(link_secret, settings.data_dir)
        sessions = SessionStore(database)
        live_sessions = assistant.live_sessions
        recorder = assistant.recorder
        assert live_sessions and recorder, "open_assistant opens them"
        files = FileStore(database, assistant.blobs, most_bytes=settings.max_storage_bytes)
        turns = Turns.of(settings, meters.turn)
        standing = Standing(assistant, turns, database)
        meters.registry.register(standing)
        yield Server(
            settings=settings,
            assistant=assistant,
            recorder=recorder,
            database=database,
            files=files,
            sessions=sessions,
            live_sessions=live_sessions,
            links=SignedLinks(secret),
            keys=keys,
            responses=ResponseStore(database),
            containers=ContainerStore(database),
            container_files=ContainerFiles(database, files),
            turns=turns,
            meters=meters,
            standing=standing,
            spans=spans,
            observe=observe,
            probes=probes,
            started_at=int(time.time()),
        )


async def get_server(request: Request) -> Server:
    """The opened server. A dependency that is no coroutine is run in a thread, which takes longer."""
    server = request.app.state.server
    assert isinstance(server, Server)
    return server


def base_url_of(request: Request, settings: Settings) -> str:
    """The address that links begin with."""
    if settings.public_base_url:
        return settings.public_base_url
    host = request.headers.get("host", "")
    if not _AUTHORITY.fullmatch(host):  # none, or a trap for whoever follows the link
        name, port = request.scope["server"]
        host = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
    return f"{request.scope['scheme']}://{host}"


ServerDep = Annotated[Server, Depends(get_server)]
