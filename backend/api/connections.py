"""Connections that cannot be used against the server: uvicorn's protocol with limits of its own.

uvicorn waits for ever: for the rest of a request's head, for the next piece of its body, for a client
to take its answer. Here each of these has a time, a head has a size, and connections have a number.
Whoever is over one of them is told in the envelope of every error, where there is still somebody to
be told, and the connection is closed. Times are looked at once a second, for all connections at once.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from backend.api.errors import envelope, error_response
from backend.errors import MachineError

_ENOUGH = 1024
"""Bytes of a body that count as progress; whoever sends one at a time makes none."""
_MAX_PIPELINED = 16
"""Requests that may wait on a connection behind the one that is answered."""
_ALWAYS = frozenset({"/health", "/ready", "/metrics"})
"""What is answered however many connections there are: by this others find out."""
_STATUS_LINES = {
    400: b"HTTP/1.1 400 Bad Request\r\n",
    408: b"HTTP/1.1 408 Request Timeout\r\n",
    431: b"HTTP/1.1 431 Request Header Fields Too Large\r\n",
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a connection may take."""

    connections: int
    """At a time; a few more are taken in, to be told that there are too many."""
    send_s: float
    """Seconds in which a client takes nothing of what is sent to it."""
    head_s: float = 10.0
    """Seconds until a request's head is whole, from the connection's or the head's first byte."""
    body_s: float = 30.0
    """Seconds in which less than a kibibyte of a body comes."""
    head_bytes: int = 32 * 1024
    """Of the request line and all headers together."""


class Connection(HttpToolsProtocol):
    """One client's connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: Limits,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._head_since: float | None = None
        self._head_bytes = 0
        self._body_since: float | None = None
        self._body_bytes = 0
        self._unsent = 0
        self._unsent_since = 0.0
        self._idle_since = 0.0
        self._running: RequestResponseCycle | None = None
        self._is_refused = False
        self._is_over = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection in, in the place of an idle one where there is no other."""
        super().connection_made(transport)
        self._head_since = time.monotonic()
        if len(self.connections) > self._limits.connections and not self._make_room():
            self._is_over = True
            if self._are_far_too_many():
                transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request that is worked on; uvicorn tells the last one that came."""
        if self._running is not None:
            self._running.disconnected = True
            self._running.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; what comes behind a refusal is thrown away."""
        if self._is_refused or self.transport.is_closing():
            return
        if self._head_since is None and self._body_since is None:
            self._begin_head()
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_since is not None and self._head_bytes > self._limits.head_bytes:
            self._refuse(431, self._too_long())

    def on_message_begin(self) -> None:
        """A head has begun."""
        super().on_message_begin()
        if self._head_since is None:
            self._begin_head()

    def on_headers_complete(self) -> None:
        """Begin with the request, if its head is short enough and there is room."""
        if self._is_refused:
            return
        if self._head_bytes > self._limits.head_bytes and self._size() > self._limits.head_bytes:
            self._refuse(431, self._too_long())
            return
        self._head_since, self._head_bytes = None, 0
        self._body_since, self._body_bytes = time.monotonic(), 0
        super().on_headers_complete()
        if len(self.pipeline) > _MAX_PIPELINED:
            self._refuse(
                400,
                f"More than {_MAX_PIPELINED} requests were sent before the first one was answered. "
                "Wait for answers, or use more connections.",
            )

    def on_body(self, body: bytes) -> None:
        """Note that the body goes on."""
        if self._is_refused:
            return
        self._body_bytes += len(body)
        if self._body_bytes >= _ENOUGH:
            self._body_since, self._body_bytes = time.monotonic(), 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._is_refused:
            return
        self._body_since = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is out."""
        self._running = None
        self._idle_since = time.monotonic()
        super().on_response_complete()

    def check(self, now: float) -> None:
        """Close the connection if its client has been waited for long enough."""
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent < self._unsent:
            self._unsent_since = now
        self._unsent = unsent
        if unsent and now - self._unsent_since > self._limits.send_s:
            self._cut()
        elif self._running is not None and self._head_since is not None:
            self._head_since = now  # the next request has time until this one is answered
        elif self._is_late(self._head_since, self._limits.head_s, now):
            if self._head_bytes:
                self._refuse(
                    408,
                    f"The head was not whole within {self._limits.head_s:g} s. "
                    "Send it in one piece.",
                )
            else:
                self.transport.close()
        elif self.flow.read_paused:
            self._body_since = now if self._body_since is not None else None  # we did not read
        elif self._is_late(self._body_since, self._limits.body_s, now):
            self._refuse(
                408,
                f"Less than {_ENOUGH} bytes of the body came within {self._limits.body_s:g} s. "
                "Send it again without pauses, and as long as Content-Length says.",
            )

    def shutdown(self) -> None:
        """Take no more requests; the one that is worked on may end."""
        self.pipeline.clear()
        if self._running is not None:
            self._running.keep_alive = False
        super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._refuse(
            400,
            "This is not HTTP as it should be. Send HTTP/1.1 to this port; for HTTPS, put a proxy "
            "before it.",
        )

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        full = len(self.connections) > self._limits.connections
        if full and self._is_over and cycle.scope["path"] not in _ALWAYS:
            app = _too_many
        super()._start_asgi_task(cycle, app)

    def _cut(self) -> None:
        """Close so that the kernel forgets as well what was not taken."""
        connection = self.transport.get_extra_info("socket")
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _begin_head(self) -> None:
        self._head_since, self._head_bytes = time.monotonic(), 0

    def _refuse(self, status: int, message: str) -> None:
        if self._is_refused:
            return
        self._is_refused = True
        cycle = self._running
        if cycle is None or not cycle.response_started:
            content = json.dumps(envelope(message, status=status)).encode()
            self.transport.write(
                _STATUS_LINES[status] + b"content-type: application/json\r\nconnection: close\r\n"
                b"content-length: " + str(len(content)).encode() + b"\r\n\r\n" + content
            )
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()

    def _size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _too_long(self) -> str:
        most = self._limits.head_bytes // 1024
        return f"The request's head has more than {most} KiB. Send what is long in the body."

    def _make_room(self) -> bool:
        idle = [
            each for each in self.connections if isinstance(each, Connection) and each._is_idle()
        ]
        if not idle:
            return False
        min(idle, key=lambda each: each._idle_since).transport.close()
        return True

    def _is_idle(self) -> bool:
        return self.timeout_keep_alive_task is not None and not self.transport.is_closing()

    def _are_far_too_many(self) -> bool:
        return len(self.connections) > self._limits.connections + self._limits.connections // 8

    @staticmethod
    def _is_late(since: float | None, allowed_s: float, now: float) -> bool:
        return since is not None and now - since > allowed_s


def connection_type(limits: Limits) -> type[asyncio.Protocol]:
    """What uvicorn's ``http`` takes: makes a ``Connection`` with these limits."""

    def make(**given: Any) -> Connection:
        return Connection(**given, limits=limits)

    return cast("type[asyncio.Protocol]", cast("Callable[..., asyncio.Protocol]", make))


def check_all(state: ServerState) -> None:
    """Look at the times of all connections."""
    now = time.monotonic()
    for each in list(state.connections):
        if isinstance(each, Connection):
            each.check(now)


async def _too_many(scope: Scope, receive: Receive, send: Send) -> None:
    error = MachineError(
        "The server has as many connections as it may.",
        "Try again in a moment; PYTHON_CODER_MAX_CONNECTIONS allows more.",
    )
    response = error_response(error)
    response.headers["Connection"] = "close"
    await response(scope, receive, send)
