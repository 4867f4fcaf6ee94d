"""``/v1/keys``: API keys, for admins."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field

from backend.api.auth import AdminDep
from backend.api.body import read_json
from backend.api.errors import Forbidden
from backend.api.operations import answers, takes
from backend.api.schemas import OwnRequest
from backend.api.shapes.keys import KeyList, KeyShape, NewKeyShape
from backend.api.state import ServerDep
from backend.store.key_records import Key, Role

router = APIRouter(prefix="/v1/keys", tags=["keys"])

_MAX_BODY = 2**16


class KeyRequest(OwnRequest):
    """A key that is wanted."""

    name: str
    """What it is called in lists; of keys that are not revoked, one has it."""
    role: Role = "user"
    """An admin manages keys and reads `/metrics`; nobody sees another owner's data."""
    owner: str | None = None
    """Whose data it opens, such as another key's owner; left out: a new owner."""
    expires_at: Annotated[int, Field(gt=0, lt=2**40)] | None = None
    """Unix time in seconds from which on it opens nothing; left out: it stays good."""
    requests_per_minute: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Its limit; 0: none; left out: what the server's settings say."""
    max_parallel: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Requests at a time; 0: no limit; left out: what the server's settings say."""


@router.post(
    "",
    summary="Make an API key",
    responses=answers(NewKeyShape, 400, 413),
    response_model=None,
    openapi_extra=takes(KeyRequest),
)
async def create_key(request: Request, server: ServerDep, admin: AdminDep) -> dict[str, Any]:
    """A new key; what opens is told this once."""
    body = await read_json(request, KeyRequest, max_bytes=_MAX_BODY)
    if not admin.key_id:
        # From then on every request needs a key: who makes it must have one that makes others.
        raise Forbidden(
            "There are no API keys yet, and the first one is not made over HTTP.",
            "Make it with `python-coder keys create --name NAME --role admin`.",
        )
    key, text = await server.keys.create(
        name=body.name,
        role=body.role,
        owner=body.owner,
        expires_at=body.expires_at,
        requests_per_minute=body.requests_per_minute,
        max_parallel=body.max_parallel,
    )
    return _body(key) | {"key": text}


@router.get("", summary="List API keys", responses=answers(KeyList), response_model=None)
async def list_keys(server: ServerDep, _admin: AdminDep) -> dict[str, Any]:
    """All keys of all owners, without what opens."""
    return {"object": "list", "data": [_body(key) for key in await server.keys.list()]}


@router.delete(
    "/{key_id}",
    summary="Revoke an API key",
    responses=answers(KeyShape, 404),
    response_model=None,
)
async def revoke_key(key_id: str, server: ServerDep, _admin: AdminDep) -> dict[str, Any]:
    """Make a key open nothing any more, at once; it stays in the list, and its owner's data stay."""
    return _body(await server.keys.revoke(key_id))


def _body(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "object": "api_key",
        "name": key.name,
        "role": key.role,
        "owner": key.owner,
        "created_at": int(key.created_at),
        "expires_at": _seconds(key.expires_at),
        "revoked_at": _seconds(key.revoked_at),
        "last_used_at": _seconds(key.last_used_at),
        "requests_per_minute": key.requests_per_minute,
        "max_parallel": key.max_parallel,
    }


def _seconds(moment: float | None) -> int | None:
    return None if moment is None else int(moment)
