"""``GET /metrics``: figures for Prometheus."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from backend.api.auth import AdminDep
from backend.api.operations import answers
from backend.api.state import ServerDep

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    responses=answers(
        None,
        401,
        403,
        meaning="One figure a line; docs/operation.md names them.",
        content={"text/plain": {"schema": {"type": "string"}}},
    ),
    response_model=None,
)
async def metrics(server: ServerDep, _admin: AdminDep) -> Response:
    """What was counted since the start, and how things stand. Admins only: it is about everybody."""
    await server.standing.look()
    text = await asyncio.to_thread(generate_latest, server.meters.registry)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})
