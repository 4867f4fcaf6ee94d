"""Looks through a store and says what in it does not fit together: after kills, after hours of load.

It reads the tables and the data folder as they lie there, not through the stores that wrote them. No
server may be at work on them meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, select, text
from sqlalchemy.engine import make_url

from backend.store.processes import presence_of
from backend.store.run_records import OVER, digests_of
from backend.store.tables import FileRow, MessageRow, RunEventRow, RunRow, SessionRow

_LAST = {f"run.{status}" for status in OVER}


def check_store(url: str | None, data_dir: Path) -> list[str]:
    """Every fault of a store, a sentence each; [] for one that is whole.

    Args:
        url: ``DATABASE_URL``; None for the SQLite file in the data folder.
        data_dir: where the bytes lie, and with SQLite the database and the checkpoints.
    """
    place = make_url(url or f"sqlite:///{data_dir / 'python-coder.db'}")
    driver = "sqlite" if place.get_backend_name() == "sqlite" else "postgresql+psycopg"
    engine = create_engine(place.set(drivername=driver))
    try:
        with engine.connect() as connection:
            return [
                *_sqlite_faults(connection),
                *_run_faults(connection),
                *_event_faults(connection),
                *_turn_faults(connection),
                *_file_faults(connection, data_dir),
                *_step_faults(connection, data_dir),
            ]
    finally:
        engine.dispose()


def _sqlite_faults(connection: Connection) -> Iterator[str]:
    if connection.dialect.name != "sqlite":
        return
    for row in connection.execute(text("PRAGMA integrity_check")):
        if row[0] != "ok":
            yield f"SQLite: {row[0]}."
    for row in connection.execute(text("PRAGMA foreign_key_check")):
        yield f"SQLite: a row of {row[0]} refers to nothing."


def _run_faults(connection: Connection) -> Iterator[str]:
    for row in connection.execute(select(RunRow.__table__)).mappings():
        name = f"The run {row['id']}"
        if row["status"] in OVER and row["finished_at"] is None:
            yield f"{name} is {row['status']} and never finished."
        if row["status"] == "completed" and not row["result"]:
            yield f"{name} is completed and has no result."
        if row["status"] == "failed" and not _reason(row["result"] or {}):
            yield f"{name} failed without a reason."
        if row["status"] == "running" and presence_of(row["process"]) == "gone":
            yield f"{name} is running, and its process is gone."
        if row["background"] and row["status"] in (*OVER, "waiting") and row["response"] is None:
            yield f"{name} is {row['status']} and has no response."


def _reason(result: dict[str, Any]) -> str:
    return str(result.get("error") or result.get("text") or "")


def _event_faults(connection: Connection) -> Iterator[str]:
    numbers: dict[str, list[int]] = defaultdict(list)
    kinds: dict[str, list[str]] = defaultdict(list)
    events = select(RunEventRow.run_id, RunEventRow.sequence, RunEventRow.kind)
    for run_id, number, kind in connection.execute(events.order_by(RunEventRow.sequence)):
        numbers[run_id].append(number)
        kinds[run_id].append(kind)
    runs = connection.execute(select(RunRow.id, RunRow.status, RunRow.background)).all()
    for run_id in numbers.keys() - {run_id for run_id, _, _ in runs}:
        yield f"There are events of the run {run_id}, which is not there."
    for run_id, status, background in runs:
        if not background:
            continue
        if numbers[run_id] != list(range(1, len(numbers[run_id]) + 1)):
            yield f"The events of the run {run_id} are not numbered from 1 without gaps."
        ends = [kind for kind in kinds[run_id] if kind in _LAST]
        expected = [f"run.{status}"] if status in OVER else []
        if ends != expected or (ends and kinds[run_id][-1] not in _LAST):
            yield f"The run {run_id} is {status}, and its events end with {kinds[run_id][-3:]}."


def _turn_faults(connection: Connection) -> Iterator[str]:
    answers: Counter[tuple[str, str, str]] = Counter()
    there = {tuple(row) for row in connection.execute(select(SessionRow.owner, SessionRow.id))}
    columns = (MessageRow.owner, MessageRow.session_id, MessageRow.role, MessageRow.details)
    for owner, session_id, role, details in connection.execute(select(*columns)):
        if (owner, session_id) not in there:
            yield f"A message belongs to the session {session_id}, which is not there."
        if role == "assistant" and details.get("run_id"):
            program = json.dumps((details.get("approval") or {}).get("code"))
            answers[session_id, details["run_id"], program] += 1
    for (session_id, run_id, _), count in answers.items():
        if count > 1:
            yield f"The session {session_id} has {count} answers of the run {run_id}."


def _file_faults(connection: Connection, data_dir: Path) -> Iterator[str]:
    files = connection.execute(select(FileRow.id, FileRow.sha256, FileRow.size)).all()
    for file_id, sha256, size in files:
        fault = _blob_fault(data_dir, sha256)
        if fault or (data_dir / "blobs" / sha256[:2] / sha256).stat().st_size != size:
            yield f"The file {file_id}: {fault or 'its size is another one'}."
    known = {file_id for file_id, _, _ in files}
    for session_id, details in connection.execute(
        select(MessageRow.session_id, MessageRow.details).where(MessageRow.role == "assistant")
    ):
        for artifact in details.get("artifacts") or ():
            if artifact["id"] not in known:
                yield f"An answer in {session_id} names the file {artifact['id']}, which is gone."
    for run_id, result in connection.execute(select(RunRow.id, RunRow.result)):
        for sha256 in digests_of(result):
            if fault := _blob_fault(data_dir, sha256):
                yield f"A file of the run {run_id}: {fault}."


def _blob_fault(data_dir: Path, sha256: str) -> str:
    place = data_dir / "blobs" / sha256[:2] / sha256
    if not place.is_file():
        return f"the bytes {sha256[:12]} are gone"
    with place.open("rb") as file:
        is_whole = hashlib.file_digest(file, "sha256").hexdigest() == sha256
    return "" if is_whole else f"the bytes {sha256[:12]} are others by now"


def _step_faults(connection: Connection, data_dir: Path) -> Iterator[str]:
    """Steps that are kept of runs that nobody goes on with."""
    if connection.dialect.name == "sqlite":
        path = data_dir / "checkpoints.db"
        if not path.exists():
            return
        with closing(sqlite3.connect(path)) as file:
            threads = {row[0] for row in file.execute("SELECT DISTINCT thread_id FROM checkpoints")}
    else:
        found = connection.execute(text("SELECT DISTINCT thread_id FROM checkpoints"))
        threads = {row[0] for row in found}
    over = connection.execute(select(RunRow.id).where(RunRow.status.in_(OVER))).scalars()
    ended = set(over)
    for thread in sorted(threads):
        if thread.partition("/")[0] in ended:
            yield f"Steps of {thread} are kept, and it is over."
