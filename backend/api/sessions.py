"""``/v1/sessions``: the owner's conversations, and what programs left behind in them."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from backend.api.attachments import kept_files
from backend.api.background import Background, BackgroundDep
from backend.api.body import read_json
from backend.api.files import file_object
from backend.api.forgetting import forget
from backend.api.lists import list_body
from backend.api.operations import answers, takes
from backend.api.plain import plain
from backend.api.schemas import SessionChange
from backend.api.shapes.files import FileList
from backend.api.shapes.sessions import (
    MessageList,
    SessionDeleted,
    SessionList,
    SessionObject,
    SessionUndone,
)
from backend.api.state import OwnerDep, Server, ServerDep, base_url_of
from backend.errors import Conflict, NotFound
from backend.store.database import Order
from backend.store.session_records import StoredMessage, StoredSession
from backend.store.session_removal import remove_session, unfinished_run_ids
from backend.store.sessions import check_session_id, new_session_id
from backend.tools.coder.notebook import (
    SaidTurn,
    build_conversation_notebook,
    notebook_text,
)

router = APIRouter(prefix="/v1/sessions", tags=["sessions"])

MAX_PAGE = 1000
NOTEBOOK_TYPE = "application/x-ipynb+json"
_NOTEBOOK: dict[str, Any] = {NOTEBOOK_TYPE: {"schema": {"type": "object"}}}
_MAX_BODY = 2**16
_ROUNDS = 3
"""How often a conversation is gone through: what was about to begin may come in between."""


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
    return list_body([_session(each) for each in page.sessions], has_more=page.has_more)


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
    base_url = base_url_of(request, server.settings)
    return list_body(
        [_message(each, server, base_url, owner) for each in page.messages], has_more=page.has_more
    )


@router.delete(
    "/{session_id}",
    summary="Delete a conversation",
    responses=answers(SessionDeleted, 404),
    response_model=None,
)
async def delete_session(
    session_id: str, server: ServerDep, owner: OwnerDep, background: BackgroundDep
) -> dict[str, Any]:
    """Delete a conversation with all that it brought.

    That is messages, runs, variables, responses, and the files that its programs wrote or that came
    inside its messages. What is under way in it is ended first. Files that were uploaded by themselves stay.
    """
    await _remove(check_session_id(session_id), server, background, owner)
    return {"id": session_id, "object": "session", "deleted": True}


@router.get(
    "/{session_id}",
    summary="Describe a conversation",
    responses=answers(SessionObject, 404),
    response_model=None,
)
async def read_session(session_id: str, server: ServerDep, owner: OwnerDep) -> dict[str, Any]:
    """One conversation, without its messages."""
    return _session(await server.sessions.get(check_session_id(session_id), owner=owner))


@router.patch(
    "/{session_id}",
    summary="Rename a conversation",
    responses=answers(SessionObject, 400, 404, 413),
    response_model=None,
    openapi_extra=takes(SessionChange),
)
async def rename_session(
    session_id: str, request: Request, server: ServerDep, owner: OwnerDep
) -> dict[str, Any]:
    """Give it another title."""
    body = await read_json(request, SessionChange, max_bytes=_MAX_BODY)
    renamed = await server.sessions.rename(
        check_session_id(session_id), plain(body.title), owner=owner
    )
    return _session(renamed)


@router.get(
    "/{session_id}/files",
    summary="List a conversation's files",
    responses=answers(FileList, 404),
    response_model=None,
)
async def list_session_files(session_id: str, server: ServerDep, owner: OwnerDep) -> dict[str, Any]:
    """What came with its questions and what its programs wrote, oldest first, as far as it is there."""
    await server.sessions.check(check_session_id(session_id), owner=owner)
    named = await server.sessions.file_ids(session_id, owner=owner)
    made = [each["id"] for each in await server.sessions.artifacts(session_id, owner=owner)]
    files = await kept_files(list(dict.fromkeys([*named, *made])), server, owner)
    files.sort(key=lambda file: file.created_at)
    return list_body([file_object(file) for file in files], has_more=False)


@router.get(
    "/{session_id}/notebook",
    summary="Download a conversation as a notebook",
    responses=answers(None, 404, content=_NOTEBOOK),
    response_model=None,
)
async def download_notebook(session_id: str, server: ServerDep, owner: OwnerDep) -> Response:
    """A Jupyter notebook of what was said, programs as cells with what they printed and drew."""
    found = await server.sessions.get(check_session_id(session_id), owner=owner)
    turns: list[SaidTurn] = []
    after: str | None = None
    while True:
        part = await server.sessions.messages(session_id, owner=owner, after=after, limit=MAX_PAGE)
        turns += [await _turn(message, server, owner) for message in part.messages]
        if not part.has_more:
            break
        after = part.messages[-1].id
    notebook = await build_conversation_notebook(turns, server.assistant.blobs, title=found.title)
    return Response(
        notebook_text(notebook),
        media_type=NOTEBOOK_TYPE,
        headers={"Content-Disposition": _saved_as(f"{session_id}.ipynb")},
    )


def _saved_as(name: str) -> str:
    """Plainly where that is possible: not every client, such as curl, reads the other form."""
    quoted = quote(name)
    is_plain = quoted == name
    return (
        f'attachment; filename="{name}"' if is_plain else f"attachment; filename*=UTF-8''{quoted}"
    )


async def _remove(session_id: str, server: Server, background: Background, owner: str) -> None:
    """End what is under way in a conversation, then delete what there is of it.

    Raises:
        NotFound: the owner has nothing of the kind.
    """
    count, why = 0, f"The session {session_id!r} was deleted, and what ran in it was ended."
    for _ in range(_ROUNDS):
        for run_id in await unfinished_run_ids(server.database, session_id, owner=owner):
            with suppress(Conflict, NotFound):  # it has ended by itself
                await background.cancel(run_id, owner=owner, why=why)
        async with server.live_sessions.ended(session_id, owner=owner):
            gone = await remove_session(server.database, session_id, owner=owner)
        await forget(gone, server)
        count += gone.count
        if gone.count == 0:
            break
    if count == 0:
        await server.sessions.check(session_id, owner=owner)


async def _turn(message: StoredMessage, server: Server, owner: str) -> SaidTurn:
    """A message with its programs, whose files are named by their bytes."""
    uses: list[dict[str, Any]] = []
    for use in message.details.get("python_coder_results", ()):
        made = []
        for artifact in use.get("artifacts") or ():
            known = await kept_files([artifact["id"]], server, owner) if artifact.get("id") else []
            made.append(artifact | {"sha256": known[0].sha256 if known else ""})
        uses.append(use | {"artifacts": made})
    return SaidTurn(role=message.role, text=message.content, uses=uses)


def _session(session: StoredSession) -> dict[str, Any]:
    return {
        "id": session.id,
        "object": "session",
        "title": session.title,
        "created_at": int(session.created_at),
        "updated_at": int(session.updated_at),
        "message_count": session.message_count,
    }


def _message(message: StoredMessage, server: Server, base_url: str, owner: str) -> dict[str, Any]:
    metadata = dict(message.details)
    if "artifacts" in metadata:
        metadata["artifacts"] = [
            artifact | {"url": server.links.url(base_url, artifact["id"], owner=owner)}
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
