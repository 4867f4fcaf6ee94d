"""Whether the database that the settings name can be reached, for who looks for what is missing."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from backend.config.settings import Settings
from backend.errors import StoreUnavailable
from backend.store.addresses import check_encoding, database_url, engine_options
from backend.store.telling import place_of, reason_of


async def reach_postgres(settings: Settings) -> str | None:
    """Connect once; nothing is made or changed there.

    Returns:
        Its version and place, without the password; None where the database is SQLite.

    Raises:
        SettingsError: the URL cannot be read, or the database is not in UTF-8.
        StoreUnavailable: it cannot be reached, or its driver is missing.
    """
    url = database_url(settings)
    if url.get_backend_name() != "postgresql":
        return None
    place = place_of(url)
    try:
        engine = create_async_engine(url, **engine_options(url))
        try:
            async with engine.connect() as connection:
                version = connection.dialect.server_version_info or ()
                encoding = await connection.scalar(text("SHOW server_encoding"))
        finally:
            await engine.dispose()
    except ImportError as error:
        raise StoreUnavailable(
            f"The driver of {place} is missing: {error}.",
            "Install it: pip install 'python-coder[postgres]'.",
        ) from None
    except (SQLAlchemyError, OSError) as error:
        raise StoreUnavailable(
            f"{place} cannot be reached: {reason_of(error)}.",
            "See that it runs and lets this user in, or correct DATABASE_URL.",
        ) from None
    check_encoding(encoding, place)
    return f"PostgreSQL {'.'.join(map(str, version))}, {place}"
