"""A configured server: its session is opened once, used by many at a time, and opened again."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import anyio
from mcp import ClientSession, McpError
from mcp.types import (
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    CancelledNotification,
    CancelledNotificationParams,
    ClientNotification,
    ClientRequest,
    Tool,
)

from backend.tools.extra.mcp_file import ProgramServer, Server
from backend.tools.extra.mcp_link import LATE_S, Link, in_words, is_closing

_T = TypeVar("_T")

HEARTBEAT_S = 5.0
"""Seconds between pings while somebody waits for a server behind a URL: the end of a stream
without an answer goes by unnoticed."""
_MOST_PAGES = 100


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
        self._link: Link | None = None

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

    async def _open(self) -> tuple[Link, ClientSession]:
        if self._link is None or self._link.is_over:
            self._link = Link(self.server, self._connect_timeout_s)
        link = self._link
        first: set[asyncio.Future[Any]] = {link.task, link.opened}
        await asyncio.wait(first, timeout=self._timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if not link.opened.done() and not link.is_over:
            await link.end(f"it did not answer within {self._timeout_s:g} seconds")
        if not link.opened.done():
            raise self._failure(link.reason or "it was closed")
        return link, link.opened.result()

    async def _answer(self, link: Link, asking: Coroutine[Any, Any, _T]) -> _T:
        """What a request comes to, unless the server's end or its time comes before."""
        work = asyncio.ensure_future(asking)
        ping = asyncio.ensure_future(self._keep_looking(link))
        try:
            first: set[asyncio.Future[Any]] = {work, link.task}
            await asyncio.wait(first, timeout=self._timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if link.task.done() and not work.done():
                await asyncio.wait({work}, timeout=LATE_S / 10)
        finally:
            ping.cancel()
            work.cancel()
            await asyncio.wait({work}, timeout=LATE_S)
        if work.done() and not work.cancelled():
            return await self._outcome(link, work)
        if link.is_over:
            raise self._failure(link.reason or "it was closed")
        raise self._failure(f"it did not answer within {self._timeout_s:g} seconds")

    async def _outcome(self, link: Link, work: asyncio.Future[_T]) -> _T:
        try:
            return work.result()
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            await link.end()
            raise self._failure(link.reason or "its session was over", begun=False) from None
        except McpError as error:
            unknown = error.error.message == "Session terminated"
            if not is_closing(error) and not unknown:
                raise
            if not unknown:
                await asyncio.wait({link.task}, timeout=LATE_S)
            await link.end()
            reason = link.reason or "it closed the connection"
            raise self._failure(reason, begun=not unknown) from None
        except Exception as error:
            raise self._failure(f"its answer cannot be read ({in_words(error)})") from None

    async def _keep_looking(self, link: Link) -> None:
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
    params = CallToolRequestParams(name=tool, arguments=arguments)
    request = ClientRequest(CallToolRequest(params=params))
    try:
        # Not call_tool: for a slip in the structured form, that throws away the whole result.
        return await session.send_request(request, CallToolResult)
    except asyncio.CancelledError:
        whose = CancelledNotificationParams(requestId=number, reason="nobody waits any more")
        with suppress(Exception):
            async with asyncio.timeout(LATE_S / 2):
                await session.send_notification(
                    ClientNotification(CancelledNotification(params=whose))
                )
        raise
