"""From a chat request to something that can be run: everything that can be refused is, here.

Who wins where a value can be given in several places:

* agent: ``agent_type`` in the body, ``metadata.agent_type``, ``X-Agent-Type``, the model's suffix
  (``qwen3:8b@react``), else ``auto``. A value that names no agent is refused wherever it stands.
* session: ``session_id`` in the body, ``metadata.session_id``; these must exist, and the kept
  conversation is the history. ``X-Session-Id``, ``X-OpenWebUI-Chat-Id``, ``X-Conversation-ID``
  open one when there is none; a front end that sends earlier turns along is right about them (its
  user may have edited one), otherwise the kept ones count. Without any, one begins.

Side requests of chat front ends (titles, tags, follow-ups) are answered by one plain completion, and
nothing is kept of them: they have a header ``X-Task``, are asked of a model ``NAME@task``, or are a
single message that begins with ``### Task:`` and is not streamed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.datastructures import Headers

from backend.api.approvals import SessionUse, find_waiting, read_word
from backend.api.attachments import check_attachments, gather_files
from backend.api.conversation import Conversation, read_conversation
from backend.api.models import find_model, read_agent, split_model
from backend.api.schemas import ChatRequest, TextPart
from backend.api.state import Server
from backend.api.turns import Lane
from backend.core.requests import AnswerForm, Ask
from backend.core.router import route
from backend.errors import NotFound
from backend.store.run_records import Run
from backend.store.sessions import check_session_id, new_session_id
from backend.tools.approval import Given, pending_of
from backend.tools.coder.proof.schema import require_valid
from backend.tools.question import require_question
from backend.types import AgentType, Message

SESSION_HEADERS = ("X-Session-Id", "X-OpenWebUI-Chat-Id", "X-Conversation-ID")
_NO_NAMES = frozenset({"new", "null", "undefined", "none"})
_TASK_PREFIX = "### Task:"
_LARGE = 50_000
"""Characters of a conversation from which on taking it apart takes milliseconds."""
_MANY = 200
"""Messages, likewise."""


@dataclass(frozen=True, kw_only=True)
class ChatJob:
    """A chat request that has passed every check."""

    ask: Ask
    owner: str
    model: str
    """The model's id as the client wrote it."""
    session: SessionUse | None
    """None for side requests, which leave no trace."""
    sent: tuple[Message, ...]
    """Earlier turns that came with the request, to be kept when the conversation begins here."""
    file_ids: tuple[str, ...]
    """The files of this question."""
    stop: tuple[str, ...]
    lane: Lane
    """Which turn it waits for."""
    said: str | None = None
    """What the user said, where that was no question but a word about a program."""
    told: Mapping[str, Any] = field(default_factory=dict)
    """What the client told of the request, ``user`` and ``metadata``; kept with the question."""


async def prepare_chat(
    body: ChatRequest,
    headers: Headers,
    server: Server,
    *,
    owner: str,
    before: Sequence[Message] | None = None,
    at_hand: Sequence[str] = (),
) -> ChatJob:
    """Check a request and gather what it refers to; nothing has been run afterwards.

    Args:
        body: the request.
        headers: those that came with it.
        server: what is open.
        owner: whose request it is.
        before: the turns before those that were sent, where a session's own are not meant.
        at_hand: ids of files that are there beside those of earlier turns.

    Raises:
        RequestError: a field cannot be used as it is.
        NotFound: a file or session is not there.
        ModelNotFound, ModelUnavailable: the model cannot be asked.
    """
    body.refuse_unsupported()
    form = await _read_form(body)
    name, agent, is_side = _choose(body, headers)
    conversation = await _read(body)
    require_question(conversation.question, server.settings)
    if before is not None:
        conversation = replace(conversation, earlier=(*before, *conversation.earlier))
    session = None if is_side else await _find_session(body, headers, server, owner)
    history, kept_ids = await _history(session, conversation, server, owner)
    if before is not None:
        history = conversation.earlier
    named = [
        await server.files.get(each, owner=owner, param="file_ids") for each in body.file_ids or ()
    ]
    await check_attachments(conversation, server, owner)
    waiting = None
    if session is not None and (before is None or conversation.earlier):
        waiting = await find_waiting(session, conversation, server, owner)
    if waiting is not None and (word := read_word(conversation.question)) is not None:
        return await decided_job(waiting, word, server, owner=owner, said=conversation.question)
    model = await find_model(server.assistant.models, name)
    may_run_code = _may_run_code(agent, conversation.question)
    files, placed = await gather_files(
        conversation,
        named,
        [*kept_ids, *at_hand],
        server,
        owner,
        session=session,
        with_earlier=may_run_code,
    )
    # What ends words would cut JSON in two.
    stop = () if form else body.stop_sequences
    return ChatJob(
        ask=Ask(
            question=conversation.question,
            agent_type=agent,
            history=(*conversation.system, *history),
            files=placed,
            model=model,
            sampling={
                "temperature": body.temperature,
                "top_p": body.top_p,
                "seed": body.seed,
                "max_tokens": body.output_tokens,
            },
            owner=owner,
            session_id=session.id if session else None,
            form=form,
            stop=stop,
            approve=body.approve or server.settings.approve,
            leaves=waiting.id if waiting else None,
            about=pending_of(waiting).digest if waiting else "",
        ),
        owner=owner,
        model=body.model or server.assistant.models.get().name,
        session=session,
        sent=conversation.earlier,
        file_ids=tuple(file.id for file in files),
        stop=stop,
        # A word about the program that waits may wait for its own turn: this one comes after it.
        lane="work" if may_run_code or waiting or (files and agent == "auto") else "talk",
        told={key: value for key in ("user", "metadata") if (value := getattr(body, key))},
    )


