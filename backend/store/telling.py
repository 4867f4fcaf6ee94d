"""What is said of a database that fails: where it is and why, in words and without a password."""

from __future__ import annotations

import re

from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from backend.store.addresses import is_file

_NOISE = re.compile(r"\[Errno -?\d+\] |\s+Is the server running[^?]*\?")
"""What a message of the system's or of PostgreSQL's has beside the reason."""


def place_of(url: URL) -> str:
    """Where a database is: a file's path, else the URL as it is written, its password hidden."""
    return str(url.database) if is_file(url) else plain_url(url)


def plain_url(url: URL) -> str:
    """The URL as it is written: without the driver, its password hidden."""
    return url.set(drivername=url.get_backend_name()).render_as_string()


def reason_of(error: BaseException) -> str:
    """Why it failed, as the end of a sentence that has no stop yet: one line, without error numbers."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, OSError) and cause.strerror:
        said = cause.strerror
    elif isinstance(cause, SQLAlchemyError) and cause.args:
        said = str(cause.args[0])  # else it names a page of SQLAlchemy's
    else:
        said = str(cause)
    return " ".join(_NOISE.sub("", said).split()).rstrip(".?") or "it does not answer"


def remedy_of(*, is_postgres: bool) -> str:
    """What to do about a database that was open and cannot be used."""
    if is_postgres:
        return "See that it runs and lets this user in, and that its disk has room."
    return "Make room on its disk, or end what holds it."
