"""The tables: every row has an owner, and stands where it arrived."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from backend.store.json_text import storable

_Position = BigInteger().with_variant(Integer(), "sqlite")
"""A row's place in the order of arrival; SQLite counts only a plain INTEGER up by itself."""


TO_DO = text("background AND response IS NULL")
"""Which runs servers look for; statements that say it in these words use the index."""


UNFINISHED = text("status NOT IN ('completed', 'failed', 'cancelled')")
"""Which runs are not over, likewise."""


class _Words(TypeDecorator[str]):
    """A text that every database takes, whatever a user or a program put into it."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Write what PostgreSQL refuses (NUL, lone surrogates) in another way."""
        return None if value is None else storable(value)


class _Text(_Words):
    """The same, however long it is."""

    impl = Text
    cache_ok = True


class Table(DeclarativeBase):
    """Base of all tables: where a row stands and whose it is."""

    position: Mapped[int] = mapped_column(_Position, primary_key=True, autoincrement=True)
    owner: Mapped[str] = mapped_column(_Words(64))
    created_at: Mapped[float] = mapped_column(Float)
    """Unix time in seconds."""


class FileRow(Table):
    """A file somebody uploaded or a program wrote; its bytes lie in the blob store."""

    __tablename__ = "files"
    __table_args__ = (Index("files_of_owner", "owner", "position"),)

    id: Mapped[str] = mapped_column(_Words(64), unique=True)
    filename: Mapped[str] = mapped_column(_Words(255))
    purpose: Mapped[str] = mapped_column(_Words(64))
    media_type: Mapped[str] = mapped_column(_Words(128))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(_Words(64), index=True)
    session_id: Mapped[str | None] = mapped_column(_Words(128))
    """The conversation that it came about in, and goes with; None for one that was uploaded."""
    expires_at: Mapped[float | None] = mapped_column(Float, index=True)
    """Unix time in seconds from which on it is gone; None: it stays until it is deleted."""


class SessionRow(Table):
    """A conversation. Its id is unique for its owner: front ends bring their own."""

    __tablename__ = "sessions"
    __table_args__ = (UniqueConstraint("owner", "id"),)

    id: Mapped[str] = mapped_column(_Words(128))
    title: Mapped[str] = mapped_column(_Words(200))
    updated_at: Mapped[float] = mapped_column(Float)


class MessageRow(Table):
    """One turn of a conversation."""

    __tablename__ = "messages"
    __table_args__ = (
        ForeignKeyConstraint(
            ["owner", "session_id"], ["sessions.owner", "sessions.id"], ondelete="CASCADE"
        ),
        Index("messages_of_session", "owner", "session_id", "position"),
    )

    session_id: Mapped[str] = mapped_column(_Words(128))
    role: Mapped[str] = mapped_column(_Words(16))
    content: Mapped[str] = mapped_column(_Text)
    details: Mapped[dict[str, Any]] = mapped_column(JSON)


class RunRow(Table):
    """The record of a request: what was asked, what it took, and what came of it."""

    __tablename__ = "runs"
    __table_args__ = (
        UniqueConstraint("owner", "name", name="runs_name_of_owner"),
        Index("runs_of_owner", "owner", "position"),
        Index("runs_of_key", "owner", "key", "status"),
        # What servers look for every few seconds: few of many.
        Index("runs_to_do", "status", sqlite_where=TO_DO, postgresql_where=TO_DO),
        # What bytes may belong to that nothing refers to yet.
        Index(
            "runs_unfinished", "created_at", sqlite_where=UNFINISHED, postgresql_where=UNFINISHED
        ),
    )

    id: Mapped[str] = mapped_column(_Words(64), unique=True)
    kind: Mapped[str] = mapped_column(_Words(16))
    key: Mapped[str] = mapped_column(_Words(64))
    status: Mapped[str] = mapped_column(_Words(16))
    name: Mapped[str | None] = mapped_column(_Words(80))
    """Under which its owner saved it."""
    parent: Mapped[str | None] = mapped_column(_Words(64))
    """The run whose program was run again."""
    request: Mapped[str] = mapped_column(_Text)
    spec: Mapped[dict[str, Any]] = mapped_column(JSON)
    model: Mapped[str] = mapped_column(_Words(255))
    prompts: Mapped[dict[str, list[str]]] = mapped_column(JSON)
    code: Mapped[str] = mapped_column(_Text)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    usage: Mapped[dict[str, Any]] = mapped_column(JSON)
    timings: Mapped[dict[str, float]] = mapped_column(JSON)
    isolation: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    session_id: Mapped[str | None] = mapped_column(_Words(128))
    process: Mapped[str] = mapped_column(_Words(255))
    """Who works on it (see ``processes.py``)."""
    updated_at: Mapped[float] = mapped_column(Float)
    finished_at: Mapped[float | None] = mapped_column(Float)
    background: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    """Nobody waits for it: a server works on it, and goes on with it after a restart."""
    cancel_requested: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    """Whoever works on it is to end it."""
    response: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """Of one in the background: the answer as it goes out, once there is one."""


