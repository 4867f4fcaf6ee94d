"""The way to the tables: SQLite in the data folder, or what ``DATABASE_URL`` names.

Every row has an owner, and every statement of the stores goes through ``owned_by``. A transaction
that writes begins with its write: SQLite in WAL mode then waits for its turn (``busy_timeout``)
instead of failing at once, as it does when a reader turns into a writer.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlalchemy import BindParameter, ColumnElement, Connection, Engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from backend.config.settings import Settings
from backend.errors import SettingsError, StoreUnavailable
from backend.store.addresses import (
    ANSWER_TIMEOUT_S,
    check_encoding,
    database_url,
    engine_options,
    is_file,
)
from backend.store.endings import to_its_end
from backend.store.ownership import guard_ownership
from backend.store.same_file import FileReplaced, guard_file
from backend.store.schema import ensure_schema
from backend.store.sqlite_thread import SqliteThread, open_sqlite_thread
from backend.store.tables import Table
from backend.store.telling import place_of, plain_url, reason_of, remedy_of

Order = Literal["asc", "desc"]
"""By time of arrival: oldest or newest first."""

R = TypeVar("R")

LOCAL_OWNER = "local"
"""Whose everything is while the server has no keys."""

BUSY_TIMEOUT_MS = 10_000
"""How long a writer waits for another one (SQLite)."""


def owned_by(table: type[Table], owner: str | BindParameter[str]) -> ColumnElement[bool]:
    """The one condition by which a statement is confined to what an owner has."""
    return table.owner == owner


def new_id(prefix: str) -> str:
    """An id that cannot be guessed: ``prefix-`` and 128 random bits."""
    return f"{prefix}-{secrets.token_hex(16)}"


class Database:
    """An open database: transactions, and whether it answers. See ``open_database``."""

    def __init__(self, engine: AsyncEngine, thread: SqliteThread | None = None) -> None:
        self._engine = engine
        self._thread = thread
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)
        self._uses = 0
        self._unused = asyncio.Event()
        self._is_closed = False

    async def work(self, do: Callable[[Connection], R]) -> R:
        """Do statements that need nothing in between, as one transaction: the quick way.

        Args:
            do: is given the connection, in a thread that is not the event loop's where the
                database is SQLite.

        Raises:
            StoreUnavailable: the database does not take it: it is full, locked or of another make.
        """
        with self._told(), self._in_use():
            if self._thread is not None:
                return await self._thread.run(do)
            return await to_its_end(lambda: self._work(do))

    async def _work(self, do: Callable[[Connection], R]) -> R:
        async with _answering(), self._engine.begin() as connection:
            return await connection.run_sync(do)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A transaction: committed on leaving, rolled back when leaving by an exception.

        Raises:
            StoreUnavailable: the database does not take it: it is full, locked or of another make.
        """
        with self._told(), self._in_use():
            session = self._sessions()
            try:
                async with _answering():
                    yield session
                await to_its_end(_answering()(session.commit))
            finally:
                await to_its_end(_answering()(session.close))

    async def fault(self) -> str:
        """What is wrong with it, in words for anybody; '' where it answers."""
        try:
            with self._in_use():
                async with self._engine.connect() as connection:
                    await connection.execute(text("SELECT 1"))
        except FileReplaced:
            return "The database's file is not the one that was opened. Start the server again."
        except (SQLAlchemyError, OSError, StoreUnavailable):
            return "The database does not answer."
        return ""

    async def aclose(self) -> None:
        """Wait for what is under way, whoever began it; after that nothing begins any more.

        The pool closes only the connections that nobody has at that time. One that came back to it
        later, or was opened anew, would stay open.
        """
        while self._uses:
            self._unused.clear()
            await self._unused.wait()
        self._is_closed = True

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        if self._is_closed:
            raise StoreUnavailable(
                "The database is closed: what had opened it is ending.",
                "Try again once it runs again.",
            )
        self._uses += 1
        try:
            yield
        finally:
            self._uses -= 1
            if not self._uses:
                self._unused.set()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, PoolExhausted, OSError) as error:
            if isinstance(error, IntegrityError | DataError):
                raise
            raise StoreUnavailable(
                f"The database cannot be used: {reason_of(error)}.",
                remedy_of(is_postgres=self._engine.dialect.name == "postgresql"),
            ) from error


