"""``/v1/models``: what can be written into a request's ``model``."""

from __future__ import annotations

from typing import Any, get_args

from fastapi import APIRouter

from backend.api.state import Server, ServerDep
from backend.errors import ModelNotFound, RequestError
from backend.llm.models import Models
from backend.types import AgentType

router = APIRouter(prefix="/v1/models", tags=["models"])

AGENTS: tuple[AgentType, ...] = get_args(AgentType)
DEFAULT_MODEL_NAMES = frozenset({"", "default", "python-coder"})


@router.get("", summary="List models, each also with every agent")
async def list_models(server: ServerDep) -> dict[str, Any]:
    """Each model that the model server has, plain and with ``@agent`` behind it."""
    names = await server.assistant.models.names()
    ids = [each for name in names for each in (name, *(f"{name}@{agent}" for agent in AGENTS))]
    return {"object": "list", "data": [_model(server, each) for each in ids]}


@router.get("/{model_id:path}", summary="Describe a model")
async def retrieve_model(model_id: str, server: ServerDep) -> dict[str, Any]:
    """One model, if it is there."""
    name, _ = split_model(model_id)
    await find_model(server.assistant.models, name)
    return _model(server, model_id)


def _model(server: Server, model_id: str) -> dict[str, Any]:
    return {
        "id": model_id,
        "object": "model",
        "created": server.started_at,
        "owned_by": server.assistant.models.get().provider,
    }


def split_model(model: str | None) -> tuple[str | None, AgentType | None]:
    """A model's id without its agent suffix, and the agent; None for what is not said.

    Raises:
        RequestError: the suffix names no agent.
    """
    name, at, suffix = (model or "").strip().rpartition("@")
    if not at:
        name, suffix = suffix, ""
    agent = read_agent(suffix, "model") if at else None
    return (None if name in DEFAULT_MODEL_NAMES else name), agent


def read_agent(value: str | None, param: str) -> AgentType | None:
    """The agent that a value names; None where nothing is said.

    Raises:
        RequestError: there is no such agent.
    """
    if not value:
        return None
    for agent in AGENTS:
        if value.strip() == agent:
            return agent
    raise RequestError(
        f"There is no agent {value[:80]!r}.", f"Use one of: {', '.join(AGENTS)}.", param=param
    )


async def find_model(models: Models, name: str | None) -> str | None:
    """The model to ask by the name its server lists; None for the configured one.

    Only what is listed: a name could otherwise reach another provider, with its key.
    """
    if name is None:
        await models.check()
        return None
    configured = models.get()
    bare = name.removeprefix(f"{configured.provider}:")
    listed = await models.names()
    for candidate in (bare, f"{bare}:latest"):
        if candidate in listed:
            return None if configured.provider == "scripted" else candidate
    raise ModelNotFound(
        f"There is no model {name[:80]!r}.", "GET /v1/models lists those there are."
    )