class RunContentRow(Table):
    """Bytes that a run has: its result tells of a file that is made of them."""

    __tablename__ = "run_contents"
    __table_args__ = (
        ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        UniqueConstraint("run_id", "sha256"),
    )

    run_id: Mapped[str] = mapped_column(_Words(64))
    sha256: Mapped[str] = mapped_column(_Words(64), index=True)


class RunEventRow(Table):
    """Something that happened in a run in the background, to be read again from any point."""

    __tablename__ = "run_events"
    __table_args__ = (UniqueConstraint("owner", "run_id", "sequence"),)

    run_id: Mapped[str] = mapped_column(_Words(64))
    sequence: Mapped[int] = mapped_column(Integer)
    """From 1, without gaps."""
    kind: Mapped[str] = mapped_column(_Words(32))
    data: Mapped[dict[str, Any]] = mapped_column(JSON)


class KeyRow(Table):
    """An API key: what it opens and until when, never the key itself."""

    __tablename__ = "api_keys"
    __table_args__ = (
        Index("api_keys_of_owner", "owner", "position"),
        # Of those that open something, a name means one.
        Index(
            "api_keys_name",
            "name",
            unique=True,
            sqlite_where=text("revoked_at IS NULL"),
            postgresql_where=text("revoked_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(_Words(64), unique=True)
    name: Mapped[str] = mapped_column(_Words(80))
    digest: Mapped[str] = mapped_column(_Words(64))
    """SHA-256 of its secret part, in hexadecimal."""
    role: Mapped[str] = mapped_column(_Words(16))
    expires_at: Mapped[float | None] = mapped_column(Float)
    revoked_at: Mapped[float | None] = mapped_column(Float)
    last_used_at: Mapped[float | None] = mapped_column(Float)
    """Unix time in seconds; of its use to within a minute."""
    requests_per_minute: Mapped[int | None] = mapped_column(Integer)
    max_parallel: Mapped[int | None] = mapped_column(Integer)
    """Requests at a time; None: what the settings say."""


class ResponseRow(Table):
    """An answer of the Responses API, kept to be read again and gone on from."""

    __tablename__ = "responses"
    __table_args__ = (Index("responses_of_session", "owner", "session_id"),)

    id: Mapped[str] = mapped_column(_Words(64), unique=True)
    session_id: Mapped[str | None] = mapped_column(_Words(128))
    previous: Mapped[str | None] = mapped_column(_Words(64))
    """The id of the response that it follows."""
    input: Mapped[list[Any]] = mapped_column(JSON)
    body: Mapped[dict[str, Any]] = mapped_column(JSON)


class ContainerRow(Table):
    """A container of the Responses API: a session under another name."""

    __tablename__ = "containers"
    __table_args__ = (Index("containers_of_owner", "owner", "position"),)

    id: Mapped[str] = mapped_column(_Words(64), unique=True)
    name: Mapped[str] = mapped_column(_Words(255))
    session_id: Mapped[str] = mapped_column(_Words(128))
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    last_active_at: Mapped[float] = mapped_column(Float)
    """Unix time in seconds."""
