"""One open session with a server, from its beginning to its end, and why it ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal

import httpx
from mcp import ClientSession, McpError
from mcp.types import Implementation

from backend.config.version import product_version
from backend.tools.extra.mcp_file import ProgramServer, Server, UrlServer
from backend.tools.extra.mcp_process import ServerGone, open_process

LATE_S = 1.0
"""Seconds for what follows at once when all is well: a reason, a good-bye."""
_IDLE_S = 86_400.0
_END_S = 10.0


class Link:
    """An open session in a task of its own: what anyio opens, the same task has to close."""

    def __init__(self, server: Server, connect_timeout_s: float) -> None:
        self.reason = ""
        """Why it is over, where it was not we who ended it."""
        self.opened: asyncio.Future[ClientSession] = asyncio.get_running_loop().create_future()
        self._leave = asyncio.Event()
        self.task = asyncio.create_task(self._live(server, connect_timeout_s))

    @property
    def is_over(self) -> bool:
        """It ended, or is about to."""
        return self.task.done() or self._leave.is_set()

    async def _live(self, server: Server, connect_timeout_s: float) -> None:
        try:
            async with _open_session(server, connect_timeout_s) as session:
                await _initialize(session)
                self.opened.set_result(session)
                await self._leave.wait()
        except Exception as error:
            self.reason = self.reason or in_words(_first_cause(error))

    async def end(self, reason: str = "") -> None:
        """Close it, in its own task; one that is not open yet is cancelled."""
        self.reason = self.reason or reason
        self._leave.set()
        if not self.opened.done():
            self.task.cancel()
        try:
            await asyncio.wait({self.task}, timeout=_END_S)
        finally:
            self.task.cancel()


async def _initialize(session: ClientSession) -> None:
    try:
        await session.initialize()
    except McpError as error:
        if is_closing(error):
            await asyncio.sleep(LATE_S)  # why is about to be told: by what ends this, too
        raise


def is_closing(error: McpError) -> bool:
    """Not the server says so but the library, of all requests under way when a session ends."""
    return error.error.message == "Connection closed"


@asynccontextmanager
async def _open_session(server: Server, connect_timeout_s: float) -> AsyncIterator[ClientSession]:
    us = Implementation(name="python-coder", version=product_version())
    if isinstance(server, ProgramServer):
        async with (
            open_process(server) as (receive, send),
            ClientSession(receive, send, client_info=us) as session,
        ):
            yield session
    else:
        from langchain_mcp_adapters.sessions import create_session

        connection: Any = _connection(server, connect_timeout_s) | {
            "session_kwargs": {"client_info": us}
        }
        async with create_session(connection) as session:
            yield session


def _connection(server: UrlServer, connect_timeout_s: float) -> dict[str, Any]:
    transport: Literal["sse", "streamable_http"]
    transport = "sse" if server.transport == "sse" else "streamable_http"
    return {
        "transport": transport,
        "url": server.url,
        "headers": dict(server.headers),
        "timeout": connect_timeout_s,
        # How long an answer may take is counted where it is waited for.
        "sse_read_timeout": _IDLE_S,
    }


def _first_cause(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def in_words(cause: BaseException) -> str:
    """What went wrong, as the rest of a sentence that has named the server."""
    match cause:
        case ServerGone():
            return str(cause)
        case httpx.HTTPStatusError():
            return f"it answered {cause.response.status_code} {cause.response.reason_phrase}"
        case httpx.ConnectError() | httpx.ConnectTimeout():
            return "nothing answers there"
        case httpx.TransportError():
            return f"the connection was lost ({type(cause).__name__})"
        case McpError():
            return f"it refused: {cause}"
        case OSError():
            return f"it cannot be started: {cause}"
        case _:
            return " ".join(f"{type(cause).__name__}: {cause}".split())[:400]


@contextmanager
def quiet_library() -> Iterator[None]:
    """Keep what the MCP library logs away from our stderr, unless somebody set up logging.

    It tells there of servers' slips, with tracebacks; what matters of them is in our results.
    """
    library, root = logging.getLogger("mcp"), logging.getLogger()
    silence = logging.NullHandler()

    def is_not_of_a_session(record: logging.LogRecord) -> bool:
        return not record.pathname.endswith("mcp/shared/session.py")

    library.addHandler(silence)
    root.addFilter(is_not_of_a_session)
    try:
        yield
    finally:
        root.removeFilter(is_not_of_a_session)
        library.removeHandler(silence)
