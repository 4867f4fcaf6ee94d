"""``/v1/runs``: requests in the background, what was asked, and the user's word about programs."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response

from backend.api.asking import ChatJob, decided_job, prepare_chat
from backend.api.background import Background, BackgroundDep
from backend.api.body import max_json_bytes, read_json
from backend.api.chat import answer_job
from backend.api.forgetting import forget
from backend.api.lists import list_body
from backend.api.operations import answers, takes
from backend.api.presence import while_connected
from backend.api.run_bodies import STATES, run_body, summary_body
from backend.api.run_jobs import digest_of, spec_of
from backend.api.run_stream import RunEventStream, event_body
from backend.api.schemas import ChatRequest, DecisionRequest
from backend.api.shapes.chat import ChatCompletion
from backend.api.shapes.runs import (
    RunDeleted,
    RunEventList,
    RunEventObject,
    RunList,
    RunObject,
    RunState,
)
from backend.api.state import OwnerDep, Server, ServerDep, base_url
from backend.core.resuming import ask_of
from backend.errors import Busy, NotFound, RequestError
from backend.store.database import Order, new_id
from backend.store.run_records import OVER, Run
from backend.store.sessions import Turn, check_session_id
from backend.tools.approval import Decision, Verdict
from backend.tools.coder.recording import Recorder

router = APIRouter(prefix="/v1/runs", tags=["runs"])

MAX_PAGE = 1000
_MAX_BODY = 2**21
_MAX_KEY = 255


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
    runs, digest = _recorder(server).runs, digest_of(body)
    run_id = new_id("run") if idempotency_key is None else _id_of(idempotency_key, owner)
    if idempotency_key is not None and (known := await _find(run_id, server, owner)) is not None:
        return _accepted(_same(known, digest))
    await require_queue_room(server, owner)
    job = await prepare_chat(body, request.headers, server, owner=owner)
    spec = spec_of(job, links=base_url(request, server.settings), digest=digest)
    if job.ask.run_id is not None:  # a word about a program: the run that waits goes on
        run = await runs.queued.adopt_attended(job.ask.run_id, spec, owner=owner)
    else:
        spec = await with_session(job, spec, server)
        run, is_new = await runs.queued.add(
            run_id,
            owner=owner,
            request=job.ask.question,
            model=job.model,
            spec=spec,
            session_id=job.ask.session_id,
        )
        if not is_new:  # the same was sent twice at once
            if job.session is not None and job.session.source == "new":
                await server.sessions.delete(job.session.id, owner=owner)
            run = _same(run, digest)
    background.wake()
    return _accepted(run)


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
    runs = _recorder(server).runs
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
    runs = _recorder(server).runs
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
    recorder = _recorder(server)
    run = await recorder.runs.get(run_id, owner=owner)
    if run.status not in OVER:
        run = await background.cancel(run_id, owner=owner)
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
    runs = _recorder(server).runs
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
    runs = _recorder(server).runs
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
        return _accepted(run)
    job = await decided_job(run, decision, server, owner=owner, said=said)
    links = base_url(request, server.settings)
    return await while_connected(request.receive, answer_job(job, server, links))


async def require_queue_room(server: Server, owner: str) -> None:
    """Refuse to queue more than an owner may have waiting.

    Raises:
        Busy: as many wait already.
    """
    limit = server.settings.max_queue
    if await _recorder(server).runs.queued.count(owner=owner) >= limit:
        raise Busy(
            f"{limit} of your runs wait already.",
            "Wait until some are done; PYTHON_CODER_MAX_QUEUE allows more.",
        )


async def with_session(job: ChatJob, spec: dict[str, Any], server: Server) -> dict[str, Any]:
    """Open the conversation now, so that it can be seen and deleted before there is an answer."""
    session = job.session
    if session is None or session.is_kept:
        return spec
    turns = [
        Turn(role="assistant" if each.role == "assistant" else "user", content=each.content)
        for each in job.sent
    ]
    title = next((turn.content for turn in turns if turn.role == "user"), job.ask.question)
    await server.sessions.append(session.id, turns, owner=job.owner, title=title)
    spec["job"]["session"]["is_kept"] = True
    return spec


async def _find(run_id: str, server: Server, owner: str) -> Run | None:
    try:
        return await _recorder(server).runs.get(run_id, owner=owner)
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


def _accepted(run: Run) -> JSONResponse:
    return JSONResponse(run_body(run), 202, {"Location": f"/v1/runs/{run.id}"})


def _recorder(server: Server) -> Recorder:
    if server.assistant.recorder is None:
        raise NotFound("Nothing is recorded here.", "Start the server with a data folder.")
    return server.assistant.recorder
