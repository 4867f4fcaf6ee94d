"""Putting a backup back, into a database without rows and a data folder without files.

The audit trail alone may be there: a day that goes on from what the backup has of it stays as it is.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import IO, Any

import orjson
from sqlalchemy import Connection, func, insert, select, text

from backend.config.settings import Settings
from backend.errors import RequestError
from backend.store import archive
from backend.store.audit import trail_folder
from backend.store.backup_parts import (
    AT_A_TIME,
    SECRET,
    STEP_ROWS,
    STEPS,
    Summary,
    connected,
    told,
)
from backend.store.backup_steps import count_steps, import_steps
from backend.store.blobs import BlobStore
from backend.store.migrations import HEAD
from backend.store.run_contents import fill_contents
from backend.store.tables import RunContentRow, Table


def read_backup(settings: Settings, source: Path) -> Summary:
    """Put a backup back: into a database without rows, and a data folder without files.

    Blocks. The database has this program's tables: whoever opens it sees to that.

    Raises:
        RequestError: the place is not empty, or the file is no whole backup; nothing is changed.
        StoreUnavailable: the database or the folder cannot be written.
    """
    _require_no_files(settings)
    summary, written = Summary(), list[Path]()
    try:
        with told(), connected(settings) as connection, connection.begin():
            _require_no_rows(connection)
            with archive.whole(source):
                for name, content in archive.parts(source):
                    _put_back(name, content, settings, connection, summary, written)
            if RunContentRow.__tablename__ not in summary.rows:
                fill_contents(connection)
            _count_on(connection)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return summary


def _put_back(
    name: str,
    content: IO[bytes],
    settings: Settings,
    connection: Connection,
    summary: Summary,
    written: list[Path],
) -> None:
    kind, _, rest = name.rpartition("/")
    if name == archive.FIRST:
        _check_version(archive.read_document(content))
    elif name == archive.LAST:
        if archive.read_document(content) != {"rows": summary.rows, "files": summary.files}:
            raise RequestError("The backup is damaged: some of it is missing.", "Use another.")
    elif kind == "blobs":
        path = BlobStore.of(settings).folder / rest[:2] / rest
        digest, size = _write(path, content, written)
        if digest != rest:
            raise RequestError("The backup is damaged: a file in it has changed.", "Use another.")
        summary.files += 1
        summary.bytes += size
    elif kind == "tables":
        _import(connection, rest.removesuffix(".jsonl"), content, summary)
    elif kind == "audit":
        _put_back_day(trail_folder(settings) / rest, content, written)
        summary.days += 1
    elif rest == STEP_ROWS:
        import_steps(connection, content)
    elif rest == SECRET or (rest == STEPS and settings.database_url is None):
        _write(settings.data_dir / rest, content, written)


def _put_back_day(path: Path, content: IO[bytes], written: list[Path]) -> None:
    """Put back a day of the audit trail; what is there and goes on from it stays as it is.

    Raises:
        RequestError: something else is on record there, or less.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        _write(path, content, written)
        return
    with path.open("rb") as there:
        while chunk := content.read(1024 * 1024):
            if there.read(len(chunk)) != chunk:
                raise RequestError(
                    f"The audit trail has {str(path)!r} already, and it is not what the backup "
                    "has of that day.",
                    "Move it to another place: nothing of the trail is overwritten.",
                )


def _check_version(about: dict[str, Any]) -> None:
    version, form = str(about.get("version")), about.get("format")
    if form not in archive.READABLE or version > HEAD:
        raise RequestError(
            f"The backup is of a newer python-coder: version {version}, this program knows up to "
            f"{HEAD}.",
            "Restore it with that version.",
        )


def _require_no_files(settings: Settings) -> None:
    places = [settings.data_dir / name for name in (SECRET, STEPS)]
    there = [
        *BlobStore.of(settings).folder.glob("??/*"),
        *(each for each in places if each.exists()),
    ]
    if there:
        raise RequestError(
            f"The data folder {str(settings.data_dir)!r} is not empty: it has {str(there[0])!r}.",
            "Name another one with PYTHON_CODER_DATA_DIR: nothing is overwritten.",
        )


def _require_no_rows(connection: Connection) -> None:
    for table in Table.metadata.sorted_tables:
        count = connection.scalar(select(func.count()).select_from(table))
        if count:
            raise RequestError(
                f"The database is not empty: there are {count} rows in {table.name!r}.",
                "Name another one with DATABASE_URL or PYTHON_CODER_DATA_DIR: nothing is "
                "overwritten.",
            )

    steps = count_steps(connection)
    if steps:
        raise RequestError(
            f"The database is not empty: there are {steps} steps of runs.",
            "Name another one with DATABASE_URL: nothing is overwritten.",
        )


def _import(connection: Connection, name: str, content: IO[bytes], summary: Summary) -> None:
    table = Table.metadata.tables.get(name)
    if table is None:
        raise RequestError(f"The backup has a table {name!r} that is not known.", "Use another.")
    columns = {column.name for column in table.columns}
    rows: list[dict[str, Any]] = []
    count = 0
    for line in content:
        row = _row(line, columns)
        rows.append(row)
        count += 1
        if len(rows) >= AT_A_TIME:
            connection.execute(insert(table), rows)
            rows.clear()
    if rows:
        connection.execute(insert(table), rows)
    summary.rows[name] = count


def _row(line: bytes, columns: set[str]) -> dict[str, Any]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        row = None
    if not isinstance(row, dict) or not row.keys() <= columns:
        raise RequestError("The backup is damaged: a row of it cannot be read.", "Use another.")
    return row


def _count_on(connection: Connection) -> None:
    """New rows stand behind those that came with their places (SQLite counts on by itself)."""
    if connection.dialect.name != "postgresql":
        return
    for table in Table.metadata.sorted_tables:
        connection.execute(
            text(
                f"SELECT setval(pg_get_serial_sequence('{table.name}', 'position'), "
                f"(SELECT coalesce(max(position), 0) + 1 FROM {table.name}), false)"
            )
        )


def _write(path: Path, content: IO[bytes], written: list[Path]) -> tuple[str, int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    written.append(path)
    digest = hashlib.sha256()
    with os.fdopen(handle, "wb") as file:
        while chunk := content.read(1024 * 1024):
            digest.update(chunk)
            file.write(chunk)
        return digest.hexdigest(), file.tell()
