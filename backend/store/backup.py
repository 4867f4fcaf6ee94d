"""A backup of everything a server keeps, taken while it runs, and put back into an empty place.

Rows are written as JSON, so what was kept in SQLite can go on in PostgreSQL and the other way round.
All of it is as it was at one moment: the rows are read in one transaction, and the bytes they refer
to are held by second links before any can be removed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson
from sqlalchemy import Connection, Engine, NullPool, create_engine, func, insert, select, text
from sqlalchemy import Table as Relation
from sqlalchemy.exc import SQLAlchemyError

from backend.config.settings import Settings
from backend.errors import RequestError, StoreUnavailable
from backend.store import archive
from backend.store.addresses import database_url, engine_options
from backend.store.backup_steps import count_steps, export_steps, import_steps
from backend.store.json_text import storable_json
from backend.store.migrations import HEAD
from backend.store.tables import Table

SECRET, STEPS, STEP_ROWS = "link-secret", "checkpoints.db", "steps.jsonl"
_AT_A_TIME = 500


@dataclass(kw_only=True)
class Summary:
    """What a backup holds."""

    rows: dict[str, int] = field(default_factory=dict)
    """Table -> rows."""
    files: int = 0
    """Contents of files; the same ones once."""
    bytes: int = 0
    """Of these."""


def write_backup(settings: Settings, target: Path) -> Summary:
    """Write a backup of the database, the files, the steps of unfinished runs and the links' secret.

    Blocks. The database is of this program's version: whoever opens it sees to that.

    Raises:
        RequestError: there is a file of that name already.
        StoreUnavailable: the database cannot be read, or the backup not be written.
    """
    summary = Summary()
    with ExitStack() as stack:
        writer = stack.enter_context(archive.create(target))
        held = Path(stack.enter_context(_folder_beside(settings.data_dir)))
        with _told(), _connected(settings) as connection:
            with _nothing_removed(settings.data_dir / "blobs"):
                _begin_reading(connection)
                _link_all(settings.data_dir / "blobs", held)
            about = {"format": archive.FORMAT, "version": HEAD, "created_at": time.time()}
            writer.add_document(archive.FIRST, about)
            tables = [
                (each.name, stack.enter_context(_exported(connection, each, summary)))
                for each in Table.metadata.sorted_tables
            ]
            steps = stack.enter_context(tempfile.TemporaryFile())
            export_steps(connection, steps)
        for blob in sorted(held.iterdir()):
            writer.add_file(f"blobs/{blob.name}", blob)
            summary.files += 1
            summary.bytes += blob.stat().st_size
        for name, rows in tables:
            writer.add_open(f"tables/{name}.jsonl", rows)
        if connection.dialect.name == "postgresql":
            writer.add_open(f"files/{STEP_ROWS}", steps)
        _add_rest(settings, writer, held)
        writer.add_document(archive.LAST, {"rows": summary.rows, "files": summary.files})
    return summary


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
        with _told(), _connected(settings) as connection, connection.begin():
            _require_no_rows(connection)
            for name, content in archive.parts(source):
                _put_back(name, content, settings, connection, summary, written)
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
        told = archive.read_document(content)
        if told != {"rows": summary.rows, "files": summary.files}:
            raise RequestError("The backup is damaged: some of it is missing.", "Use another.")
    elif kind == "blobs":
        path = settings.data_dir / "blobs" / rest[:2] / rest
        digest, size = _write(path, content, written)
        if digest != rest:
            raise RequestError("The backup is damaged: a file in it has changed.", "Use another.")
        summary.files += 1
        summary.bytes += size
    elif kind == "tables":
        _import(connection, rest.removesuffix(".jsonl"), content, summary)
    elif rest == STEP_ROWS:
        import_steps(connection, content)
    elif rest == SECRET or (rest == STEPS and settings.database_url is None):
        _write(settings.data_dir / rest, content, written)


def _check_version(about: dict[str, Any]) -> None:
    version, form = str(about.get("version")), about.get("format")
    if form != archive.FORMAT or version > HEAD:
        raise RequestError(
            f"The backup is of a newer python-coder: version {version}, this program knows up to "
            f"{HEAD}.",
            "Restore it with that version.",
        )


def _require_no_files(settings: Settings) -> None:
    places = [settings.data_dir / name for name in (SECRET, STEPS)]
    there = [
        *(settings.data_dir / "blobs").glob("??/*"),
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


@contextmanager
def _connected(settings: Settings) -> Iterator[Connection]:
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


def _begin_reading(connection: Connection) -> None:
    """From here on the database is seen as it is now, whatever is written meanwhile."""
    if connection.dialect.name == "postgresql":
        connection.execution_options(isolation_level="REPEATABLE READ")
        connection.execute(text("SET LOCAL statement_timeout = 0"))
    else:
        connection.exec_driver_sql("BEGIN")
    connection.execute(select(Table.metadata.sorted_tables[0]).limit(1)).all()


@contextmanager
def _exported(connection: Connection, table: Relation, summary: Summary) -> Iterator[IO[bytes]]:
    """A temporary file with the rows of a table, one a line."""
    with tempfile.TemporaryFile() as file:
        count = 0
        query = select(table).order_by(table.c.position).execution_options(yield_per=_AT_A_TIME)
        names = [str(column.name) for column in table.columns]
        for row in connection.execute(query):
            file.write(storable_json(dict(zip(names, row, strict=True))).encode() + b"\n")
            count += 1
        summary.rows[str(table.name)] = count
        yield file


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
        if len(rows) >= _AT_A_TIME:
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


def _add_rest(settings: Settings, writer: archive.Writer, held: Path) -> None:
    secret, steps = settings.data_dir / SECRET, settings.data_dir / STEPS
    if secret.exists():
        writer.add_file(f"files/{SECRET}", secret)
    if settings.database_url is None and steps.exists():
        copy = held.parent / STEPS
        with closing(sqlite3.connect(steps)) as kept, closing(sqlite3.connect(copy)) as to:
            kept.backup(to)
        writer.add_file(f"files/{STEPS}", copy)


@contextmanager
def _folder_beside(data_dir: Path) -> Iterator[str]:
    """A folder on the same disk, where links can be made; gone afterwards."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="backup-", dir=data_dir) as folder:
        held = Path(folder) / "blobs"
        held.mkdir()
        yield str(held)


@contextmanager
def _nothing_removed(blobs: Path) -> Iterator[None]:
    """Whoever removes files waits meanwhile (see ``change_lock.py``)."""
    blobs.mkdir(parents=True, exist_ok=True)
    with (blobs / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def _link_all(blobs: Path, held: Path) -> None:
    for blob in blobs.glob("??/" + "?" * 64):
        with suppress(FileNotFoundError):
            try:
                os.link(blob, held / blob.name)
            except PermissionError:  # a file system without links
                shutil.copyfile(blob, held / blob.name)


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


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        raise StoreUnavailable(
            f"The database or the data folder cannot be used: {reason}.",
            "See that there is room, and that the database runs.",
        ) from error
