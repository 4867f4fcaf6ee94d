"""Whether the database that the settings name can be reached, for who looks for what is missing."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from backend.config.settings import Settings
from backend.errors import StoreUnavailable
from backend.store.addresses import database_url, engine_options
from backend.store.telling import place_of, reason_of


async def reach_postgres(settings: Settings) -> str | None:
    """Connect once; nothing is made or changed there.

    Returns:
        Its version and place, without the password; None where the database is SQLite.

    Raises:
        SettingsError: the URL cannot be read.
        StoreUnavailable: it cannot be reached, its driver is missing, or it is not in UTF-8.
    """
    url = database_url(settings)
    if url.get_backend_name() != "postgresql":
        return None
    place = place_of(url)
    try:
        options = engine_options(url)
        options["connect_args"]["client_encoding"] = "utf8"  # else SQL_ASCII comes as bytes
        engine = create_async_engine(url, **options)
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
    if encoding != "UTF8":
        raise StoreUnavailable(
            f"The encoding of {place} is {encoding}, which cannot hold every text.",
            "Make another: createdb NAME --owner USER --encoding UTF8 --template template0.",
        )
    return f"PostgreSQL {'.'.join(map(str, version))}, {place}"
