"""``/v1/runs``: what was asked, and the user's word about programs that wait."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from backend.api.asking import decided_job
from backend.api.body import read_json
from backend.api.chat import answer_job
from backend.api.presence import while_connected
from backend.api.schemas import DecisionRequest
from backend.api.state import OwnerDep, Server, ServerDep, base_url
from backend.errors import NotFound
from backend.store.run_records import Run
from backend.tools.approval import Decision, Verdict
from backend.tools.coder.recording import Recorder

router = APIRouter(prefix="/v1/runs", tags=["runs"])

_MAX_BODY = 2**21


@router.get("/{run_id}", summary="Read how a request stands")
async def read_run(run_id: str, server: ServerDep, owner: OwnerDep) -> dict[str, Any]:
    """A request that led to a program: its state, and the program that waits for approval."""
    return run_body(await _recorder(server).runs.get(run_id, owner=owner))


@router.post("/{run_id}/approve", summary="Let the program run that a request waits with")
async def approve_run(
    run_id: str, request: Request, server: ServerDep, owner: OwnerDep
) -> Response:
    """Go on with the request, with another program if ``code`` has one; answers as the chat does."""
    body = await _decision(request)
    verdict: Verdict = "edit" if body.code else "approve"
    decision = Decision(verdict=verdict, code=body.code or "", note=body.note)
    return await _go_on(run_id, decision, request, server, owner)


@router.post("/{run_id}/reject", summary="End a request without running its program")
async def reject_run(run_id: str, request: Request, server: ServerDep, owner: OwnerDep) -> Response:
    """End the request with what was found out before; answers as the chat does."""
    body = await _decision(request)
    return await _go_on(run_id, Decision(verdict="reject", note=body.note), request, server, owner)


@router.post("/{run_id}/cancel", summary="End a request that is under way or waits")
async def cancel_run(run_id: str, server: ServerDep, owner: OwnerDep) -> dict[str, Any]:
    """End it with all its processes; whoever waits for its answer gets an error. No body is read."""
    recorder = _recorder(server)
    await recorder.cancel(run_id, owner=owner)
    return run_body(await recorder.runs.get(run_id, owner=owner))


async def _decision(request: Request) -> DecisionRequest:
    if not request.headers.get("content-length", "0").strip("0"):
        return DecisionRequest()
    return await read_json(request, DecisionRequest, max_bytes=_MAX_BODY)


async def _go_on(
    run_id: str, decision: Decision, request: Request, server: Server, owner: str
) -> Response:
    run = await _recorder(server).runs.get(run_id, owner=owner)
    said = (
        decision.note
        or {"approve": "yes", "reject": "no", "edit": "Run this instead."}[decision.verdict]
    )
    job = await decided_job(run, decision, server, owner=owner, said=said)
    links = base_url(request, server.settings)
    return await while_connected(request.receive, answer_job(job, server, links))


def _recorder(server: Server) -> Recorder:
    if server.assistant.recorder is None:
        raise NotFound("Nothing is recorded here.", "Start the server with a data folder.")
    return server.assistant.recorder


def run_body(run: Run) -> dict[str, Any]:
    """A run as it goes out; its whole result stays here."""
    result = run.result or {}
    return {
        "id": run.id,
        "object": "run",
        "kind": run.kind,
        "status": run.status,
        "request": run.request,
        "session_id": run.session_id,
        "created_at": int(run.created_at),
        "updated_at": int(run.updated_at),
        "finished_at": None if run.finished_at is None else int(run.finished_at),
        "approval": result.get("approval"),
        "success": result.get("success"),
        "answer": result.get("text"),
        "error": result.get("error"),
    }
