"""A file's bytes on their way out: whole or a part of them, and not again where they are known."""

from __future__ import annotations

import asyncio
import os
import re
from http import HTTPStatus

from fastapi.responses import FileResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from backend.api.errors import NotThatPart, error_response
from backend.api.operations import answers
from backend.api.state import Server
from backend.store.file_records import StoredFile

_SHOWN_INLINE = ("image/", "text/plain", "text/html", "application/pdf")
_SANDBOXED = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"
"""For pages and drawings a program wrote: no scripts, and nothing of this server's origin."""
_BYTES = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
DOWNLOADS = answers(None, 404, 416, content=_BYTES) | {
    206: {"description": "The bytes that `Range` asked for.", "content": _BYTES},
    304: {"description": "`If-None-Match` has its `ETag` already."},
}
"""The ``responses`` of a route that sends a file's bytes."""
_PART = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
"""One part; who asks for several at once, or in another unit, gets the whole, as HTTP allows."""


async def download(file: StoredFile, server: Server) -> FileResponse:
    """A file's bytes as they are sent: shown by a browser where that is safe, else saved.

    Raises:
        NotFound: they are gone.
    """
    path = await asyncio.to_thread(server.files.path, file)
    return Download(path, file, await asyncio.to_thread(os.stat, path))


class Download(FileResponse):
    """Answers ``Range``, ``If-Range`` and ``If-None-Match``; a file never changes."""

    def __init__(self, path: os.PathLike[str], file: StoredFile, stat: os.stat_result) -> None:
        is_shown = file.media_type.startswith(_SHOWN_INLINE)
        headers = {"Cache-Control": "private, no-cache", "ETag": f'"{file.sha256}"'}
        if file.media_type != "application/pdf":  # whose viewer is a page with scripts
            headers["Content-Security-Policy"] = _SANDBOXED
        super().__init__(
            path,
            media_type=file.media_type,
            filename=file.filename,
            content_disposition_type="inline" if is_shown else "attachment",
            headers=headers,
            stat_result=stat,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what the request's headers ask for."""
        headers = Headers(scope=scope)
        if self._is_known(headers):
            kept = {name: self.headers[name] for name in ("etag", "cache-control")}
            response = Response(status_code=HTTPStatus.NOT_MODIFIED, headers=kept)
            await response(scope, receive, send)
            return
        wanted = headers.get("range")
        if wanted is not None:
            part = _PART.fullmatch(wanted.strip())
            if part is None or not any(part.groups()) or self._is_backwards(part):
                scope = _without_range(scope)
            elif self._is_beyond(part):
                await self._refuse(wanted, scope, receive, send)
                return
        await super().__call__(scope, receive, send)

    def _is_known(self, headers: Headers) -> bool:
        tags = [
            tag.strip().removeprefix("W/") for tag in headers.get("if-none-match", "").split(",")
        ]
        return self.headers["etag"] in tags or "*" in tags

    def _is_backwards(self, part: re.Match[str]) -> bool:
        first, last = part.groups()
        return bool(first and last) and int(last) < int(first)

    def _is_beyond(self, part: re.Match[str]) -> bool:
        first, last = part.groups()
        size = int(self.headers["content-length"])
        return int(first) >= size if first else int(last) == 0

    async def _refuse(self, wanted: str, scope: Scope, receive: Receive, send: Send) -> None:
        size = self.headers["content-length"]
        response = error_response(
            NotThatPart(f"The file has {size} bytes, not {wanted[:80]!r}.", "Ask for others.")
        )
        response.headers["Content-Range"] = f"bytes */{size}"
        await response(scope, receive, send)


def _without_range(scope: Scope) -> Scope:
    headers = MutableHeaders(raw=list(scope["headers"]))
    del headers["range"]
    return {**scope, "headers": headers.raw}
