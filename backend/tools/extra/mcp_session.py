"""A configured server and its session: opened once, used by many at a time, opened again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Literal, TypeVar

import anyio
import httpx
from mcp import ClientSession, McpError
from mcp.types import (
    CallToolResult,
    CancelledNotification,
    CancelledNotificationParams,
    ClientNotification,
    Implementation,
    Tool,
)

from backend.tools.extra.mcp_file import ProgramServer, Server, UrlServer
from backend.tools.extra.mcp_process import ServerGone, open_process

_T = TypeVar("_T")

HEARTBEAT_S = 5.0
"""Seconds between pings while somebody waits for a server behind a URL: the end of a stream
without an answer goes by unnoticed."""
_IDLE_S = 86_400.0
_MOST_PAGES = 100
_LATE_S = 1.0
"""Seconds for what follows at once when all is well: a reason, a good-bye."""


class Unreachable(Exception):
    """A server cannot be reached, does not answer, or ended; says which one and what happened."""

    def __init__(self, what: str, *, begun: bool = True) -> None:
        super().__init__(what)
        self.begun = begun
        """It may have begun to do what it was asked."""


class McpServer:
    """One server. What it is asked opens its session where none is open."""

    def __init__(
        self,
        server: Server,
        *,
        timeout_s: float,
        connect_timeout_s: float,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        """Start nothing yet.

        Args:
            server: how it is reached.
            timeout_s: seconds it may take to start, and for each answer.
            connect_timeout_s: seconds until one behind a URL has to take the connection.
            heartbeat_s: see ``HEARTBEAT_S``.
        """
        self.server = server
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._heartbeat_s = heartbeat_s
        self._link: _Link | None = None

    @property
    def name(self) -> str:
        """As the file has it."""
        return self.server.name

    async def list_tools(self) -> list[Tool]:
        """Every tool it offers, page by page.

        Raises:
            Unreachable: it cannot be asked.
        """
        link, session = await self._open()
        found: list[Tool] = []
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            page = await self._answer(link, session.list_tools(cursor))
            found += page.tools
            if not (cursor := page.nextCursor):
                break
        return found

    async def call(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        """Let it use a tool. Cancelling this tells the server to stop.

        Raises:
            Unreachable: it cannot be asked, or ended meanwhile. The next call opens it again.
            McpError: it refuses, by the protocol's own means.
        """
        fresh = self._link is None or self._link.is_over
        link, session = await self._open()
        try:
            return await self._answer(link, _request(session, tool, arguments))
        except Unreachable as error:
            if fresh or error.begun:
                raise
        # The session was over before it was asked: a server that was started anew knows none.
        link, session = await self._open()
        return await self._answer(link, _request(session, tool, arguments))

    async def aclose(self) -> None:
        """End its session, and the server where it is ours."""
        if self._link is not None:
            await self._link.end()

    async def _open(self) -> tuple[_Link, ClientSession]:
        if self._link is None or self._link.is_over:
            self._link = _Link(self.server, self._connect_timeout_s)
        link = self._link
        first: set[asyncio.Future[Any]] = {link.task, link.opened}
        await asyncio.wait(first, timeout=self._timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if not link.opened.done() and not link.is_over:
            await link.end(f"it did not answer within {self._timeout_s:g} seconds")
        if not link.opened.done():
            raise self._failure(link.reason or "it was closed")
        return link, link.opened.result()

    async def _answer(self, link: _Link, asking: Coroutine[Any, Any, _T]) -> _T:
        """What a request comes to, unless the server's end or its time comes before."""
        work = asyncio.ensure_future(asking)
        ping = asyncio.ensure_future(self._keep_looking(link))
        try:
            first: set[asyncio.Future[Any]] = {work, link.task}
            await asyncio.wait(first, timeout=self._timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if link.task.done() and not work.done():
                await asyncio.wait({work}, timeout=_LATE_S / 10)
        finally:
            ping.cancel()
            work.cancel()
            await asyncio.wait({work}, timeout=_LATE_S)
        if work.done() and not work.cancelled():
            return await self._outcome(link, work)
        if link.is_over:
            raise self._failure(link.reason or "it was closed")
        raise self._failure(f"it did not answer within {self._timeout_s:g} seconds")

    async def _outcome(self, link: _Link, work: asyncio.Future[_T]) -> _T:
        try:
            return work.result()
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            await link.end()
            raise self._failure(link.reason or "its session was over", begun=False) from None
        except McpError as error:
            unknown = error.error.message == "Session terminated"
            if not _is_closing(error) and not unknown:
                raise
            if not unknown:
                await asyncio.wait({link.task}, timeout=_LATE_S)
            await link.end()
            reason = link.reason or "it closed the connection"
            raise self._failure(reason, begun=not unknown) from None

    async def _keep_looking(self, link: _Link) -> None:
        if isinstance(self.server, ProgramServer):
            return
        with suppress(Exception):  # what it means is told by the session's end
            while True:
                await asyncio.sleep(self._heartbeat_s)
                await link.opened.result().send_ping()

    def _failure(self, reason: str, *, begun: bool = True) -> Unreachable:
        place = self.server.place
        return Unreachable(f"The MCP server {self.name!r} ({place}): {reason}.", begun=begun)


async def _request(session: ClientSession, tool: str, arguments: dict[str, Any]) -> CallToolResult:
    # The number of the request that follows; the library has no other way to name it.
    number = session._request_id
    try:
        return await session.call_tool(tool, arguments)
    except asyncio.CancelledError:
        params = CancelledNotificationParams(requestId=number, reason="nobody waits any more")
        with suppress(Exception):
            async with asyncio.timeout(_LATE_S / 2):
                await session.send_notification(
                    ClientNotification(CancelledNotification(params=params))
                )
        raise


class _Link:
    """An open session in a task of its own: what anyio opens, the same task has to close."""

    def __init__(self, server: Server, connect_timeout_s: float) -> None:
        self.reason = ""
        """Why it is over, where it was not we who ended it."""
        self.opened: asyncio.Future[ClientSession] = asyncio.get_running_loop().create_future()
        self._leave = asyncio.Event()
        self.task = asyncio.create_task(self._live(server, connect_timeout_s))

    @property
    def is_over(self) -> bool:
        return self.task.done() or self._leave.is_set()

    async def _live(self, server: Server, connect_timeout_s: float) -> None:
        try:
            async with _open_session(server, connect_timeout_s) as session:
                await _initialize(session)
                self.opened.set_result(session)
                await self._leave.wait()
        except Exception as error:
            self.reason = self.reason or _in_words(_first_cause(error))

    async def end(self, reason: str = "") -> None:
        """Close it, in its own task; one that is not open yet is cancelled."""
        self.reason = self.reason or reason
        self._leave.set()
        if not self.opened.done():
            self.task.cancel()
        try:
            await asyncio.wait({self.task}, timeout=10)
        finally:
            self.task.cancel()


async def _initialize(session: ClientSession) -> None:
    try:
        await session.initialize()
    except McpError as error:
        if _is_closing(error):
            await asyncio.sleep(_LATE_S)  # why is about to be told: by what ends this, too
        raise


def _is_closing(error: McpError) -> bool:
    """Not the server says so but the library, of all requests under way when a session ends."""
    return error.error.message == "Connection closed"


@asynccontextmanager
async def _open_session(server: Server, connect_timeout_s: float) -> AsyncIterator[ClientSession]:
    us = Implementation(name="python-coder", version="0.1.0")
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


def _in_words(cause: BaseException) -> str:
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
