"""``/v1/responses``: questions and answers as OpenAI's newer API has them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from backend.api.background import BackgroundDep
from backend.api.body import max_json_bytes, read_json
from backend.api.lists import list_body
from backend.api.operations import answers, takes
from backend.api.plain import plain_response
from backend.api.presence import while_connected
from backend.api.queueing import require_queue_room
from backend.api.responses.answering import ResponseStream, answer_whole
from backend.api.responses.background import end_response, queue_response
from backend.api.responses.linking import with_fresh_links
from backend.api.responses.preparing import prepare_response
from backend.api.responses.replaying import ReplayedStream
from backend.api.responses.schemas import WITH_OUTPUTS, ResponsesRequest
from backend.api.responses.settling import settled
from backend.api.responses.telling import shown
from backend.api.shapes.responses import (
    InputItemList,
    ResponseDeleted,
    ResponseEvent,
    ResponseObject,
)
from backend.api.state import OwnerDep, ServerDep, base_url_of
from backend.errors import NotFound, RequestError

router = APIRouter(prefix="/v1/responses", tags=["responses"])

_Include = Annotated[list[str], Query(alias="include[]", default_factory=list, max_length=20)]


@router.post(
    "",
    summary="Answer a question, with code that runs in a container where code helps",
    responses=answers(ResponseObject, 400, 404, 409, 413, 424, 499, 502, stream=ResponseEvent),
    response_model=None,
    openapi_extra=takes(ResponsesRequest),
)
async def create_response(
    request: Request, server: ServerDep, owner: OwnerDep, background: BackgroundDep
) -> Response:
    """Check the request, then answer it in one piece, as a stream or in the background."""
    limit = max_json_bytes(server.settings)
    body = await read_json(request, ResponsesRequest, max_bytes=limit)
    if body.background:
        await require_queue_room(server, owner)
    job = await prepare_response(body, request.headers, server, owner=owner)
    base_url = base_url_of(request, server.settings)
    if body.background:
        return plain_response(await queue_response(job, server, background, base_url))
    if body.stream:
        return ResponseStream(job, server, base_url=base_url)
    return await while_connected(request.receive, answer_whole(job, server, base_url))


@router.get(
    "/{response_id}",
    summary="Read a response",
    responses=answers(ResponseObject, 404, stream=ResponseEvent),
    response_model=None,
)
async def read_response(
    response_id: str,
    request: Request,
    server: ServerDep,
    owner: OwnerDep,
    background: BackgroundDep,
    include: _Include,
    stream: bool = False,
    starting_after: Annotated[int | None, Query(ge=0)] = None,
) -> Response:
    """A response that was stored; ``stream=true`` gives its events again, when it is over."""
    stored = await server.responses.get(response_id, owner=owner)
    asked = {*include, *request.query_params.getlist("include")}
    with_outputs = WITH_OUTPUTS in asked
    body = await settled(stored, server, owner=owner)
    base_url = base_url_of(request, server.settings)
    if stream:
        return ReplayedStream(
            stored,
            server,
            background,
            owner=owner,
            after=starting_after,
            with_outputs=with_outputs,
            base_url=base_url,
        )
    body = with_fresh_links(body, server, owner=owner, base_url=base_url)
    return plain_response(shown(body, with_outputs=with_outputs))


@router.delete(
    "/{response_id}",
    summary="Delete a response",
    responses=answers(ResponseDeleted, 404),
    response_model=None,
)
async def delete_response(
    response_id: str, server: ServerDep, owner: OwnerDep, background: BackgroundDep
) -> dict[str, Any]:
    """Forget a response and what it was asked; its container and session stay.

    One in the background that is not over is ended.
    """
    stored = await server.responses.get(response_id, owner=owner)
    await end_response(stored, server, background, owner=owner)
    await server.responses.delete(response_id, owner=owner)
    return {"id": response_id, "object": "response", "deleted": True}


@router.post(
    "/{response_id}/cancel",
    summary="End a response in the background",
    responses=answers(ResponseObject, 400, 404),
    response_model=None,
)
async def cancel_response(
    response_id: str, server: ServerDep, owner: OwnerDep, background: BackgroundDep
) -> dict[str, Any]:
    """End the work on it. Of others, who ends the request ends the work. No body is read."""
    stored = await server.responses.get(response_id, owner=owner)
    if not stored.body["background"]:
        raise RequestError(
            f"The response {stored.id} is not in the background.",
            "Only one made with background=true can be cancelled.",
            param="response_id",
        )
    body = await end_response(stored, server, background, owner=owner)
    return shown(body, with_outputs=False)


@router.get(
    "/{response_id}/input_items",
    summary="List the items that a response was asked with",
    responses=answers(InputItemList, 404),
    response_model=None,
)
async def list_input_items(
    response_id: str,
    server: ServerDep,
    owner: OwnerDep,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
) -> dict[str, Any]:
    """The request's own items, the last one first; those of responses before it are theirs."""
    stored = await server.responses.get(response_id, owner=owner)
    items = stored.input if order == "asc" else list(reversed(stored.input))
    if after is not None:
        places = [place for place, item in enumerate(items) if item["id"] == after]
        if not places:
            raise NotFound(
                f"There is no item {after[:80]!r}.",
                "Send the 'last_id' of the page before.",
                param="after",
            )
        items = items[places[0] + 1 :]
    return list_body(items[:limit], has_more=len(items) > limit)
