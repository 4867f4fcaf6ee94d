"""Conversations: what was asked and answered, in order, each owner's own."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    ScalarSelect,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from backend.errors import NotFound, RequestError
from backend.store.database import Database, Order, new_id, owned_by
from backend.store.json_text import storable
from backend.store.paging import Part, page, read_page
from backend.store.session_records import (
    ChatTurn,
    MessagePage,
    SessionPage,
    StoredMessage,
    StoredSession,
)
from backend.store.tables import MessageRow, SessionRow
from backend.types import Message

_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.:@-]{0,126}[A-Za-z0-9])?")
_NUMBER = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_TITLE_CHARS = 80
_MOST_TITLE_CHARS = 200
_PRINTED_CHARS = 200
_HOW_TO_PAGE = "Send the 'last_id' of the page before."


def check_session_id(session_id: str, *, param: str = "session_id") -> str:
    """The id, if it can be one; ``param`` is the field it came in.

    Raises:
        RequestError: it has other characters, or is too long (128).
    """
    if not _ID.fullmatch(session_id) or ".." in session_id:
        raise RequestError(
            f"{session_id[:80]!r}, of {len(session_id)} characters, cannot be a session id.",
            "Use 1 to 128 of A-Z, a-z and 0-9; between them also _ : @ - and single dots.",
            param=param,
        )
    return session_id


def new_session_id() -> str:
    """An id for a conversation that begins here."""
    return new_id("session")


_BEGAN = select(SessionRow.created_at).where(
    owned_by(SessionRow, bindparam("of")), SessionRow.id == bindparam("which")
)
_TOUCH = (
    update(SessionRow)
    .where(owned_by(SessionRow, bindparam("of")), SessionRow.id == bindparam("which"))
    .values(updated_at=bindparam("at"))
)


class SessionStore:
    """Conversations of all owners; each method sees one owner's only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def exists(self, session_id: str, *, owner: str) -> bool:
        """Whether the owner has this conversation."""
        return await self._began(session_id, owner) is not None

    async def check(self, session_id: str, *, owner: str) -> float:
        """When the conversation began, in Unix seconds; NotFound unless the owner has it."""
        began = await self._began(session_id, owner)
        if began is None:
            raise _unknown(session_id)
        return began

    async def _began(self, session_id: str, owner: str) -> float | None:
        which = {"of": owner, "which": session_id}
        return await self._database.work(lambda connection: connection.scalar(_BEGAN, which))

    async def append(
        self,
        session_id: str,
        turns: Sequence[ChatTurn],
        *,
        owner: str,
        opens: bool = True,
        title: str = "",
    ) -> bool:
        """Add messages at the end, all or none; False if there is no conversation to add them to.

        Args:
            session_id: the conversation's.
            turns: what was said.
            owner: whose it is.
            opens: the conversation is opened if there is none; else nothing is added: it was
                deleted while an answer to it was being made.
            title: of one that is opened; else its first question is.

        Raises:
            RequestError: the id cannot be one.
        """
        check_session_id(session_id)
        title = title or next((turn.content for turn in turns if turn.role == "user"), "")
        try:
            return await self._append(session_id, turns, owner, opens, title)
        except IntegrityError:  # somebody else opened it between our look and our insert
            return await self._append(session_id, turns, owner, opens, title)

    async def _append(
        self, session_id: str, turns: Sequence[ChatTurn], owner: str, opens: bool, title: str
    ) -> bool:
        now = time.time()
        about = {
            "id": session_id,
            "owner": owner,
            "created_at": now,
            "updated_at": now,
            "title": storable(" ".join(title.split()))[:_TITLE_CHARS],
        }
        common = {"owner": owner, "created_at": now, "session_id": session_id}
        said = [
            common | {"role": turn.role, "content": turn.content, "details": dict(turn.details)}
            for turn in turns
        ]
        touched = {"of": owner, "which": session_id, "at": now}

        def do(connection: Connection) -> bool:
            if not connection.execute(_TOUCH, touched).rowcount:
                if not opens:
                    return False
                connection.execute(insert(SessionRow), about)
            if said:
                connection.execute(insert(MessageRow), said)
            return True

        return await self._database.work(do)

    async def artifacts(self, session_id: str, *, owner: str) -> list[dict[str, Any]]:
        """What the conversation's answers brought, oldest first: ``id``, ``name``, ``size``, ..."""
        found = await self._details("artifacts", "assistant", session_id, owner)
        return [dict(each) for entries in found for each in entries if each.get("id")]

    async def file_ids(self, session_id: str, *, owner: str) -> list[str]:
        """The ids of all files that came with the conversation's questions, oldest first."""
        found = await self._details("file_ids", "user", session_id, owner)
        return [str(each) for entries in found for each in entries]

    async def _details(self, key: str, role: str, session_id: str, owner: str) -> list[list[Any]]:
        """Of each message of a role one of its details that is a list, where it has it."""
        value = MessageRow.details[key]
        query = (
            select(value)
            .where(
                owned_by(MessageRow, owner),
                MessageRow.session_id == session_id,
                MessageRow.role == role,
            )
            .order_by(MessageRow.position)
        )
        rows = await self._database.work(lambda connection: connection.scalars(query).all())
        return [row for row in rows if isinstance(row, list)]

    async def answers_of_run(self, session_id: str, run_id: str, *, owner: str) -> list[ChatTurn]:
        """The answers in a conversation that a run gave: the programs it waited with, its last."""
        said = (MessageRow.role, MessageRow.content, MessageRow.details)
        query = select(*said).where(
            owned_by(MessageRow, owner),
            MessageRow.session_id == session_id,
            MessageRow.role == "assistant",
            MessageRow.details["run_id"].as_string() == run_id,
        )
        query = query.order_by(MessageRow.position)
        # The way that turns go: who was cancelled while adding one has it behind that here.
        rows = await self._database.work(lambda connection: connection.execute(query).all())
        return [ChatTurn(**_turn(row)) for row in rows]

    async def words(self, session_id: str, *, owner: str, limit: int = 100) -> tuple[Message, ...]:
        """The last messages for a model, oldest first: what was said, and what came of it.

        Of details only that: they are many times as long.
        """
        details = MessageRow.details
        query = (
            select(MessageRow.role, MessageRow.content, details["artifacts"], details["output"])
            .where(owned_by(MessageRow, owner), MessageRow.session_id == session_id)
            .order_by(MessageRow.position.desc())
            .limit(limit)
        )
        rows = await self._database.work(lambda connection: connection.execute(query).all())
        return tuple(_words(*row) for row in reversed(rows))

    async def messages(
        self,
        session_id: str,
        *,
        owner: str,
        after: str | None = None,
        limit: int = 100,
        order: Order = "asc",
    ) -> MessagePage:
        """A conversation's messages, those that follow ``after``.

        Raises:
            NotFound: the owner has no such conversation, or it no message ``after``.
            RequestError: ``after`` is not the id of a message.
        """
        await self.check(session_id, owner=owner)
        mine = (owned_by(MessageRow, owner), MessageRow.session_id == session_id)
        place: int | None = None
        async with self._database.transaction() as session:
            if (number := _number(after)) is not None:
                in_order = select(MessageRow.position).where(*mine).order_by(MessageRow.position)
                place = await session.scalar(in_order.offset(number - 1).limit(1))
                if place is None:
                    raise NotFound(
                        f"There is no message {str(after)[:80]!r} in this session.",
                        _HOW_TO_PAGE,
                        param="after",
                    )
            query = select(MessageRow).where(*mine)
            query = page(query, MessageRow, after=place, order=order, limit=limit)
            rows = (await session.scalars(query)).all()
            up_to = MessageRow.position <= (rows[0].position if rows else 0)
            first = await session.scalar(select(func.count()).where(*mine, up_to)) or 0
        numbers = itertools.count(first, 1 if order == "asc" else -1)
        messages = [_message(row, next(numbers)) for row in rows[:limit]]
        return MessagePage(messages=messages, has_more=len(rows) > limit)

    async def get(self, session_id: str, *, owner: str) -> StoredSession:
        """A conversation as it stands in a list.

        Raises:
            NotFound: the owner has no such conversation.
        """
        query = select(*SessionRow.__table__.c, _message_count()).where(*_is(session_id, owner))
        row = await self._database.work(lambda connection: connection.execute(query).first())
        if row is None:
            raise _unknown(session_id)
        return _session(row, row[-1])

    async def list(
        self, *, owner: str, after: str | None = None, limit: int = 100, order: Order = "desc"
    ) -> SessionPage:
        """The owner's conversations by the time they began, those that follow ``after``.

        Raises:
            NotFound: the owner has no conversation ``after``.
        """
        mine = owned_by(SessionRow, owner)
        query = select(SessionRow, _message_count()).where(mine)
        part = Part(after=after, limit=limit, order=order, unknown=_unknown)
        async with self._database.transaction() as session:
            rows, has_more = await read_page(session, query, SessionRow, part, mine)
        return SessionPage(sessions=[_session(*row) for row in rows], has_more=has_more)

    async def delete(self, session_id: str, *, owner: str) -> None:
        """Forget a conversation with its messages, and nothing else of it (see ``session_removal``).

        Raises:
            NotFound: the owner has no such conversation.
        """
        async with self._database.transaction() as session:
            gone = await session.scalar(
                delete(SessionRow).where(*_is(session_id, owner)).returning(SessionRow.id)
            )
        if gone is None:
            raise _unknown(session_id)

    async def rename(self, session_id: str, title: str, *, owner: str) -> StoredSession:
        """Give a conversation another title.

        Raises:
            NotFound: the owner has no such conversation.
            RequestError: the title is empty or too long.
        """
        words = storable(" ".join(title.split()))
        if not 0 < len(words) <= _MOST_TITLE_CHARS:
            raise RequestError(
                f"A title of {len(words)} characters cannot be given.",
                f"Use 1 to {_MOST_TITLE_CHARS}.",
                param="title",
            )
        async with self._database.transaction() as session:
            this = update(SessionRow).where(*_is(session_id, owner)).values(title=words)
            await session.execute(this)
        return await self.get(session_id, owner=owner)


