"""``/v1/sessions``: the owner's conversations, and what programs left behind in them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from backend.api.operations import answers
from backend.api.shapes.sessions import (
    MessageList,
    SessionDeleted,
    SessionList,
    SessionObject,
    SessionUndone,
)
from backend.api.state import OwnerDep, Server, ServerDep, base_url
from backend.store.database import Order
from backend.store.sessions import (
    StoredMessage,
    StoredSession,
    check_session_id,
    new_session_id,
)

router = APIRouter(prefix="/v1/sessions", tags=["sessions"])

MAX_PAGE = 1000


@router.get(
    "",
    summary="List conversations",
    responses=answers(SessionList, 404),
    response_model=None,
)
async def list_sessions(
    server: ServerDep,
    owner: OwnerDep,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    order: Order = "desc",
) -> dict[str, Any]:
    """The owner's conversations, the one that began last first."""
    page = await server.sessions.list(owner=owner, after=after, limit=limit, order=order)
    return _list([_session(each) for each in page.sessions], has_more=page.has_more)


@router.post(
    "",
    summary="Begin a session",
    responses=answers(SessionObject),
    response_model=None,
)
async def create_session(server: ServerDep, owner: OwnerDep) -> dict[str, Any]:
    """An empty conversation, whose id questions and programs can name; the body is not read."""
    session_id = new_session_id()
    await server.sessions.append(session_id, (), owner=owner)
    began = await server.sessions.check(session_id, owner=owner)
    return _session(
        StoredSession(id=session_id, title="", created_at=began, updated_at=began, message_count=0)
    )


@router.post(
    "/{session_id}/undo",
    summary="Take a session's last program back",
    responses=answers(SessionUndone, 404),
    response_model=None,
)
async def undo_program(session_id: str, server: ServerDep, owner: OwnerDep) -> dict[str, Any]:
    """Variables and files as before the last program; one step, not a step that was taken back."""
    undone = await server.live_sessions.undo(check_session_id(session_id), owner=owner)
    return {"id": session_id, "object": "session", "undone": undone}


@router.get(
    "/{session_id}/messages",
    summary="List a conversation's messages",
    responses=answers(MessageList, 404),
    response_model=None,
)
async def list_messages(
    session_id: str,
    request: Request,
    server: ServerDep,
    owner: OwnerDep,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    order: Order = "asc",
) -> dict[str, Any]:
    """What was asked and answered, oldest first, with what is known of each answer."""
    page = await server.sessions.messages(
        check_session_id(session_id), owner=owner, after=after, limit=limit, order=order
    )
    links = base_url(request, server.settings)
    return _list(
        [_message(each, server, links, owner) for each in page.messages], has_more=page.has_more
    )


@router.delete(
    "/{session_id}",
    summary="Delete a conversation",
    responses=answers(SessionDeleted, 404),
    response_model=None,
)
async def delete_session(session_id: str, server: ServerDep, owner: OwnerDep) -> dict[str, Any]:
    """Forget a conversation, its messages and variables; files stay until they are deleted.

    A program that runs in it is ended.
    """
    await server.sessions.delete(check_session_id(session_id), owner=owner)
    await server.live_sessions.end(session_id, owner=owner)
    return {"id": session_id, "object": "session", "deleted": True}


def _list(data: list[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": has_more,
    }


def _session(session: StoredSession) -> dict[str, Any]:
    return {
        "id": session.id,
        "object": "session",
        "title": session.title,
        "created_at": int(session.created_at),
        "updated_at": int(session.updated_at),
        "message_count": session.message_count,
    }


def _message(message: StoredMessage, server: Server, links: str, owner: str) -> dict[str, Any]:
    metadata = dict(message.details)
    if "artifacts" in metadata:
        metadata["artifacts"] = [
            artifact | {"url": server.links.url(links, artifact["id"], owner=owner)}
            for artifact in metadata["artifacts"]
        ]
    return {
        "id": message.id,
        "object": "session.message",
        "role": message.role,
        "content": message.content,
        "created_at": int(message.created_at),
        "metadata": metadata,
    }
