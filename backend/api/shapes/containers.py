"""Containers and their files, as OpenAI's clients know them."""

from __future__ import annotations

from typing import Literal

from backend.api.shapes.base import Deleted, Page, Shape


class ExpiresAfter(Shape):
    """When a container is let go."""

    anchor: Literal["last_active_at"]
    """Always `last_active_at`."""
    minutes: int
    """Minutes after its last use."""


class NetworkPolicy(Shape):
    """The network that programs have."""

    type: Literal["disabled"]
    """Always `disabled`; the result of a run says where the operator has opened the network."""


class ContainerObject(Shape):
    """A container: a session under another name."""

    id: str
    """Begins with `cntr_`."""
    object: Literal["container"]
    """Always `container`."""
    created_at: int
    """Unix time in seconds."""
    name: str
    """As it was made with; `auto` where a response made it."""
    status: Literal["active", "expired"]
    """One that has expired takes no more requests; its files stay until it is deleted."""
    expires_after: ExpiresAfter
    """When it is let go."""
    last_active_at: int
    """Unix time in seconds."""
    memory_limit: Literal["1g", "4g", "16g", "64g"] | None
    """As asked for; null: what the settings say."""
    network_policy: NetworkPolicy
    """The network that programs have."""
    x_session_id: str
    """The session that it is; `/v1/execute` takes it as `session_id` once it has been used."""


class ContainerList(Page[ContainerObject]):
    """The owner's containers."""


class ContainerDeleted(Deleted):
    """A container is gone, with its files and variables."""

    object: Literal["container.deleted"]
    """Always `container.deleted`."""


class ContainerFileObject(Shape):
    """A file in a container."""

    id: str
    """The file's id, in `/v1/files`, too."""
    object: Literal["container.file"]
    """Always `container.file`."""
    created_at: int
    """Unix time in seconds."""
    bytes: int
    """Its size."""
    container_id: str
    """The container's id."""
    path: str
    """Where programs find it."""
    source: Literal["user", "assistant"]
    """Who put it there: `assistant` is a program."""


class ContainerFileList(Page[ContainerFileObject]):
    """The files in a container."""


class ContainerFileDeleted(Deleted):
    """A file is gone from its container, with its bytes."""

    object: Literal["container.file.deleted"]
    """Always `container.file.deleted`."""
