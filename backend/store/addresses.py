"""Where the database is, and how its connections behave: SQLite or PostgreSQL, nothing else."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from backend.config.settings import Settings
from backend.errors import SettingsError
from backend.store.json_text import storable_json

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 30
"""What one statement may take before PostgreSQL ends it."""
LOCK_TIMEOUT_S = 10
"""How long one waits for what another transaction holds."""
ANSWER_TIMEOUT_S = 45
"""After which a database that says nothing at all counts as gone: a whole transaction's time."""
_IDLE_IN_TRANSACTION_S = 120
"""After which PostgreSQL gives up a transaction whose process does nothing, as a stopped one."""

POOL_SIZE, POOL_OVERFLOW = 5, 10
"""Connections of a process that stay open, and more for a rush; PostgreSQL's own limit is 100."""
POOL_WAIT_S = 10
"""How long a request waits for a connection."""

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
}


def database_url(settings: Settings) -> URL:
    """Where the database is. Reads the working directory.

    Raises:
        SettingsError: the URL cannot be read, or is another kind of database's.
    """
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
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise SettingsError(
            f"DATABASE_URL names {url.drivername!r}, which cannot be used.",
            "Use postgresql://user:password@host/name or sqlite:///path, or unset it for SQLite "
            "in the data folder.",
        )
    return url.set(drivername=driver)


def is_file(url: URL) -> bool:
    """Whether it is an SQLite file, and not in memory only."""
    return url.get_backend_name() == "sqlite" and url.database not in {None, "", ":memory:"}


def engine_options(url: URL) -> dict[str, Any]:
    """What SQLAlchemy is told beside the URL."""
    if url.get_backend_name() != "postgresql":
        return {"json_serializer": storable_json}
    return {
        "json_serializer": storable_json,
        "pool_size": POOL_SIZE,
        "max_overflow": POOL_OVERFLOW,
        "pool_timeout": POOL_WAIT_S,
        # A connection that was lost while nobody used it is renewed, not handed out.
        "pool_pre_ping": True,
        "connect_args": connect_options(url),
    }


def connect_options(url: URL) -> dict[str, Any]:
    """What PostgreSQL's driver is told; what the URL says itself counts more."""
    given = url.query.get("options", "")
    options = {
        "statement_timeout": STATEMENT_TIMEOUT_S * 1000,
        "lock_timeout": LOCK_TIMEOUT_S * 1000,
        "idle_in_transaction_session_timeout": _IDLE_IN_TRANSACTION_S * 1000,
    }
    ours = " ".join(f"-c {name}={value}" for name, value in options.items())
    told = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "application_name": "python-coder",
        "client_encoding": "utf8",  # else texts of SQL_ASCII come as bytes
        # Else a machine that has vanished is noticed after a quarter of an hour.
        "tcp_user_timeout": 1000 * LOCK_TIMEOUT_S,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    }
    theirs = given if isinstance(given, str) else " ".join(given)
    kept = {name: value for name, value in told.items() if name not in url.query}
    return {**kept, "options": f"{ours} {theirs}".strip()}


def check_encoding(encoding: str | None, place: str) -> None:
    """Refuse a PostgreSQL database that cannot hold every text.

    Args:
        encoding: its ``server_encoding``.
        place: what it is called.

    Raises:
        SettingsError: it is not in UTF-8.
    """
    if encoding != "UTF8":
        raise SettingsError(
            f"The encoding of {place} is {encoding}, which cannot hold every text.",
            "Make another: createdb NAME --owner USER --encoding UTF8 --template template0.",
        )


def postgres_address(settings: Settings) -> tuple[str, dict[str, Any]] | None:
    """What psycopg is told to reach the database; None where that is SQLite.

    Raises:
        SettingsError: the URL cannot be read.
    """
    if settings.database_url is None:
        return None
    url = database_url(settings)
    if url.get_backend_name() != "postgresql":
        return None
    plain = url.set(drivername="postgresql")
    return plain.render_as_string(hide_password=False), connect_options(url)
