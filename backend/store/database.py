"""The tables and the way to them: SQLite in the data folder, or what ``DATABASE_URL`` names.

Every row has an owner, and every statement of the stores goes through ``owned_by``. A transaction
that writes begins with its write: SQLite in WAL mode then waits for its turn (``busy_timeout``)
instead of failing at once, as it does when a reader turns into a writer.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    Select,
    String,
    Text,
    UniqueConstraint,
    event,
    text,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    SQLAlchemyError,
)
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from backend.config.settings import Settings
from backend.errors import SettingsError, StoreUnavailable

Order = Literal["asc", "desc"]
"""By time of arrival: oldest or newest first."""

R = TypeVar("R")

LOCAL_OWNER = "local"
"""Whose everything is while the server has no keys."""

BUSY_TIMEOUT_MS = 10_000
"""How long a writer waits for another one (SQLite)."""

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}
_Position = BigInteger().with_variant(Integer(), "sqlite")
"""A row's place in the order of arrival; SQLite counts only a plain INTEGER up by itself."""


class Table(DeclarativeBase):
    """Base of all tables: where a row stands and whose it is."""

    position: Mapped[int] = mapped_column(_Position, primary_key=True, autoincrement=True)
    owner: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[float] = mapped_column(Float)
    """Unix time in seconds."""


class FileRow(Table):
    """A file somebody uploaded or a program wrote; its bytes lie in the blob store."""

    __tablename__ = "files"
    __table_args__ = (Index("files_of_owner", "owner", "position"),)

    id: Mapped[str] = mapped_column(String(64), unique=True)
    filename: Mapped[str] = mapped_column(String(255))
    purpose: Mapped[str] = mapped_column(String(64))
    media_type: Mapped[str] = mapped_column(String(128))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64), index=True)


class SessionRow(Table):
    """A conversation. Its id is unique for its owner: front ends bring their own."""

    __tablename__ = "sessions"
    __table_args__ = (UniqueConstraint("owner", "id"),)

    id: Mapped[str] = mapped_column(String(128))
    title: Mapped[str] = mapped_column(String(200))
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

    session_id: Mapped[str] = mapped_column(String(128))
    role: Mapped[str] = mapped_column(String(16))
    content: Mapped[str] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(JSON)


class RunRow(Table):
    """The record of a request: what was asked, what it took, and what came of it."""

    __tablename__ = "runs"
    __table_args__ = (
        UniqueConstraint("owner", "name", name="runs_name_of_owner"),
        Index("runs_of_owner", "owner", "position"),
        Index("runs_of_key", "owner", "key", "status"),
    )

    id: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    key: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    name: Mapped[str | None] = mapped_column(String(80))
    """Under which its owner saved it."""
    parent: Mapped[str | None] = mapped_column(String(64))
    """The run whose program was run again."""
    request: Mapped[str] = mapped_column(Text)
    spec: Mapped[dict[str, Any]] = mapped_column(JSON)
    model: Mapped[str] = mapped_column(String(255))
    prompts: Mapped[dict[str, list[str]]] = mapped_column(JSON)
    code: Mapped[str] = mapped_column(Text)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    usage: Mapped[dict[str, Any]] = mapped_column(JSON)
    timings: Mapped[dict[str, float]] = mapped_column(JSON)
    isolation: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    session_id: Mapped[str | None] = mapped_column(String(128))
    process: Mapped[str] = mapped_column(String(255))
    """Who works on it (see ``processes.py``)."""
    updated_at: Mapped[float] = mapped_column(Float)
    finished_at: Mapped[float | None] = mapped_column(Float)


def owned_by(table: type[Table], owner: str) -> ColumnElement[bool]:
    """The one condition by which a statement is confined to what an owner has."""
    return table.owner == owner


def page(
    query: Select[R], table: type[Table], *, after: int | None, order: Order, limit: int
) -> Select[R]:
    """The rows that follow a position, and one more than ``limit`` when there are more."""
    position = table.position
    if after is not None:
        query = query.where(position > after if order == "asc" else position < after)
    by = position.asc() if order == "asc" else position.desc()
    return query.order_by(by).limit(limit + 1)


def new_id(prefix: str) -> str:
    """An id that cannot be guessed: ``prefix-`` and 128 random bits."""
    return f"{prefix}-{secrets.token_hex(16)}"


class Database:
    """An open database: transactions, and whether it answers."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A transaction: committed on leaving, rolled back when leaving by an exception.

        Raises:
            StoreUnavailable: the database does not take it: it is full, locked or of another make.
        """
        try:
            async with self._sessions.begin() as session:
                yield session
        except DBAPIError as error:
            if isinstance(error, IntegrityError | DataError):
                raise
            raise StoreUnavailable(
                f"The database cannot be used: {' '.join(str(error.orig).split())}.",
                "Make room on its disk, or end what holds it.",
            ) from error

    async def works(self) -> bool:
        """Whether it answers."""
        try:
            async with self._engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except (SQLAlchemyError, OSError):
            return False
        return True


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """Open the database the settings name and create what is missing in it.

    Raises:
        SettingsError: the URL cannot be read, its driver is missing, or it cannot be opened.
    """
    url = await asyncio.to_thread(_url, settings)
    try:
        engine = create_async_engine(url)
    except (ImportError, ArgumentError) as error:
        raise SettingsError(
            f"DATABASE_URL names {url.drivername!r}, which cannot be used: {error}.",
            "Install its driver, or unset it for SQLite.",
        ) from None
    if url.get_backend_name() == "sqlite":
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    try:
        await _create_tables(engine, url)
        yield Database(engine)
    finally:
        await engine.dispose()


async def _create_tables(engine: AsyncEngine, url: URL) -> None:
    try:
        if url.get_backend_name() == "sqlite" and url.database not in {None, "", ":memory:"}:
            await asyncio.to_thread(make_private, Path(str(url.database)))
        async with engine.begin() as connection:
            await connection.run_sync(Table.metadata.create_all)
    except (SQLAlchemyError, OSError) as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        raise SettingsError(
            f"The database {url.render_as_string()!r} cannot be opened: {reason}.",
            "Correct DATABASE_URL or PYTHON_CODER_DATA_DIR, or make the folder writable.",
        ) from None


def _url(settings: Settings) -> URL:
    if settings.database_url is None:
        path = settings.data_dir.absolute() / "python-coder.db"
        return URL.create("sqlite+aiosqlite", database=str(path))
    try:
        url = make_url(settings.database_url)
    except ArgumentError:
        raise SettingsError(
            "DATABASE_URL cannot be read as a database URL.",
            "Write it as postgresql://user:password@host/name or sqlite:///path.",
        ) from None
    return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))


def make_private(path: Path) -> None:
    """Conversations are nobody else's to read: the file is there, 0600, before SQLite opens it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "foreign_keys = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
