"""``/v1/models``: what can be written into a request's ``model``."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from backend.api.asking import AGENTS, find_model, split_model
from backend.api.state import Server, ServerDep

router = APIRouter(prefix="/v1/models", tags=["models"])


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