@asynccontextmanager
async def _answering() -> AsyncIterator[None]:
    """See that a server that does not answer at all is given up."""
    scope = asyncio.timeout(ANSWER_TIMEOUT_S)
    try:
        async with scope:
            with _as_cancelled():
                yield
    except TimeoutError as error:
        if not scope.expired():
            raise
        raise StoreUnavailable(
            f"The database has not answered for {ANSWER_TIMEOUT_S} seconds.",
            "See that it runs, and what holds it.",
        ) from error


@contextmanager
def _as_cancelled() -> Iterator[None]:
    """Let a cancellation be one: psycopg raises something else where it was about to do a lot."""
    try:
        yield
    except AssertionError as error:
        if isinstance(error.__context__, asyncio.CancelledError):
            raise error.__context__ from None
        raise


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """Open the database the settings name, and bring its tables to what this program knows.

    Raises:
        SettingsError: the URL cannot be read, its driver is missing, a file cannot be opened, it is
            not in UTF-8, or of a newer version of this program.
        StoreUnavailable: PostgreSQL does not let us in, or another program holds the file; that may
            be otherwise later.
    """
    url = await asyncio.to_thread(database_url, settings)
    try:
        engine = create_async_engine(url, **engine_options(url))
    except ImportError as error:
        raise SettingsError(
            f"DATABASE_URL names {url.get_backend_name()!r}, whose driver is missing: {error}.",
            "Install it, pip install 'python-coder[postgres]', or unset DATABASE_URL for SQLite.",
        ) from None
    except ArgumentError:
        raise SettingsError(
            f"DATABASE_URL is {plain_url(url)!r}, which cannot be used.",
            "Write it as postgresql://user:password@host/name or sqlite:////absolute/path.",
        ) from None
    _prepare(engine.sync_engine)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(to_its_end, engine.dispose)
        thread = None
        with _opening(url):
            if is_file(url):
                path = await asyncio.to_thread(Path(str(url.database)).absolute)
                await asyncio.to_thread(make_private, path)
                guard_file(engine.sync_engine, path)

                def prepare(other: Engine) -> None:
                    _prepare(other)
                    guard_file(other, path)

                thread = await stack.enter_async_context(open_sqlite_thread(url, prepare))
                await thread.run_alone(ensure_schema)
            else:
                async with engine.connect() as opened:
                    encoding = await opened.scalar(text("SHOW server_encoding"))
                    check_encoding(encoding, f"the database {place_of(url)!r}")
                    await opened.commit()
                    connection = await opened.execution_options(isolation_level="AUTOCOMMIT")
                    await connection.run_sync(ensure_schema)
        database = Database(engine, thread)
        stack.push_async_callback(to_its_end, database.aclose)
        yield database


@contextmanager
def _opening(url: URL) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        what = f"The database {place_of(url)!r} cannot be opened: {reason_of(error)}."
        if url.get_backend_name() == "postgresql":
            # It may come up later than we do: whoever starts us is to try again.
            raise StoreUnavailable(
                what, "See that it runs and lets this user in, or correct DATABASE_URL."
            ) from None
        if getattr(error.__cause__, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
            raise StoreUnavailable(what, "End what holds it, and try again.") from None
        raise SettingsError(
            what,
            "Correct DATABASE_URL or PYTHON_CODER_DATA_DIR, or make the folder writable.",
        ) from None


def _prepare(engine: Engine) -> None:
    """Make an engine's connections what they are to be; there may be several for a database."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "invalidate", _roll_back)
    else:
        event.listen(engine, "checkin", _drop_unfinished)
    guard_ownership(engine)


def _roll_back(connection: Any, _record: Any, _error: Any) -> None:
    """Free the file before a connection is dropped, as it is when what it does is cancelled.

    SQLite closes a connection only when nobody has a statement of it any more, which is whenever
    the garbage collector says so; until then nobody else could write.
    """
    connection.rollback()


def _drop_unfinished(connection: Any, record: Any) -> None:
    """Keep no connection that somebody left in the middle: psycopg lets that happen on a cancel."""
    if connection is None:
        return
    driver = connection.driver_connection
    status = driver.info
    if (status.transaction_status.name, status.pipeline_status.name) != ("IDLE", "OFF"):
        record.invalidate()


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
