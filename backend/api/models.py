"""``/v1/models``: what can be written into a request's ``model``."""

from __future__ import annotations

from typing import Any, get_args

from fastapi import APIRouter

from backend.api.operations import answers
from backend.api.shapes.models import ModelList, ModelObject
from backend.api.state import Server, ServerDep
from backend.errors import ModelNotFound, RequestError
from backend.llm.models import Models
from backend.types import AgentType

router = APIRouter(prefix="/v1/models", tags=["models"])

AGENTS: tuple[AgentType, ...] = get_args(AgentType)
SIDE = "task"
"""A suffix like an agent's: what is asked of such a model is answered by one plain completion."""
TASK_MODEL = f"python-coder@{SIDE}"
"""What front ends can ask for titles, tags and the like."""
DEFAULT_MODEL_NAMES = frozenset({"", "default", "python-coder"})
_LISTING_S = 5.0
"""Seconds that a list of models is good for: a front end asks for it with every page."""


@router.get(
    "",
    summary="List models, each also with every agent",
    responses=answers(ModelList, 502),
    response_model=None,
)
async def list_models(server: ServerDep) -> dict[str, Any]:
    """Each model that the model server has, plain and with ``@agent`` behind it; and a task model.

    Raises:
        ModelUnavailable: the model server does not answer. A list without models would be taken
            for a server that has none.
    """
    names = await server.assistant.models.listed(at_most_s=_LISTING_S)
    ids = [each for name in names for each in (name, *(f"{name}@{agent}" for agent in AGENTS))]
    return {"object": "list", "data": [_model(server, each) for each in (*ids, TASK_MODEL)]}


@router.get(
    "/{model_id:path}",
    summary="Describe a model",
    responses=answers(ModelObject, 404, 502),
    response_model=None,
)
async def retrieve_model(model_id: str, server: ServerDep) -> dict[str, Any]:
    """One model, if it is there."""
    name, _, _ = split_model(model_id)
    await find_model(server.assistant.models, name)
    return _model(server, model_id)


def _model(server: Server, model_id: str) -> dict[str, Any]:
    return {
        "id": model_id,
        "object": "model",
        "created": server.started_at,
        "owned_by": server.assistant.models.get().provider,
    }


def split_model(model: str | None) -> tuple[str | None, AgentType | None, bool]:
    """A model's id without its suffix, the agent, and whether it is asked for a side request.

    None stands for what is not said.

    Raises:
        RequestError: the suffix names no agent.
    """
    name, at, suffix = (model or "").strip().rpartition("@")
    if not at:
        name, suffix = suffix, ""
    is_side = suffix == SIDE
    agent = read_agent(suffix, "model") if at and not is_side else None
    return (None if name in DEFAULT_MODEL_NAMES else name), agent, is_side


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
        await models.check(at_most_s=_LISTING_S)
        return None
    configured = models.get()
    bare = name.removeprefix(f"{configured.provider}:")
    candidates = (bare, f"{bare}:latest")
    listed = await models.listed(at_most_s=_LISTING_S, wanted=candidates)
    for candidate in candidates:
        if candidate in listed:
            return None if configured.provider == "scripted" else candidate
    raise ModelNotFound(
        f"There is no model {name[:80]!r}.", "GET /v1/models lists those there are."
    )
