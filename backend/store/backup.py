"""A backup of everything a server keeps, taken while it runs, and put back into an empty place.

Rows are written as JSON, so what was kept in SQLite can go on in PostgreSQL and the other way round.
All of it is as it was at one moment: the rows are read in one transaction, and the bytes they refer
to are held by second links before any can be removed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import IO

from sqlalchemy import Connection, select, text
from sqlalchemy import Table as Relation

from backend.config.settings import Settings
from backend.store import archive
from backend.store.audit import days_of, trail_folder
from backend.store.backup_parts import (
    AT_A_TIME,
    SECRET,
    STEP_ROWS,
    STEPS,
    Summary,
    connected,
    told,
)
from backend.store.backup_steps import export_steps
from backend.store.blobs import BlobStore
from backend.store.json_text import storable_json
from backend.store.migrations import HEAD
from backend.store.tables import Table


def write_backup(settings: Settings, target: Path) -> Summary:
    """Write a backup: database, files, steps of unfinished runs, audit trail, the links' secret.

    Blocks. The database is of this program's version: whoever opens it sees to that.

    Raises:
        RequestError: there is a file of that name already.
        StoreUnavailable: the database cannot be read, or the backup not be written.
    """
    summary, blobs = Summary(), BlobStore.of(settings).folder
    with ExitStack() as stack:
        writer = stack.enter_context(archive.create(target))
        held = Path(stack.enter_context(_folder_beside(settings.data_dir)))
        with told(), connected(settings) as connection:
            with _nothing_removed(blobs):
                _begin_reading(connection)
                _link_all(blobs, held)
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
        _add_trail(settings, writer, summary)
        writer.add_document(archive.LAST, {"rows": summary.rows, "files": summary.files})
    return summary


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
        query = select(table).order_by(table.c.position).execution_options(yield_per=AT_A_TIME)
        names = [str(column.name) for column in table.columns]
        for row in connection.execute(query):
            file.write(storable_json(dict(zip(names, row, strict=True))).encode() + b"\n")
            count += 1
        summary.rows[str(table.name)] = count
        yield file


def _add_rest(settings: Settings, writer: archive.Writer, held: Path) -> None:
    secret, steps = settings.data_dir / SECRET, settings.data_dir / STEPS
    if secret.exists():
        writer.add_file(f"files/{SECRET}", secret)
    if settings.database_url is None and steps.exists():
        copy = held.parent / STEPS
        with closing(sqlite3.connect(steps)) as kept, closing(sqlite3.connect(copy)) as to:
            kept.backup(to)
        writer.add_file(f"files/{STEPS}", copy)


def _add_trail(settings: Settings, writer: archive.Writer, summary: Summary) -> None:
    """Add the audit trail as it is now; lines that come meanwhile are in the next backup."""
    for day, path in days_of(trail_folder(settings)):
        with suppress(FileNotFoundError), path.open("rb") as file:  # it may have become too old
            writer.add_open(f"audit/{day}.jsonl", file)
            summary.days += 1


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
