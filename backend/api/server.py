"""The running server: which address, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
import uvloop

from backend.api.app import create_app
from backend.api.connections import Limits, connection_type
from backend.api.draining import DrainingServer, Farewell
from backend.api.guard import is_loopback
from backend.api.logs import logging_to_stderr
from backend.api.state import Server
from backend.config.settings import Settings
from backend.errors import SettingsError
from backend.store.database import open_database
from backend.store.keys import open_keys

KEEP_ALIVE_S = 65
"""Seconds an idle connection is kept: longer than proxies keep theirs, which send into it else."""
SEND_BUFFER = 256 * 1024
"""Bytes the kernel keeps for a client that does not read; by itself it would keep megabytes."""
_OTHER_FILES = 512
"""Descriptors for sandboxes, the database and files."""
_HALF_OPEN_S = 60
"""Seconds of silence after which the kernel asks whether a client is there still."""


def serve(
    settings: Settings, *, announce: Callable[[str, bool], None], limits: Limits | None = None
) -> None:
    """Serve the API until the process is told to stop.

    Args:
        settings: ``host`` and ``port`` say where; port 0 lets the system choose.
        announce: gets the address, ``http://127.0.0.1:8000``, once requests are taken, and
            whether they need a key.
        limits: of connections, where they are not to be those of the settings.

    Raises:
        SettingsError: the address is taken, or one that others reach and there is no key.
        SandboxUnavailable: programs cannot be isolated on this machine.
    """
    asyncio.run(require_keys_beyond_loopback(settings))
    listener = _listen(settings)
    with (
        logging_to_stderr(settings),
        listener,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_serve(settings, listener, announce, limits or _limits(settings)))


async def require_keys_beyond_loopback(settings: Settings) -> None:
    """Refuse to listen where others can reach a server that asks nobody for a key.

    Raises:
        SettingsError: the host is not loopback, and no key opens anything.
    """
    if is_loopback(settings.host):
        return
    async with open_database(settings) as database, open_keys(database, settings) as keys:
        if await keys.any_good():
            return
    raise SettingsError(
        f"PYTHON_CODER_HOST is {settings.host!r}, and there are no API keys: everybody who reaches "
        "this address could run programs here.",
        "Make one with `python-coder keys create --name NAME`, or use 127.0.0.1.",
    )


async def _serve(
    settings: Settings,
    listener: socket.socket,
    announce: Callable[[str, bool], None],
    limits: Limits,
) -> None:
    app = create_app(settings)
    config = uvicorn.Config(
        Farewell(app),
        http=connection_type(limits),
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    # Opened here and not by uvicorn, which would print a stack trace and leave with a status of
    # its own where an error of ours says what to do.
    async with app.router.lifespan_context(app):
        opened: Server = app.state.server
        server = DrainingServer(config, turns=opened.turns, drain_s=settings.drain_s)
        _stop_on_signals(server)
        wants_keys = await opened.keys.are_wanted() or not is_loopback(settings.host)
        with _short_collections():
            announce(_address(listener), wants_keys)
            await server.serve(sockets=[listener])


@contextmanager
def _short_collections() -> Iterator[None]:
    """Let the garbage collector pass over what the start has left, which stays anyway.

    Looking through all of it took a quarter of a second every few seconds under load, in which
    nobody was answered. How often it looks is left alone: a tenth more requests a second would cost
    200 MiB of garbage that waits.
    """
    gc.freeze()
    gc.enable()  # whoever starts servers may have put it off until here
    try:
        yield
    finally:
        gc.unfreeze()


def _stop_on_signals(server: DrainingServer) -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop, number)


def _limits(settings: Settings) -> Limits:
    return Limits(connections=_room_for(settings.max_connections), send_s=settings.send_timeout_s)


def _room_for(connections: int) -> int:
    """As many of these as there can be descriptors for, beside those that everything else needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + connections // 8 + _OTHER_FILES
    if soft < wanted:
        soft = min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(connections, (soft - _OTHER_FILES) * 8 // 9))


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.host, settings.port
    bare = host.strip("[]")
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _notice_the_gone(listener, settings.send_timeout_s)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        listener.bind((bare, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"PYTHON_CODER_PORT is {port}, which cannot be used on {host}: {error.strerror}.",
            "Choose another one, or 0 for any that is free.",
        ) from None
    return listener


def _notice_the_gone(listener: socket.socket, send_s: float) -> None:
    """Let the kernel find out which clients are there no more; connections inherit it."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", _HALF_OPEN_S),
        ("TCP_KEEPINTVL", _HALF_OPEN_S // 4),
        ("TCP_KEEPCNT", 4),
        ("TCP_USER_TIMEOUT", round(send_s * 1000)),
    ):
        if hasattr(socket, option):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
