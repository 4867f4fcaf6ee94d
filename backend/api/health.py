"""``/health`` and ``/ready``: what works at the moment, told quickly and without a key."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from backend.api.operations import answers
from backend.api.shapes.health import Health, Readiness
from backend.api.state import ServerDep
from backend.config.version import product_version

router = APIRouter(tags=["health"])


@router.head("/health", include_in_schema=False)
@router.get(
    "/health",
    summary="Alive, and what the model and the sandbox are",
    responses=answers(Health),
    response_model=None,
)
async def health(server: ServerDep) -> dict[str, Any]:
    """200 as long as the server itself works; the model's state is told beside it."""
    return {
        "status": "ok",
        "version": product_version(),
        "model": await server.probes.model.state(),
        "sandbox": {
            "enabled": server.settings.enabled,
            **server.assistant.engine.isolation.as_dict(),
        },
    }


@router.head("/ready", include_in_schema=False)
@router.get(
    "/ready",
    summary="Whether model, sandbox and store all work",
    responses=answers(Readiness)
    | {503: {"description": "Not everything does.", "model": Readiness}},
    response_model=None,
)
async def ready(server: ServerDep) -> Response:
    """200 when everything a question needs works, else 503; says of each what is wrong."""
    probes = server.probes
    model, sandbox, store = await asyncio.gather(
        probes.model.state(), probes.sandbox.state(), probes.store.state()
    )
    works = all(part["state"] == "ok" for part in (model, sandbox, store))
    status = "ready" if works else "not ready"
    if server.turns.is_closed:  # it is being stopped
        works, status = False, "draining"
    body = {
        "status": status,
        "model": model,
        "sandbox": sandbox,
        "store": store,
    }
    return JSONResponse(body, 200 if works else 503, {} if works else {"Retry-After": "5"})
