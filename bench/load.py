"""Load over real sockets, from a client that costs as little as it can.

HTTP/1.1 over asyncio's protocols, a connection a worker, kept alive; answers are told apart by
Content-Length or by the last chunk. Nothing is parsed that is not looked at.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

_LAST_CHUNK = b"\r\n0\r\n\r\n"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer as it came."""

    status: int
    headers: bytes
    body: bytes
    """Of a chunked one with the chunks' own lines."""


class Connection(asyncio.Protocol):
    """A connection that is kept alive; one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._head_end = -1
        self._length: int | None = None
        self._reply: asyncio.Future[Reply] | None = None
        self._first: asyncio.Future[None] | None = None
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of asyncio's protocol."""
        assert isinstance(transport, asyncio.Transport)
        self._transport, self.is_open = transport, True

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of asyncio's protocol."""
        self.is_open = False
        for future in (self._reply, self._first):
            if future is not None and not future.done():
                future.set_exception(ConnectionError("The connection was closed."))
                future.exception()  # it may be that nobody asks

    def data_received(self, data: bytes) -> None:
        """Part of asyncio's protocol."""
        self._received += data
        if self._head_end < 0:
            self._head_end = self._received.find(b"\r\n\r\n")
            if self._head_end < 0:
                return
            head = bytes(self._received[: self._head_end + 2]).lower()
            place = head.find(b"\r\ncontent-length:")
            if place >= 0:
                self._length = int(head[place + 17 : head.find(b"\r\n", place + 2)])
        if self._first is not None and not self._first.done():
            self._first.set_result(None)
        start = self._head_end + 4
        if self._length is not None:
            is_whole = len(self._received) - start >= self._length
        else:
            is_whole = self._received.endswith(_LAST_CHUNK)
        if is_whole and self._reply is not None and not self._reply.done():
            received = bytes(self._received)
            status = int(received[9:12])
            self._reply.set_result(
                Reply(status=status, headers=received[:start], body=received[start:])
            )

    def send(self, request: bytes) -> tuple[asyncio.Future[None], asyncio.Future[Reply]]:
        """Send a request; when its answer begins, and the answer."""
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        self._received.clear()
        self._head_end, self._length = -1, None
        self._first, self._reply = loop.create_future(), loop.create_future()
        self._transport.write(request)
        return self._first, self._reply

    async def ask(self, request: bytes) -> Reply:
        """The answer to a request.

        Raises:
            ConnectionError: the connection was closed before it was whole.
        """
        return await self.send(request)[1]

    def close(self) -> None:
        """Close the connection at once, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()


async def connect(url: str) -> Connection:
    """Open a connection."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    assert parts.hostname is not None and parts.port is not None
    _, connection = await loop.create_connection(Connection, parts.hostname, parts.port)
    return connection


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    """A connection that is closed afterwards."""
    connection = await connect(url)
    try:
        yield connection
    finally:
        connection.close()


def request(method: str, path: str, body: Any = None, **headers: str) -> bytes:
    """A request's bytes; a body is sent as JSON."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


Judge = Callable[[Reply], str]
"""'' for an answer as it should be, else what is wrong with it."""


@dataclass(kw_only=True)
class Load:
    """What came of many requests."""

    seconds: float = 0.0
    taken_s: list[float] = field(default_factory=list)
    """Of each good answer, from sending the request to its last byte."""
    faults: Counter[str] = field(default_factory=Counter)

    @property
    def a_second(self) -> float:
        """Good answers a second."""
        return len(self.taken_s) / self.seconds if self.seconds else 0.0

    def percentile_ms(self, share: float) -> float:
        """The nearest-rank percentile."""
        if not self.taken_s:
            return float("nan")
        ordered = sorted(self.taken_s)
        return ordered[max(0, min(len(ordered) - 1, round(share * len(ordered)) - 1))] * 1000


async def press(
    url: str,
    make: Callable[[int], bytes],
    judge: Judge,
    *,
    at_once: int,
    for_s: float | None = None,
    count: int | None = None,
) -> Load:
    """Send requests, so many at a time, for so long or until so many have been answered.

    Args:
        url: the server.
        make: the request of a number; numbers are not used twice.
        judge: what is wrong with an answer.
        at_once: workers, each with a connection of its own.
        for_s: seconds in which requests are begun; those under way are waited for.
        count: how many there are in all.
    """
    load = Load()
    numbers = iter(range(count) if count is not None else range(2**62))
    started = time.perf_counter()
    ends = started + for_s if for_s is not None else float("inf")

    async def work() -> None:
        connection = await connect(url)
        try:
            while time.perf_counter() < ends and (number := next(numbers, None)) is not None:
                if not connection.is_open:
                    connection = await connect(url)
                sent = time.perf_counter()
                try:
                    reply = await connection.ask(make(number))
                except ConnectionError as error:
                    load.faults[str(error)] += 1
                    continue
                if fault := judge(reply):
                    load.faults[fault] += 1
                else:
                    load.taken_s.append(time.perf_counter() - sent)
        finally:
            connection.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())
    load.seconds = time.perf_counter() - started
    return load


async def while_probing(
    url: str, probe: bytes, every_s: float, work: Awaitable[Load]
) -> tuple[Load, Load]:
    """A load, and how long a small request beside it takes, sent every so many seconds."""
    probed = Load()

    async def look() -> None:
        async with connected(url) as connection:
            while True:
                sent = time.perf_counter()
                reply = await connection.ask(probe)
                if reply.status == 200:
                    probed.taken_s.append(time.perf_counter() - sent)
                else:
                    probed.faults[f"status {reply.status}"] += 1
                await asyncio.sleep(every_s)

    started = time.perf_counter()
    task = asyncio.create_task(look())
    try:
        return await work, probed
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, ConnectionError):
            await task
        probed.seconds = time.perf_counter() - started


@asynccontextmanager
async def held_open(url: str, requests: Sequence[bytes]) -> AsyncIterator[int]:
    """Requests that are answered slowly, all under way at once; how many have begun to be.

    Raises:
        ConnectionError: the server closed one of the connections.
    """
    connections = await asyncio.gather(*(connect(url) for _ in requests))
    try:
        begun = [
            connection.send(each)[0] for connection, each in zip(connections, requests, strict=True)
        ]
        await asyncio.gather(*begun)
        yield sum(connection.is_open for connection in connections)
    finally:
        for connection in connections:
            connection.close()
