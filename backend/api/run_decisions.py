"""The user's word about a run: its program may run or not, or the whole of it is to end."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from backend.api.asking import decided_job
from backend.api.background import Background, BackgroundDep
from backend.api.body import read_json
from backend.api.chat import answer_job
from backend.api.operations import answers, takes
from backend.api.presence import while_connected
from backend.api.run_bodies import accepted, run_body
from backend.api.schemas import DecisionRequest
from backend.api.shapes.chat import ChatCompletion
from backend.api.shapes.runs import RunObject
from backend.api.state import OwnerDep, Server, ServerDep, base_url_of
from backend.core.resuming import ask_of
from backend.tools.approval import Decision, Verdict

router = APIRouter(prefix="/v1/runs", tags=["runs"])

_MAX_BODY = 2**21
"""Bytes of a decision: a program may be in it."""


@router.post(
    "/{run_id}/approve",
    summary="Let the program run that a request waits with",
    responses=answers(ChatCompletion, 400, 404, 409, 413, 424, 499, 502)
    | answers(RunObject, status=202, meaning="It goes on in the background."),
    response_model=None,
    openapi_extra=takes(DecisionRequest, required=False),
)
async def approve_run(
    run_id: str, request: Request, server: ServerDep, owner: OwnerDep, background: BackgroundDep
) -> Response:
    """Go on with the request, with another program if ``code`` has one.

    One in the background goes on there; else this answers as the chat does.
    """
    body = await _decision(request)
    verdict: Verdict = "edit" if body.code else "approve"
    decision = Decision(verdict=verdict, code=body.code or "", note=body.note)
    return await _go_on(run_id, decision, request, server, owner, background)


@router.post(
    "/{run_id}/reject",
    summary="End a request without running its program",
    responses=answers(ChatCompletion, 400, 404, 409, 413, 424, 499, 502)
    | answers(RunObject, status=202, meaning="It goes on in the background."),
    response_model=None,
    openapi_extra=takes(DecisionRequest, required=False),
)
async def reject_run(
    run_id: str, request: Request, server: ServerDep, owner: OwnerDep, background: BackgroundDep
) -> Response:
    """End the request with what was found out before; answers as an approval does."""
    body = await _decision(request)
    decision = Decision(verdict="reject", note=body.note)
    return await _go_on(run_id, decision, request, server, owner, background)


@router.post(
    "/{run_id}/cancel",
    summary="End a request that is under way or waits",
    responses=answers(RunObject, 404, 409),
    response_model=None,
)
async def cancel_run(
    run_id: str, server: ServerDep, owner: OwnerDep, background: BackgroundDep
) -> dict[str, Any]:
    """End it with all its processes; whoever waits for its answer gets an error. No body is read.

    Where another server works on it, that takes a second or two; the answer says how it stands.
    """
    return run_body(await background.cancel(run_id, owner=owner))


async def _decision(request: Request) -> DecisionRequest:
    # A body has a length, or comes in chunks.
    is_chunked = "transfer-encoding" in request.headers
    if not is_chunked and not request.headers.get("content-length", "0").strip("0"):
        return DecisionRequest()
    return await read_json(request, DecisionRequest, max_bytes=_MAX_BODY, may_be_empty=True)


async def _go_on(
    run_id: str,
    decision: Decision,
    request: Request,
    server: Server,
    owner: str,
    background: Background,
) -> Response:
    runs = server.recorder.runs
    run = await runs.get(run_id, owner=owner)
    said = (
        decision.note
        or {"approve": "yes", "reject": "no", "edit": "Run this instead."}[decision.verdict]
    )
    if run.background:
        if run.status == "waiting":
            await ask_of(run, owner=owner)  # its files are as they were
        run = await runs.waiting.decide(run_id, decision.as_dict(), owner=owner, said=said)
        background.wake()
        return accepted(run)
    job = await decided_job(run, decision, server, owner=owner, said=said)
    base_url = base_url_of(request, server.settings)
    return await while_connected(request.receive, answer_job(job, server, base_url))
