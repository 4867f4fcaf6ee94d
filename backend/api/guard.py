"""Who may talk to a server that has no keys: programs of this machine, not pages in a browser.

A page of any site can send requests to loopback, and by rebinding its own name to 127.0.0.1 it can
read the answers. So the ``Host`` must be one of ours, and what changes something must not come from
another origin (``Origin``, ``Sec-Fetch-Site``; browsers send them, other clients do not).
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.api.errors import Forbidden, error_response
from backend.config.settings import Settings

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class LocalOnly:
    """ASGI middleware that refuses foreign hosts and origins with 403."""

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self._app = app
        public = settings.public_base_url
        self._public_origin = origin_of(public) if public else None
        self._hosts = LOOPBACK_NAMES | set(_host_names(settings))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope["method"], scope["scheme"], Headers(scope=scope))
        if refusal is not None:
            await error_response(refusal)(scope, receive, send)
            return
        await self._app(scope, receive, _without_sniffing(send))

    def _refusal(self, method: str, scheme: str, headers: Headers) -> Forbidden | None:
        host = headers.get("host", "")
        if host_name(host) not in self._hosts:
            return Forbidden(
                f"This server is not called {host[:80]!r}.",
                "Use http://127.0.0.1 and its port, or set PUBLIC_BASE_URL to its public address.",
            )
        if method in _READING:
            return None
        origin = headers.get("origin")
        if origin is None:
            foreign = headers.get("sec-fetch-site") in {"cross-site", "same-site"}
        else:
            foreign = origin not in {f"{scheme}://{host}", self._public_origin}
        if foreign:
            return Forbidden("Requests from other sites' pages are not taken.")
        return None


def host_name(authority: str) -> str:
    """The name in ``name:port``, lower case; '' when there is none."""
    try:
        return urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return ""


def origin_of(url: str) -> str:
    """Scheme and authority of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _host_names(settings: Settings) -> Iterable[str]:
    if settings.public_base_url:
        yield host_name(urlsplit(settings.public_base_url).netloc)
    if settings.host not in {"0.0.0.0", "::"}:
        yield settings.host.strip("[]").lower()


def _without_sniffing(send: Send) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["X-Content-Type-Options"] = "nosniff"
        await send(message)

    return sender