def _message_count() -> ScalarSelect[Any]:
    count = select(func.count(MessageRow.position)).where(
        MessageRow.owner == SessionRow.owner, MessageRow.session_id == SessionRow.id
    )
    return count.scalar_subquery()


def _session(row: Any, messages: int) -> StoredSession:
    return StoredSession(
        id=row.id,
        title=row.title,
        created_at=row.created_at,
        updated_at=row.updated_at,
        message_count=messages,
    )


def _words(role: str, content: str, artifacts: Any, output: Any) -> Message:
    return Message(
        role="assistant" if role == "assistant" else "user",
        content=content,
        files=tuple(each["name"] for each in artifacts or ()),
        printed=str(output or "")[:_PRINTED_CHARS],
    )


def _is(session_id: str, owner: str) -> tuple[Any, ...]:
    return owned_by(SessionRow, owner), SessionRow.id == session_id


def _unknown(session_id: str, param: str = "session_id") -> NotFound:
    return NotFound(
        f"There is no session {session_id[:80]!r}.",
        "GET /v1/sessions names those there are, POST /v1/sessions begins another.",
        param=param,
    )


def _number(message_id: str | None) -> int | None:
    if message_id is None:
        return None
    prefix, _, number = message_id.rpartition("-")
    if prefix != "msg" or not _NUMBER.fullmatch(number):
        raise RequestError(
            f"{message_id[:80]!r} is not a message's id.", _HOW_TO_PAGE, param="after"
        )
    return int(number)


def _message(row: MessageRow, number: int) -> StoredMessage:
    return StoredMessage(id=f"msg-{number}", created_at=row.created_at, **_turn(row))


def _turn(row: Any) -> dict[str, Any]:
    role = "assistant" if row.role == "assistant" else "user"
    return {"role": role, "content": row.content, "details": row.details}
