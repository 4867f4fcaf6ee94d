"""``/health`` and ``/ready``: what works at the moment, told quickly and without a key."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from backend.api.state import Server, ServerDep
from backend.config.version import product_version
from backend.errors import PythonCoderError
from backend.types import ExecutionRequest

router = APIRouter(tags=["health"])

PROBE_S = 1.0
"""How long an answer is waited for: whoever asks for health gives up soon."""


@router.get("/health", summary="Alive, and what the model and the sandbox are")
async def health(server: ServerDep) -> dict[str, Any]:
    """200 as long as the server itself works; the model's state is told beside it."""
    return {
        "status": "ok",
        "version": product_version(),
        "model": await _model(server),
        "sandbox": {
            "enabled": server.settings.enabled,
            **server.assistant.engine.isolation.as_dict(),
        },
    }


@router.get("/ready", summary="Whether model, sandbox and store all work")
async def ready(server: ServerDep) -> Response:
    """200 when everything a question needs works, else 503; says of each what is wrong."""
    model, sandbox, store = await asyncio.gather(_model(server), _sandbox(server), _store(server))
    works = all(part["state"] == "ok" for part in (model, sandbox, store))
    body = {
        "status": "ready" if works else "not ready",
        "model": model,
        "sandbox": sandbox,
        "store": store,
    }
    return JSONResponse(body, 200 if works else 503, {} if works else {"Retry-After": "5"})


async def _model(server: Server) -> dict[str, Any]:
    model = server.assistant.models.get()
    about = {"name": model.name, "provider": model.provider}
    try:
        async with asyncio.timeout(PROBE_S):
            await server.assistant.models.check()
    except TimeoutError:
        return about | _failed(f"The model server did not answer within {PROBE_S:g} s.")
    except PythonCoderError as error:
        return about | _failed(str(error))
    return about | {"state": "ok", "reachable": True, "error": None}


def _failed(error: str) -> dict[str, Any]:
    return {"state": "failed", "reachable": False, "error": error}


async def _sandbox(server: Server) -> dict[str, Any]:
    about = server.assistant.engine.isolation.as_dict()
    if not server.settings.enabled:
        return about | {"state": "disabled", "error": "PYTHON_CODE_ENABLED is false."}
    try:
        result = await server.assistant.engine.execute(ExecutionRequest(code="print(6 * 7)"))
    except PythonCoderError as error:
        return about | {"state": "failed", "error": str(error)}
    if result.stdout.strip() != "42":
        return about | {"state": "failed", "error": "A program of one line did not work."}
    return about | {"state": "ok", "error": None}


async def _store(server: Server) -> dict[str, Any]:
    works = False
    with suppress(TimeoutError):
        async with asyncio.timeout(PROBE_S):
            works = await server.database.works()
    if not works:
        return {"state": "failed", "error": "The database does not answer."}
    return {"state": "ok", "error": None}
