"""What can be written into a request's `model`."""

from __future__ import annotations

from typing import Literal

from backend.api.shapes.base import Shape


class ModelObject(Shape):
    """A model, or a model with the agent that is to use it."""

    id: str
    """What to write into a request's `model`: `NAME`, or `NAME@react`, `NAME@plan_execute`,
    `NAME@chat`, `NAME@auto`; `python-coder@task` is for side requests of chat front ends."""
    object: Literal["model"]
    """Always `model`."""
    created: int
    """Unix time in seconds of the server's start: model servers do not tell."""
    owned_by: str
    """Which kind of server has it: `ollama`, `openai` or `scripted`."""


class ModelList(Shape):
    """All models there are."""

    object: Literal["list"]
    """Always `list`."""
    data: list[ModelObject]
    """In the model server's order, each plain and then with every agent."""
