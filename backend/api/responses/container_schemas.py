"""What comes in about containers: for ``/v1/containers``, and with a request for a response."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from backend.api.errors import UnsupportedParameter
from backend.api.schemas import WITHOUT_NUL, Edge

MemoryLimit = Literal["1g", "4g", "16g", "64g"]
FileIds = Annotated[list[str], Field(max_length=100)]


class AutoContainer(Edge):
    """A container of the server's choice: that of the conversation, or a new one."""

    type: Literal["auto"]
    """Always `auto`."""
    file_ids: FileIds | None = None
    """Uploaded files that lie in it."""
    memory_limit: MemoryLimit | None = None
    """What its programs may use; at most what the settings allow."""
    network_policy: dict[str, Any] | None = None
    """Only `{"type": "disabled"}`."""


class LifetimeRequest(Edge):
    """When a container is let go."""

    anchor: Literal["last_active_at"] = "last_active_at"
    """From when the time counts."""
    minutes: Annotated[int, Field(ge=1, le=525_600)]
    """Minutes without use after which it is let go."""


class ContainerRequest(Edge):
    """``POST /v1/containers``."""

    name: Annotated[str, Field(min_length=1, max_length=255), WITHOUT_NUL]
    """The caller's name for it."""
    file_ids: FileIds | None = None
    """Uploaded files that lie in it from the beginning."""
    expires_after: LifetimeRequest | None = None
    """When it is let go."""
    memory_limit: MemoryLimit | None = None
    """What its programs may use; at most what the settings allow."""
    network_policy: dict[str, Any] | None = None
    """Only `{"type": "disabled"}`."""
    skills: list[Any] | None = None
    """Refused, unless empty."""


class ContainerFileRequest(Edge):
    """``POST /v1/containers/{id}/files`` as JSON: a file that is there already, copied into it."""

    file_id: Annotated[str, Field(max_length=64)]
    """The file that is copied."""


def refuse_network(policy: dict[str, Any] | None, param: str) -> None:
    """Programs have the network that the server's settings give them, and no other.

    Raises:
        UnsupportedParameter: another one is asked for.
    """
    if policy is not None and policy.get("type") != "disabled":
        raise UnsupportedParameter(
            f"The network policy {str(policy.get('type'))[:80]!r} is not offered.",
            "Leave it out: the operator decides about the network (PYTHON_CODE_ALLOW_NETWORK).",
            param=param,
        )
