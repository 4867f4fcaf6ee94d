"""From a request for a response to a chat job: everything that can be refused is, here.

A response's history is the chain it follows (``previous_response_id``), or the kept conversation of
a session (``conversation``, ``session_id``), or what was sent. A container is a session: naming one
means to run programs where its last ones left off, not to go on with a conversation.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import ValidationError
from starlette.datastructures import Headers

from backend.api.asking import SESSION_HEADERS, ChatJob, prepare_chat
from backend.api.errors import validation_error
from backend.api.models import read_agent, split_model
from backend.api.responses.container_schemas import AutoContainer
from backend.api.responses.outcome import UNFINISHED
from backend.api.responses.reading import kept_items, messages_of, turns_of
from backend.api.responses.schemas import ResponsesRequest
from backend.api.responses.settling import settled
from backend.api.schemas import ChatRequest
from backend.api.state import Server
from backend.errors import NotFound, RequestError
from backend.store.containers import Container
from backend.store.responses import StoredResponse, new_response_id
from backend.types import Message

_CHAT_FIELDS: Final = {
    "messages": "input",
    "response_format": "text.format",
    "max_completion_tokens": "max_output_tokens",
}


@dataclass(frozen=True, kw_only=True)
class ResponseJob:
    """A request for a response that has passed every check."""

    id: str
    created_at: int
    """Unix time in seconds."""
    request: ResponsesRequest
    chat: ChatJob
    container: Container | None
    """Where its programs run; None where none can."""
    input: list[dict[str, Any]]
    """The request's items, as they are kept."""
    passing_session: str | None
    """Whose files go when the request ends, as its words do: there is no container to keep them."""


async def prepare_response(
    body: ResponsesRequest, headers: Headers, server: Server, *, owner: str
) -> ResponseJob:
    """Check a request and gather what it refers to; nothing has been run afterwards.

    Raises:
        RequestError: a field cannot be used as it is.
        NotFound: a response, container, file or session is not there.
        ModelNotFound, ModelUnavailable: the model cannot be asked.
    """
    body.refuse_unsupported()
    previous = await _previous(body, server, owner)
    container = await _named_container(body, server, owner)
    session_id = container.session_id if container else previous.session_id if previous else None
    if container is None and session_id is not None:
        container = await server.containers.of_session(session_id, owner=owner)
    memory_mb = _memory_mb(body, container, server)
    at_hand = (
        await server.container_files.inputs(container.session_id, owner=owner) if container else []
    )
    chat = await _chat(body, headers, server, owner, session_id, previous, at_hand)
    if chat.ask.agent_type != "chat" and chat.ask.session_id is not None:
        container = await _filled_container(body, container, chat, server)
    is_stored = body.store is not False
    new = chat.session if chat.session is not None and chat.session.source == "new" else None
    chat = replace(
        chat,
        ask=replace(chat.ask, memory_mb=memory_mb, is_recorded=is_stored),
        session=chat.session if is_stored else None,
    )
    return ResponseJob(
        id=new_response_id(),
        created_at=int(time.time()),
        request=body,
        chat=chat,
        container=container,
        input=kept_items(body.input),
        passing_session=new.id if new and not is_stored and container is None else None,
    )


async def _previous(body: ResponsesRequest, server: Server, owner: str) -> StoredResponse | None:
    if not body.previous_response_id:
        return None
    previous = await server.responses.get(
        body.previous_response_id, owner=owner, param="previous_response_id"
    )
    status = (await settled(previous, server, owner=owner))["status"]
    if status in UNFINISHED:
        raise RequestError(
            f"The response {previous.id} is still {status}.",
            "Wait until it is completed, or cancel it.",
            param="previous_response_id",
        )
    return previous


async def _named_container(body: ResponsesRequest, server: Server, owner: str) -> Container | None:
    if not isinstance(body.container, str):
        return None
    container = await server.containers.get(body.container, owner=owner, param="tools")
    if container.is_expired:
        raise NotFound(
            f"The container {container.id} has expired: it was not used for "
            f"{container.expires_after_min} minutes.",
            "Make another one with POST /v1/containers, or use {'type': 'auto'}.",
            param="tools",
        )
    session_id = _named_session(body)
    if session_id not in {None, container.session_id}:
        raise RequestError(
            f"The container {container.id} is not that of the session {session_id!r}.",
            "Leave out one of them, or use {'type': 'auto'}.",
            param="tools",
        )
    return container


def _named_session(body: ResponsesRequest) -> str | None:
    named = body.conversation_id or body.session_id
    return named or (body.metadata or {}).get("session_id") or None


def _memory_mb(body: ResponsesRequest, container: Container | None, server: Server) -> int | None:
    asked = body.container.memory_limit if isinstance(body.container, AutoContainer) else None
    limit = asked or (container.memory_limit if container else None)
    return memory_mb_of(limit, server, param="tools.0.container.memory_limit")


