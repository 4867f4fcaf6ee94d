"""``/v1/runs``: requests in the background, and what was asked; see also ``run_decisions.py``."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response

from backend.api.asking import prepare_chat
from backend.api.background import BackgroundDep
from backend.api.body import max_json_bytes, read_json
from backend.api.forgetting import forget
from backend.api.lists import list_body
from backend.api.operations import answers, takes
from backend.api.queueing import open_conversation, put_into_queue, require_queue_room
from backend.api.run_bodies import STATES, accepted, run_body, summary_body
from backend.api.run_jobs import digest_of, queued_spec
from backend.api.run_stream import RunEventStream, event_body
from backend.api.schemas import ChatRequest
from backend.api.shapes.runs import (
    RunDeleted,
    RunEventList,
    RunEventObject,
    RunList,
    RunObject,
    RunState,
)
from backend.api.state import OwnerDep, Server, ServerDep, base_url_of
from backend.errors import Busy, Conflict, NotFound, RequestError
from backend.store.database import Order, new_id
from backend.store.run_records import OVER, Run
from backend.store.sessions import check_session_id

router = APIRouter(prefix="/v1/runs", tags=["runs"])

MAX_PAGE = 1000
_MAX_KEY = 255
"""Characters of an Idempotency-Key."""


@router.post(
    "",
    summary="Ask in the background",
    status_code=202,
    responses=answers(RunObject, 400, 404, 409, 413, status=202, meaning="It is in the queue."),
    response_model=None,
    openapi_extra=takes(ChatRequest),
)
async def create_run(
    request: Request,
    server: ServerDep,
    owner: OwnerDep,
    background: BackgroundDep,
    idempotency_key: Annotated[str | None, Header(max_length=_MAX_KEY)] = None,
) -> Response:
    """A chat request that is worked on whether or not anybody waits for it, and over restarts.

    ``stream`` means nothing here. With an ``Idempotency-Key``, the same request sent again is the
    same run. Look at the run until it is over, or follow its events; it is kept for
    ``PYTHON_CODER_KEEP_RUNS`` days.
    """
    body = await read_json(request, ChatRequest, max_bytes=max_json_bytes(server.settings))
    digest = digest_of(body)
    run_id = new_id("run") if idempotency_key is None else _id_of(idempotency_key, owner)
    if idempotency_key is not None and (known := await _find(run_id, server, owner)) is not None:
        return accepted(_same(known, digest))
    await require_queue_room(server, owner)
    job = await prepare_chat(body, request.headers, server, owner=owner)
    job = await open_conversation(job, server)
    spec = queued_spec(job, base_url=base_url_of(request, server.settings), digest=digest)
    run, is_new = await put_into_queue(run_id, job, spec, server)
    if not is_new:  # the same was sent twice at once
        if job.session is not None and job.session.source == "new":
            await server.sessions.delete(job.session.id, owner=owner)
        run = _same(run, digest)
    background.wake()
    return accepted(run)


@router.get("", summary="List runs", responses=answers(RunList, 404), response_model=None)
async def list_runs(
    server: ServerDep,
    owner: OwnerDep,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    order: Order = "desc",
    status: RunState | None = None,
    session_id: str | None = None,
) -> dict[str, Any]:
    """The owner's runs, newest first: those in the background, and what chats ask of agents."""
    runs = server.recorder.runs
    if status in {None, "running", "failed"}:
        await runs.interrupted.mark(owner=owner)
    page = await runs.page(
        owner=owner,
        after=after,
        limit=limit,
        order=order,
        status=None if status is None else STATES[status],
        interrupted={"queued": True, "failed": False}.get(status or ""),
        session_id=None if session_id is None else check_session_id(session_id),
    )
    return list_body([summary_body(run) for run in page.runs], has_more=page.has_more)


@router.get(
    "/{run_id}",
    summary="Read how a request stands",
    responses=answers(RunObject, 404),
    response_model=None,
)
async def read_run(run_id: str, server: ServerDep, owner: OwnerDep) -> dict[str, Any]:
    """A request: its state, what came of it, and the program that waits for approval."""
    runs = server.recorder.runs
    run = await runs.get(run_id, owner=owner)
    if run.status == "running" and await runs.interrupted.mark(owner=owner):
        run = await runs.get(run_id, owner=owner)
    return run_body(run)


@router.delete(
    "/{run_id}", summary="Delete a run", responses=answers(RunDeleted, 404), response_model=None
)
async def delete_run(
    run_id: str, server: ServerDep, owner: OwnerDep, background: BackgroundDep
) -> dict[str, Any]:
    """Forget a run with its events; one that is under way is ended first.

    Its answer stays in its conversation, and files that it wrote stay until they are deleted.
    """
    recorder = server.recorder
    run = await recorder.runs.get(run_id, owner=owner)
    if run.status not in OVER:
        try:
            run = await background.cancel(run_id, owner=owner)
        except Conflict:  # it ended by itself meanwhile
            run = await recorder.runs.get(run_id, owner=owner)
    if run.status not in OVER:
        raise Busy(f"The run {run_id} has not ended yet.", "Try again in a few seconds.")
    await forget(await recorder.runs.delete(run_id, owner=owner), server)
    background.news.tell(run_id)
    return {"id": run_id, "object": "run", "deleted": True}


@router.get(
    "/{run_id}/events",
    summary="Follow a run in the background",
    responses=answers(RunEventList, 400, 404, stream=RunEventObject),
    response_model=None,
)
async def follow_run(
    run_id: str,
    request: Request,
    server: ServerDep,
    owner: OwnerDep,
    background: BackgroundDep,
    after: Annotated[int | None, Query(ge=0, le=2**31 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 500,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """What happened in a run, then what happens, until it is over or waits for an approval.

    It begins after the event ``after``, or after the one that the header ``Last-Event-ID`` names.
    With ``Accept: application/json`` those that have happened, at most ``limit``.
    """
    runs = server.recorder.runs
    run = await runs.get(run_id, owner=owner)
    if not run.background:
        raise RequestError(
            f"The run {run_id} was no run in the background: its events went to whoever asked.",
            f"GET /v1/runs/{run_id} tells how it stands.",
            param="run_id",
        )
    start = _number(last_event_id) if after is None else after
    if "application/json" in request.headers.get("accept", ""):
        found = await runs.events.read(run_id, owner=owner, after=start, limit=limit + 1)
        data = [event_body(event, run_id) for event in found[:limit]]
        return JSONResponse(list_body(data, has_more=len(found) > limit))
    return RunEventStream(
        run_id,
        owner=owner,
        after=start,
        runs=runs,
        background=background,
        keep_alive_s=server.settings.stream_keep_alive_s,
    )


async def _find(run_id: str, server: Server, owner: str) -> Run | None:
    try:
        return await server.recorder.runs.get(run_id, owner=owner)
    except NotFound:
        return None


def _id_of(key: str, owner: str) -> str:
    if not key.strip():
        raise RequestError("The Idempotency-Key is empty.", "Leave it out, or send a new UUID.")
    digest = hashlib.sha256(f"{owner}\0{key}".encode("utf-8", "replace")).hexdigest()
    return f"run-{digest[:32]}"


def _same(run: Run, digest: str) -> Run:
    if run.spec.get("digest") != digest:
        raise RequestError(
            f"The Idempotency-Key belongs to another request, the run {run.id}.",
            "Send a new one with each request that is not a repetition.",
            param="Idempotency-Key",
        )
    return run


def _number(event_id: str | None) -> int:
    number = (event_id or "").strip()
    return int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 0
