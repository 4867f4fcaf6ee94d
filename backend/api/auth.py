"""Who asks: the key a request came with, and whose everything is that it makes.

The gate (``guard.py``) finds it out before anything of a request is read; endpoints get it by a
dependency. A server that has no keys serves this machine only, and everybody there is its admin.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from starlette.datastructures import Headers

from backend.api.errors import Forbidden, Unauthenticated
from backend.store.database import LOCAL_OWNER
from backend.store.key_records import Key, Role
from backend.store.keys import KeyStore, Refusal


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Whoever a request comes from."""

    owner: str
    """Whose everything is that it makes, and what it can see."""
    role: Role
    key_id: str
    """'' where no keys are asked for."""


LOCAL: Final = Principal(owner=LOCAL_OWNER, role="admin", key_id="")
"""Whoever uses a server without keys: somebody at this machine."""

_HOW = "Send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'."
_REFUSALS: dict[Refusal, tuple[str, str]] = {
    "wrong": ("The API key is wrong.", _HOW),
    "expired": ("The API key has expired.", "Ask for a new one."),
    "revoked": ("The API key was revoked.", "Ask for a new one."),
}


async def find_key(headers: Headers, keys: KeyStore) -> Key:
    """The key a request came with.

    Raises:
        Unauthenticated: there is none, or it opens nothing.
        StoreUnavailable: keys cannot be looked up.
    """
    given = _given(headers)
    if not given:
        is_odd = "authorization" in headers
        why = "'Authorization' does not have one behind 'Bearer '" if is_odd else "there is none"
        raise Unauthenticated(f"This server wants an API key, and {why}.", _HOW)
    key = await keys.check(given)
    if isinstance(key, Key):
        return key
    raise Unauthenticated(*_REFUSALS[key])


def _given(headers: Headers) -> str:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    return headers.get("x-api-key", "").strip()


def introduce(scope: MutableMapping[str, Any], principal: Principal) -> None:
    """Tell the endpoint of a request who asks."""
    scope.setdefault("state", {})["principal"] = principal


async def get_principal(request: Request) -> Principal:
    """Who asks.

    Raises:
        Unauthenticated: nobody knows: the request came through an open door.
    """
    principal = getattr(request.state, "principal", None)
    if not isinstance(principal, Principal):
        raise Unauthenticated("This needs an API key.", _HOW)
    return principal


PrincipalDep = Annotated[Principal, Depends(get_principal)]


async def get_owner(principal: PrincipalDep) -> str:
    """Whose request it is."""
    return principal.owner


async def get_admin(principal: PrincipalDep) -> Principal:
    """Who asks, if that is an admin.

    Raises:
        Forbidden: it is not.
    """
    require_admin(principal, "This")
    return principal


def require_admin(principal: Principal, what: str, *, param: str | None = None) -> None:
    """Refuse what only admins may ask for; ``what`` begins the sentence that says so.

    Raises:
        Forbidden: the key is no admin's.
    """
    if principal.role != "admin":
        raise Forbidden(
            f"{what} needs an admin's key.",
            "`python-coder keys create --role admin` makes one.",
            param=param,
        )


OwnerDep = Annotated[str, Depends(get_owner)]
AdminDep = Annotated[Principal, Depends(get_admin)]
