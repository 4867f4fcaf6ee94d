"""``POST /v1/chat/completions``, as OpenAI's clients call it."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import Response

from backend.api.answering import Progress, answer_of_cut_chat, complete, completion_body, new_head
from backend.api.asking import ChatJob, prepare_chat
from backend.api.attachments import forget_attached
from backend.api.body import max_json_bytes, read_json
from backend.api.errors import error_response, log_unexpected, stopped_response
from backend.api.operations import answers, takes
from backend.api.plain import plain_response
from backend.api.presence import while_connected
from backend.api.schemas import ChatRequest
from backend.api.shapes.chat import ChatCompletion, ChatCompletionChunk
from backend.api.state import OwnerDep, Server, ServerDep, base_url_of
from backend.api.streaming import ChatStream
from backend.errors import PythonCoderError

router = APIRouter(tags=["chat"])


@router.post(
    "/v1/chat/completions",
    summary="Answer the last message, with code that runs in the sandbox where code helps",
    responses=answers(
        ChatCompletion, 400, 404, 409, 413, 424, 499, 502, stream=ChatCompletionChunk
    ),
    openapi_extra=takes(ChatRequest),
)
async def chat_completions(request: Request, server: ServerDep, owner: OwnerDep) -> Response:
    """Check the request, then answer it in one piece or as a stream."""
    limit = max_json_bytes(server.settings)
    body = await read_json(request, ChatRequest, max_bytes=limit)
    job = await prepare_chat(body, request.headers, server, owner=owner)
    base_url = base_url_of(request, server.settings)
    if body.stream:
        return ChatStream(
            job,
            server,
            base_url=base_url,
            include_usage=body.includes_usage,
            shows_status=any(name.startswith("x-openwebui-") for name in request.headers),
        )
    return await while_connected(request.receive, answer_job(job, server, base_url))


async def answer_job(job: ChatJob, server: Server, base_url: str) -> Response:
    """The answer to a request in one piece."""
    progress = Progress()
    head = new_head(job.model)
    try:
        try:
            async with server.turns.take(job.owner, job.lane, session_id=job.ask.session_id):
                answer = await server.assistant.run(job.ask, progress)
            done = await complete(job, answer, server, base_url=base_url, finish="stop")
        except PythonCoderError as error:
            cut = answer_of_cut_chat(job, error, progress)
            done = await complete(job, cut, server, base_url=base_url, finish="length")
    except Exception as error:
        if not progress.has_run:
            raise
        log_unexpected(error)
        return error_response(error, after_run=True)
    except asyncio.CancelledError:
        if not (progress.has_run and server.turns.is_closed):
            raise
        return stopped_response(after_run=True)
    finally:
        if job.ask.files:
            await forget_attached(job.session, server, job.owner)
    return plain_response(completion_body(head, job, done))
