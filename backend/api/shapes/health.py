"""What works at the moment."""

from __future__ import annotations

from typing import Literal

from backend.api.shapes.base import Shape
from backend.api.shapes.programs import IsolationShape


class ModelState(Shape):
    """The model and its server."""

    name: str
    """As it is shown to people."""
    provider: str
    """`ollama`, `openai` or `scripted`."""
    state: Literal["ok", "failed"]
    """Whether a question can be asked."""
    reachable: bool
    """The same, for programs that look for a yes or no."""
    error: str | None
    """What is wrong and what to do."""


class SandboxHealth(IsolationShape):
    """The walls that programs get."""

    enabled: bool
    """Programs may be run at all."""


class SandboxState(IsolationShape):
    """Whether programs can be run; one of a line was."""

    state: Literal["ok", "failed", "disabled"]
    """`disabled` by `PYTHON_CODE_ENABLED`."""
    error: str | None
    """What is wrong."""


class StoreState(Shape):
    """The database."""

    state: Literal["ok", "failed"]
    """Whether it answers."""
    error: str | None
    """What is wrong."""


class Health(Shape):
    """That the server itself works."""

    status: Literal["ok"]
    """Always `ok`: whoever can read this reached a server that works."""
    version: str
    """Of python-coder."""
    model: ModelState
    """The model's state does not change the status."""
    sandbox: SandboxHealth
    """Without looking: `/ready` runs a program."""


class Readiness(Shape):
    """Whether everything a question needs works."""

    status: Literal["ready", "not ready", "draining"]
    """All but `ready` come with status 503; `draining`: the server is being stopped."""
    model: ModelState
    """As it was found within the last seconds."""
    sandbox: SandboxState
    """A program ran within the last seconds."""
    store: StoreState
    """As it was found within the last seconds."""
