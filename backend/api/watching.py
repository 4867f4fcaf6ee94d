"""What surrounds every request: its id, its line in the log, its figures, its span.

The outermost layer, so that refusals and faults of ours count as well. It knows of a request the
method, the template of its path, the status, and how long and how much; never what it said.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.api.errors import error_response, log_unexpected
from backend.api.request_ids import HEADER, request_id_of
from backend.api.state import Server
from backend.request_context import in_request

GONE: Final = 499
"""The status of a request whose client left before there was one."""
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER: Final = "other"
"""In place of a path or method that is none of ours."""


class Watched:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._log = logging.getLogger("backend.access")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and watch what becomes of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        server: Server = scope["app"].state.server
        request_id = request_id_of(scope["headers"])
        sent = _Sent(send, request_id)
        started = time.perf_counter()
        server.meters.in_flight.inc()
        with (
            in_request(request_id=request_id, source=f"{scope['method']} {scope['path']}"[:200]),
            server.spans.request(scope) as span,
        ):
            try:
                await self._app(scope, receive, sent)
            except (asyncio.CancelledError, ClientDisconnect):
                raise
            except Exception as error:
                log_unexpected(error)
                if not sent.status:
                    await error_response(error)(scope, receive, sent)
            finally:
                seconds = time.perf_counter() - started
                route, method = _template(scope), _method(scope)
                status = sent.status or GONE
                span.end(route, status)
                server.meters.in_flight.dec()
                server.meters.request(route, method, status, seconds)
                if self._log.isEnabledFor(logging.INFO):
                    self._tell(scope, route, method, status, seconds, sent.size)

    def _tell(
        self, scope: Scope, route: str, method: str, status: int, seconds: float, size: int
    ) -> None:
        known: dict[str, Any] = {
            "method": method,
            "path": route,
            "status": status,
            "duration_ms": round(seconds * 1000, 2),
            "bytes": size,
        }
        principal = scope.get("state", {}).get("principal")
        if principal is not None:
            known["owner"] = principal.owner
        told = (method, route, status, seconds * 1000)
        self._log.info("%s %s %d %.1f ms", *told, extra={"known": known})


class _Sent:
    """Sends an answer with its id, and remembers what was sent."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._header = (HEADER, request_id.encode("ascii"))
        self.status = 0
        """0 until it was sent."""
        self.size = 0
        """Bytes of the body."""

    async def __call__(self, message: Message) -> None:
        """An ASGI ``send``."""
        if message["type"] == "http.response.body":
            self.size += len(message.get("body", b""))
        elif message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), self._header]}
        await self._send(message)


def _template(scope: Scope) -> str:
    """The path as its route was made: ``/v1/files/{file_id}``. The path itself has ids in it."""
    return getattr(scope.get("route"), "path", None) or OTHER


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in _METHODS else OTHER
