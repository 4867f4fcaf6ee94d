"""An SQLite file that is removed while it is open is written to by nobody any more.

The system keeps a removed file for whoever has it open, and SQLite makes a new one for whoever
opens it next: the first would lose all that they write, and the second miss all that was there.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, event

from backend.errors import StoreUnavailable


class FileReplaced(StoreUnavailable):
    """The file is not there any more, or not the one that was opened."""


def guard_file(engine: Engine, path: Path) -> None:
    """Let an engine's connections be opened and used only while the file is still the same one.

    What is looked up costs a few microseconds a transaction.

    Args:
        engine: one for this file, before its first connection.
        path: the file; it is there.
    """
    opened = _identity(path)

    def check(*_: object) -> None:
        if _identity(path) != opened:
            raise FileReplaced(
                f"The database {str(path)!r} has been removed or replaced while it was open.",
                "Stop the server, put the file back or restore a backup, and start it again.",
            )

    event.listen(engine, "do_connect", check)
    event.listen(engine, "checkout", check)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