def memory_mb_of(limit: str | None, server: Server, *, param: str) -> int | None:
    """What ``1g`` ... is in mebibytes; None for what the settings say.

    Raises:
        RequestError: programs may not have so much here.
    """
    if limit is None:
        return None
    memory_mb = int(limit.removesuffix("g")) * 1024
    most = server.settings.max_memory_mb
    if memory_mb > most:
        raise RequestError(
            f"A memory limit of {limit!r} is more than the {most} MiB that programs may use here.",
            "Leave it out, or raise PYTHON_CODE_MAX_MEMORY.",
            param=param,
        )
    return memory_mb


async def _chat(
    body: ResponsesRequest,
    headers: Headers,
    server: Server,
    owner: str,
    session_id: str | None,
    previous: StoredResponse | None,
    at_hand: Sequence[str],
) -> ChatJob:
    before: tuple[Message, ...] | None = None
    if previous is not None:
        before = turns_of(await server.responses.chain(previous.id, owner=owner))
    elif session_id is not None and _named_session(body) is None:
        before = ()
    if session_id is not None and _named_session(body) is None:
        headers = _for_session(headers, session_id)
    try:
        request = ChatRequest.model_validate(_chat_fields(body, headers))
        return await prepare_chat(
            request, headers, server, owner=owner, before=before, at_hand=at_hand
        )
    except ValidationError as error:
        raise _renamed(validation_error(error), body) from None
    except RequestError as error:
        raise _renamed(error, body) from None


def _chat_fields(body: ResponsesRequest, headers: Headers) -> dict[str, Any]:
    auto = body.container if isinstance(body.container, AutoContainer) else None
    file_ids = [*(body.file_ids or ()), *((auto.file_ids or ()) if auto else ())]
    return {
        "model": body.model,
        "messages": messages_of(body.input, body.instructions),
        "stream": body.stream,
        "temperature": body.temperature,
        "top_p": body.top_p,
        "max_completion_tokens": body.max_output_tokens,
        "metadata": body.metadata,
        "user": body.user,
        "response_format": _response_format(body),
        "agent_type": _agent_type(body, headers),
        "session_id": body.conversation_id or body.session_id,
        "file_ids": list(dict.fromkeys(file_ids)) or None,
        "approve": body.approve,
    }


def _agent_type(body: ResponsesRequest, headers: Headers) -> str | None:
    """The agent that is named, else the one that the tools ask for."""
    explicit = (
        read_agent(body.agent_type, "agent_type")
        or read_agent((body.metadata or {}).get("agent_type"), "metadata.agent_type")
        or read_agent(headers.get("x-agent-type"), "X-Agent-Type")
        or split_model(body.model)[1]
    )
    if explicit not in {None, "auto"}:
        return explicit
    if body.choice == "required":
        return "react"
    if body.choice == "none":
        return "chat"
    return explicit or ("auto" if body.tool else "chat")


def _response_format(body: ResponsesRequest) -> dict[str, Any] | None:
    form = body.text.format if body.text else None
    if form is None or form.get("type") == "text":
        return None
    if form.get("type") == "json_schema":
        return {"type": "json_schema", "json_schema": {**form, "type": None}}
    return form


def _for_session(headers: Headers, session_id: str) -> Headers:
    others = {name.lower().encode() for name in SESSION_HEADERS}
    kept = [pair for pair in headers.raw if pair[0] not in others]
    return Headers(raw=[*kept, (b"x-session-id", session_id.encode("latin-1"))])


def _renamed(error: RequestError, body: ResponsesRequest) -> RequestError:
    """The error with the field's name in this API."""
    head = (error.param or "").partition(".")[0]
    if head in _CHAT_FIELDS:
        error.param = _CHAT_FIELDS[head]
    elif head == "session_id" and body.conversation_id:
        error.param = "conversation"
    return error


async def _filled_container(
    body: ResponsesRequest, container: Container | None, chat: ChatJob, server: Server
) -> Container:
    """The session's container, made where there is none, with the request's files in it."""
    session_id, owner = chat.ask.session_id, chat.owner
    assert session_id is not None
    if container is None or container.session_id != session_id:
        container = await server.containers.of_session(session_id, owner=owner)
    if container is None:
        auto = body.container if isinstance(body.container, AutoContainer) else None
        container = await server.containers.create(
            owner=owner,
            name="auto",
            session_id=session_id,
            memory_limit=auto.memory_limit if auto else None,
            expires_after_min=max(1, int(server.settings.session_idle_s // 60)),
        )
    else:
        await server.containers.touch(container.id, owner=owner)
    files = [await server.files.get(each, owner=owner) for each in chat.file_ids]
    await server.container_files.copy(files, session_id, owner=owner)
    return container
