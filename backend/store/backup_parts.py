"""What writing a backup and putting it back share: its names, what it holds, the way to the rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine, NullPool, create_engine
from sqlalchemy.exc import SQLAlchemyError

from backend.config.settings import Settings
from backend.errors import StoreUnavailable
from backend.store.addresses import database_url, engine_options
from backend.store.telling import reason_of

SECRET, STEPS, STEP_ROWS = "link-secret", "checkpoints.db", "steps.jsonl"
AT_A_TIME = 500
"""Rows."""


@dataclass(kw_only=True)
class Summary:
    """What a backup holds."""

    rows: dict[str, int] = field(default_factory=dict)
    """Table -> rows."""
    files: int = 0
    """Contents of files; the same ones once."""
    bytes: int = 0
    """Of these."""
    days: int = 0
    """Of the audit trail."""


@contextmanager
def connected(settings: Settings) -> Iterator[Connection]:
    """A connection of our own: not guarded, because what all owners have is meant."""
    url = database_url(settings)
    is_sqlite = url.get_backend_name() == "sqlite"
    engine: Engine = create_engine(
        url.set(drivername="sqlite") if is_sqlite else url,
        poolclass=NullPool,
        **{
            key: value
            for key, value in engine_options(url).items()
            if "pool" not in key and key != "max_overflow"
        },
    )
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def told() -> Iterator[None]:
    """Say of a database or folder that cannot be used what to do about it.

    Raises:
        StoreUnavailable: it cannot be.
    """
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise StoreUnavailable(
            f"The database or the data folder cannot be used: {reason_of(error)}.",
            "See that there is room, and that the database runs.",
        ) from error