async def decided_job(run: Run, given: Given, server: Server, *, owner: str, said: str) -> ChatJob:
    """What goes on after a decision about the program that a run waits with; nothing is decided yet.

    Raises:
        NotFound: a file of the run is gone.
        RequestError: it does not wait, or cannot be gone on with.
    """
    ask = await server.assistant.decide(run.id, given, owner=owner)
    session_id = run.session_id
    session: SessionUse | None = None
    if session_id is not None and await server.sessions.exists(session_id, owner=owner):
        session = SessionUse(id=session_id, source="named", is_kept=True)
    return ChatJob(
        ask=ask,
        owner=owner,
        model=run.model,
        session=session,
        sent=(),
        file_ids=(),
        stop=(),
        lane="work",
        said=said,
    )


async def _read(body: ChatRequest) -> Conversation:
    """Take the messages apart; in a thread, where there is so much that it would be noticed."""
    parts = [part for message in body.messages for part in message.content or ()]
    chars = sum(len(part.text) if isinstance(part, TextPart) else _LARGE for part in parts)
    if chars < _LARGE and len(body.messages) < _MANY:
        return read_conversation(body.messages)
    return await asyncio.to_thread(read_conversation, body.messages)


def _choose(body: ChatRequest, headers: Headers) -> tuple[str | None, AgentType, bool]:
    name, by_suffix, is_side = split_model(body.model)
    metadata = body.metadata or {}
    given = [
        read_agent(body.agent_type, "agent_type"),
        read_agent(metadata.get("agent_type"), "metadata.agent_type"),
        read_agent(headers.get("x-agent-type"), "X-Agent-Type"),
    ]
    explicit = next((agent for agent in given if agent), None)
    if is_side or headers.get("x-task") or (_looks_like_task(body) and explicit is None):
        return name, "chat", True
    return name, explicit or by_suffix or "auto", False


async def _read_form(body: ChatRequest) -> AnswerForm | None:
    """The form that the answer is wanted in; None for words.

    Raises:
        RequestError: its schema is none.
    """
    form = body.response_format.form if body.response_format else None
    if form is not None and not form.is_plain_object:
        await asyncio.to_thread(require_valid, form.schema, param="response_format")
    return form


def _looks_like_task(body: ChatRequest) -> bool:
    if body.stream or len(body.messages) != 1 or body.messages[0].role != "user":
        return False
    parts = body.messages[0].content or []
    first = parts[0] if len(parts) == 1 else None
    return isinstance(first, TextPart) and first.text.startswith(_TASK_PREFIX)


def _named_by_header(headers: Headers) -> tuple[str, str] | None:
    """The header in which a front end names the conversation, and the name.

    What stands for one that has no name yet is none.
    """
    for name in SESSION_HEADERS:
        value = headers.get(name, "").strip()
        if name == "X-OpenWebUI-Chat-Id":
            # The id of a conversation that is not kept there ends as it happens, with any sign.
            value = value.strip("-_")
        if value and value.lower() not in _NO_NAMES and not value.startswith("{{"):
            return name, value
    return None


async def _find_session(
    body: ChatRequest, headers: Headers, server: Server, owner: str
) -> SessionUse:
    named, param = body.session_id, "session_id"
    if not named:
        named, param = (body.metadata or {}).get("session_id"), "metadata.session_id"
    if named:
        if not await server.sessions.exists(check_session_id(named, param=param), owner=owner):
            raise NotFound(
                f"There is no session {named[:80]!r}.",
                "Leave it out to begin one; the answer's x_session_id names it.",
                param=param,
            )
        return SessionUse(id=named, source="named", is_kept=True)
    if by_header := _named_by_header(headers):
        header, name = by_header
        kept = await server.sessions.exists(check_session_id(name, param=header), owner=owner)
        return SessionUse(id=name, source="header", is_kept=kept)
    return SessionUse(id=new_session_id(), source="new", is_kept=False)


async def _history(
    session: SessionUse | None, conversation: Conversation, server: Server, owner: str
) -> tuple[tuple[Message, ...], list[str]]:
    """The turns before the question, and the ids of files that came with them."""
    if session is None or not session.is_kept:
        return conversation.earlier, []
    ids = await server.sessions.file_ids(session.id, owner=owner)
    if session.source == "header" and conversation.earlier:
        return conversation.earlier, ids
    return await server.sessions.words(session.id, owner=owner), ids


def _may_run_code(agent: AgentType, question: str) -> bool:
    """Whether files of earlier turns matter.

    With files at hand a program is always written; nobody wants one for a word of thanks.
    """
    return agent in {"react", "plan_execute"} or (
        agent == "auto" and route(question).agent != "chat"
    )
