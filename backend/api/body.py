"""Request bodies: how much is read, and into what."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from backend.api.errors import validation_error
from backend.config.settings import Settings
from backend.errors import RequestError, TooLarge

_MIB = 1024 * 1024
_LARGE = 256 * 1024
"""Bytes from which on parsing would hold up the event loop for a noticeable time."""
_MOST_VALUES = 250_000
"""Objects and lists of a body, those that are quoted in it too. Reading them keeps the interpreter to
itself, in whatever thread: a hundred megabytes of empty ones would stop the server for a minute."""
_DRAIN_S = 2.0
"""Seconds to go on reading what will be thrown away: a client that is still sending when the
connection closes loses the answer."""

Model = TypeVar("Model", bound=BaseModel)


def max_json_bytes(settings: Settings) -> int:
    """Room for one whole file in base64 and a long conversation beside it."""
    return settings.max_file_bytes * 4 // 3 + 8 * _MIB


async def read_json(
    request: Request, model: type[Model], *, max_bytes: int, may_be_empty: bool = False
) -> Model:
    """The body as a model.

    Args:
        request: whose body it is.
        model: what it should be.
        max_bytes: what it may have.
        may_be_empty: no body at all stands for one without fields.

    Raises:
        RequestError: it is not JSON, or a field is wrong.
        TooLarge: it is over the limit; the rest of it is not read.
    """
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip()
    if kind.lower() != "application/json" and not kind.lower().endswith("+json"):
        raise RequestError(
            f"The body is {kind[:80]!r}.", "Send JSON with Content-Type: application/json."
        )
    packed = request.headers.get("content-encoding", "identity").strip().lower()
    if packed not in {"", "identity"}:
        raise RequestError(
            f"The body is packed with {packed[:80]!r}.", "Send it without Content-Encoding."
        )
    body = await _read(request, max_bytes) or (b"{}" if may_be_empty else b"")
    if len(body) < _LARGE:
        return _parse(body, model)
    return await asyncio.to_thread(_parse, body, model)


async def drain(request: Request) -> None:
    """Throw away what is still coming, for a short time."""
    # RuntimeError: there was no more; the stream does not say so in another way.
    with suppress(TimeoutError, ClientDisconnect, RuntimeError):
        async with asyncio.timeout(_DRAIN_S), aclosing(request.stream()) as chunks:
            async for _ in chunks:
                pass


async def _read(request: Request, max_bytes: int) -> bytes:
    received = bytearray()
    async with aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            received += chunk
            if len(received) > max_bytes:
                break
    if len(received) <= max_bytes:
        return bytes(received)
    received.clear()
    await drain(request)
    raise TooLarge(
        f"The body has more than the {max_bytes / _MIB:.3g} MiB that are allowed.",
        "Upload files with POST /v1/files and name their ids.",
    )


def _parse(body: bytes, model: type[Model]) -> Model:
    if body.count(b"{") + body.count(b"[") > _MOST_VALUES:
        raise TooLarge(
            f"The body has more than {_MOST_VALUES} objects and lists.",
            "Upload data as files with POST /v1/files and name their ids.",
        )
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise validation_error(error) from None
