"""The running server: which address, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn

from backend.api.app import create_app
from backend.api.guard import is_loopback
from backend.config.settings import Settings
from backend.errors import SettingsError
from backend.store.database import open_database
from backend.store.keys import KeyStore, open_keys

LAST_WORDS_S = 0
"""Seconds that running requests get when the server is stopped: what they run ends with it."""
CLEAN_UP_S = 10.0
"""Seconds to wait until they have ended."""


def serve(settings: Settings, *, announce: Callable[[str, bool], None]) -> None:
    """Serve the API until the process is told to stop.

    Args:
        settings: ``host`` and ``port`` say where; port 0 lets the system choose.
        announce: gets the address, ``http://127.0.0.1:8000``, once requests are taken, and
            whether they need a key.

    Raises:
        SettingsError: the address is taken, or one that others reach and there is no key.
        SandboxUnavailable: programs cannot be isolated on this machine.
    """
    asyncio.run(require_keys_beyond_loopback(settings))
    listener = _listen(settings.host, settings.port)
    with listener:
        asyncio.run(_serve(settings, listener, announce))


async def require_keys_beyond_loopback(settings: Settings) -> None:
    """Refuse to listen where others can reach a server that asks nobody for a key.

    Raises:
        SettingsError: the host is not loopback, and no key opens anything.
    """
    if is_loopback(settings.host):
        return
    async with open_database(settings) as database, open_keys(database, settings.data_dir) as keys:
        if await keys.any_good():
            return
    raise SettingsError(
        f"PYTHON_CODER_HOST is {settings.host!r}, and there are no API keys: everybody who reaches "
        "this address could run programs here.",
        "Make one with `python-coder keys create --name NAME`, or use 127.0.0.1.",
    )


class _Server(uvicorn.Server):
    """Leaves signals to us: uvicorn raises them again before what we opened has been closed."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


async def _serve(
    settings: Settings, listener: socket.socket, announce: Callable[[str, bool], None]
) -> None:
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        log_level=settings.log_level,
        access_log=settings.log_level in {"debug", "info"},
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=LAST_WORDS_S,
    )
    logging.getLogger("uvicorn.error").addFilter(_is_not_about_stopping)
    server = _Server(config)
    # Opened here and not by uvicorn, which would print a stack trace and leave with a status of
    # its own where an error of ours says what to do.
    async with app.router.lifespan_context(app):
        _stop_on_signals(server)
        keys: KeyStore = app.state.server.keys
        announce(_address(listener), await keys.are_wanted() or not is_loopback(settings.host))
        await server.serve(sockets=[listener])
        if server.server_state.tasks:
            await asyncio.wait(server.server_state.tasks, timeout=CLEAN_UP_S)


def _stop_on_signals(server: uvicorn.Server) -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.handle_exit, number, None)


def _listen(host: str, port: int) -> socket.socket:
    bare = host.strip("[]")
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((bare, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"PYTHON_CODER_PORT is {port}, which cannot be used on {host}: {error.strerror}.",
            "Choose another one, or 0 for any that is free.",
        ) from None
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_not_about_stopping(record: logging.LogRecord) -> bool:
    """Requests that end because the server was told to stop are no errors."""
    is_cancel = record.exc_info is not None and isinstance(
        record.exc_info[1], asyncio.CancelledError
    )
    return not is_cancel and "timeout graceful shutdown exceeded" not in record.getMessage()
