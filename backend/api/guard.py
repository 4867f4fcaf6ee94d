"""Who may talk to the server: whoever has a key, or, where there are none, programs of this machine.

Without keys, pages in a browser are kept out: a page of any site can send requests to loopback, and
by rebinding its own name to 127.0.0.1 it can read the answers. So the ``Host`` must be one of ours,
and what changes something must not come from another origin (``Origin``, ``Sec-Fetch-Site``;
browsers send them, other clients do not). With keys neither decides: no page has a key by itself.

A server that others can reach asks for keys in any case, even when they were all forgotten.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Final
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.api.allowance import Allowance
from backend.api.auth import LOCAL, Principal, find_key, introduce
from backend.api.errors import Forbidden, error_response
from backend.config.settings import Settings
from backend.errors import PythonCoderError, StoreUnavailable
from backend.request_context import in_request
from backend.store.keys import KeyStore

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
OPEN_DOORS = frozenset({"/health", "/ready"})
"""What needs no key: whether it works."""
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_SIGNED = re.compile(r"/v1/files/[^/]+/content")


class Gate:
    """ASGI middleware: finds out who asks, or refuses; counts what each key asks for."""

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self._app = app
        self._local = _LocalOnly(settings)
        self._is_reachable = not is_loopback(settings.host)
        self._allowance = Allowance(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        added = {"X-Content-Type-Options": "nosniff"}
        send = _with_headers(send, added)
        with ExitStack() as place:
            try:
                principal = await self._admit(scope, place, added)
            except PythonCoderError as refusal:
                await error_response(refusal)(scope, receive, send)
                return
            if principal is not None:
                introduce(scope, principal)
                known = in_request(owner=principal.owner, key_id=principal.key_id)
                place.enter_context(known)
            await self._app(scope, receive, send)

    async def _admit(
        self, scope: Scope, place: ExitStack, added: dict[str, str]
    ) -> Principal | None:
        """Who asks; None where nobody has to say so."""
        headers = Headers(scope=scope)
        keys: KeyStore = scope["app"].state.server.keys
        if not (self._is_reachable or await _are_wanted(keys, scope)):
            self._local.require(scope["method"], scope["scheme"], headers)
            return LOCAL
        if scope["method"] in _READING and _is_open(scope):
            return None
        key = await find_key(headers, keys)
        if (standing := self._allowance.take(key)) is not None:
            added |= standing.headers()
        if _is_work(scope["method"], scope["path"]):
            place.enter_context(self._allowance.place(key))
        return Principal(owner=key.owner, role=key.role, key_id=key.id)


async def _are_wanted(keys: KeyStore, scope: Scope) -> bool:
    """Whether requests need a key; while nobody knows, those need none that tell what is wrong.

    Raises:
        StoreUnavailable: the database has to be asked, and cannot be.
    """
    try:
        return await keys.are_wanted()
    except StoreUnavailable:
        if scope["path"] in OPEN_DOORS:
            return True
        raise


def _is_open(scope: Scope) -> bool:
    """Whether it is for anybody, or a signed link; what that is worth, the endpoint finds out."""
    if scope["path"] in OPEN_DOORS:
        return True
    is_content = _SIGNED.fullmatch(scope["path"]) is not None
    return is_content and "signature" in parse_qs(scope["query_string"].decode("latin-1"))


def _is_work(method: str, path: str) -> bool:
    """Whether it may take long: what ends or looks at work that is under way must always get in."""
    if method == "POST":
        return not path.endswith("/cancel")
    return method == "GET" and path.endswith("/events")


class _LocalOnly:
    """The rules of a server that has no keys."""

    def __init__(self, settings: Settings) -> None:
        public = settings.public_base_url
        self._origins = {*settings.cors_allowed, *([origin_of(public)] if public else [])}
        self._hosts = LOOPBACK_NAMES | set(_host_names(settings))

    def require(self, method: str, scheme: str, headers: Headers) -> None:
        """Refuse foreign hosts and origins.

        Raises:
            Forbidden: it is one.
        """
        host = headers.get("host", "")
        if host_name(host) not in self._hosts:
            raise Forbidden(
                f"This server is not called {host[:80]!r}.",
                "Use http://127.0.0.1 and its port, or set PUBLIC_BASE_URL to its public address.",
            )
        if method in _READING:
            return
        origin = headers.get("origin")
        if origin is None:
            foreign = headers.get("sec-fetch-site") in {"cross-site", "same-site"}
        else:
            foreign = origin not in {f"{scheme}://{host}", *self._origins}
        if foreign:
            raise Forbidden(
                "Requests from other sites' pages are not taken.",
                "Allow the site with PYTHON_CODER_CORS_ORIGINS, or set PUBLIC_BASE_URL if it is this "
                "server's own address.",
            )


def is_loopback(host: str) -> bool:
    """Whether an address to bind is one that only this machine reaches."""
    bare: Final = host.strip("[]").lower()
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return bare == "localhost"


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
    yield settings.host.strip("[]").lower()


def _with_headers(send: Send, added: dict[str, str]) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in added.items():
                headers[name] = value
        await send(message)

    return sender
