"""What the modules about runs share: a row begun, read, looked for, and given up."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Select, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from backend.errors import NotFound
from backend.store.database import Database, new_id, owned_by
from backend.store.processes import presence_of, this_process
from backend.store.run_contents import used_contents
from backend.store.run_records import Run, RunKind, run_of, storable
from backend.store.tables import RunRow

STALE_S = 3600.0
"""Without a sign for so long, a run whose process cannot be looked at counts as interrupted."""
LOST_S = 90.0
"""The same for runs that servers work on: they give signs."""


def is_run(run_id: str, owner: str) -> tuple[Any, ...]:
    """The conditions for a run of an owner's."""
    return owned_by(RunRow, owner), RunRow.id == run_id


def is_own() -> tuple[ColumnElement[bool], ...]:
    """The conditions for a run that this process works on, and that nobody has taken from it.

    One that was given up for lost is still its own until another process takes it.
    """
    return RunRow.process == this_process(), RunRow.status.in_(("running", "interrupted"))


def of_key(owner: str, key: str) -> Select[RunRow]:
    """An owner's runs of identical requests, newest first."""
    mine = select(RunRow).where(owned_by(RunRow, owner), RunRow.key == key)
    return mine.order_by(RunRow.position.desc())


def lean(query: Select[RunRow]) -> Select[RunRow]:
    """The query without the columns that can be large."""
    large = (RunRow.result, RunRow.spec, RunRow.code, RunRow.response)
    return query.options(*(defer(column) for column in large))


async def read_run(database: Database, run_id: str, owner: str) -> Run:
    """A run with all that is known of it.

    Raises:
        NotFound: the owner has no such run.
    """
    async with database.transaction() as session:
        row = await session.scalar(select(RunRow).where(*is_run(run_id, owner)))
    if row is None:
        raise unknown_run(run_id)
    return run_of(row)


async def mark_interrupted(session: AsyncSession, run_id: str, owner: str, process: str) -> int:
    """Mark a run that a process left, unless another one has taken it since; how many that were."""
    mark = update(RunRow).where(
        *is_run(run_id, owner), RunRow.status == "running", RunRow.process == process
    )
    # What it wrote was written by now (see ``unfinished.py``).
    values = {"status": "interrupted", "updated_at": time.time()}
    return count_of(await session.execute(mark.values(**values)))


def count_of(done: object) -> int:
    """How many rows a statement changed."""
    assert isinstance(done, CursorResult)
    return int(done.rowcount)


def unknown_run(reference: str, param: str = "run_id") -> NotFound:
    """The error for a run that the owner does not have."""
    return NotFound(
        f"There is no run {reference[:80]!r}.",
        "`python-coder runs list` and GET /v1/runs show those there are.",
        param=param,
    )


def is_abandoned(process: str, updated_at: float, *, silence_s: float = STALE_S) -> bool:
    """Whether nobody works any more on what a process worked on, which gave a sign at this time."""
    presence = presence_of(process)
    return presence == "gone" or (presence == "unknown" and time.time() - updated_at > silence_s)


async def used_elsewhere(session: AsyncSession, digests: set[str]) -> set[str]:
    """Those of these digests that a file or a run refers to, of any owner."""
    connection = await session.connection()
    return await connection.run_sync(used_contents, digests)


def new_run(
    *,
    owner: str,
    kind: RunKind,
    request: str,
    model: str,
    spec: Mapping[str, Any] | None,
    session_id: str | None,
    key: str = "",
    parent: str | None = None,
) -> dict[str, Any]:
    """The columns of a run that this process begins to work on now."""
    now = time.time()
    return {
        "id": new_id("run"),
        "owner": owner,
        "created_at": now,
        "updated_at": now,
        "kind": kind,
        "key": key,
        "status": "running",
        "parent": parent,
        "request": storable(request),
        "spec": dict(spec or {}),
        "model": storable(model)[:255],
        "prompts": {},
        "code": "",
        "usage": {},
        "timings": {},
        "session_id": session_id,
        "process": this_process(),
    }
