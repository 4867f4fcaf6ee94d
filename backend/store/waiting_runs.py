"""Runs that stand still until their user has decided about a program."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, select, update

from backend.store.database import Database
from backend.store.processes import this_process
from backend.store.run_contents import note_contents
from backend.store.run_records import Run, not_waiting, run_of, run_taken, storable
from backend.store.run_rows import count_of, is_own, is_run, read_run, unknown_run
from backend.store.tables import RunRow


class WaitingRuns:
    """The part of ``RunStore`` that is about them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def wait(
        self, run_id: str, result: Mapping[str, Any], *, owner: str, pending: Mapping[str, Any]
    ) -> None:
        """Record that a run stands still until somebody decides about a program.

        Args:
            run_id: the run.
            result: what is known so far, plain JSON values.
            owner: whose it is.
            pending: the program in question, with its ``digest``.

        Raises:
            NotFound: the owner has no such run.
            RunTaken: it is not this process's any more.
        """
        values = {
            "status": "waiting",
            "code": storable(str(pending["code"])),
            "result": dict(result),
            "usage": dict(result.get("usage") or {}),
            "updated_at": time.time(),
        }
        spec = {"pending": dict(pending), "told_usage": result.get("usage")}
        if await self._update_spec(run_id, owner, lambda _: spec, values, *is_own()) is None:
            raise run_taken(await read_run(self._database, run_id, owner))

    async def decide(
        self,
        run_id: str,
        decision: Mapping[str, Any],
        *,
        owner: str,
        claim: bool = False,
        said: str | None = None,
        queued: Mapping[str, Any] | None = None,
        about: str = "",
    ) -> Run:
        """Record what was decided about the program that a run waits with; the run, which can go on.

        Args:
            run_id: the run.
            decision: plain JSON values.
            owner: whose it is.
            claim: this process goes on with it, and nobody else may.
            said: the decision in the user's words, for the conversation.
            queued: it goes on in the background, whichever server takes it, with this in its spec.
            about: the digest of the program that was decided about; '' for the one it waits with.

        Raises:
            NotFound: the owner has no such run.
            Conflict: it does not wait, or somebody else was faster.
        """
        values: dict[str, Any] = {"status": "interrupted", "updated_at": time.time()}
        values |= {"result": None, "response": None}
        if claim:
            values |= {"status": "running", "process": this_process()}
        spec: dict[str, Any] = {"said": said} if said else {}
        if queued is not None:
            values |= {"background": True}
            spec |= queued

        def decided(known: Mapping[str, Any]) -> dict[str, Any] | None:
            if (digest := _digest_of(known, about)) is None:
                return None
            former = known.get("decided") or {}
            return {**spec, "pending": None, "decided": {**former, digest: dict(decision)}}

        waits = RunRow.status == "waiting"
        changed = await self._update_spec(run_id, owner, decided, values, waits)
        if changed is None:
            raise not_waiting(await read_run(self._database, run_id, owner))
        return changed

    async def leave(
        self, run_id: str, result: Mapping[str, Any], *, owner: str, about: str = ""
    ) -> None:
        """End a run that waits; nobody goes on with it.

        Args:
            run_id: the run.
            result: what is recorded of it, plain JSON values.
            owner: whose it is.
            about: as ``decide``.

        Raises:
            NotFound: the owner has no such run.
            Conflict: it does not wait, or with another program.
        """
        now = time.time()
        values = {
            "status": "cancelled",
            "process": this_process(),  # whose it is to send the answer off
            "result": dict(result),
            "response": None,
            "updated_at": now,
            "finished_at": now,
        }

        def left(known: Mapping[str, Any]) -> dict[str, Any] | None:
            return None if _digest_of(known, about) is None else {"pending": None}

        if await self._update_spec(run_id, owner, left, values, RunRow.status == "waiting") is None:
            raise not_waiting(await read_run(self._database, run_id, owner))

    async def _update_spec(
        self,
        run_id: str,
        owner: str,
        change: Callable[[Mapping[str, Any]], Mapping[str, Any] | None],
        values: Mapping[str, Any],
        *conditions: ColumnElement[bool],
    ) -> Run | None:
        """Change a run and a part of its spec at once: ``change`` says what, or None for nothing.

        Returns:
            The run as it is then: read afterwards, a store that fails in between would leave it
            claimed, and nobody to work on it. None where it stands otherwise than it should.
        """
        async with self._database.transaction() as session:
            # Changes nothing, and keeps others from changing it: a reader that turns into a writer
            # would fail at once (see database.py), and of two the later one would win.
            mine = update(RunRow).where(*is_run(run_id, owner))
            if count_of(await session.execute(mine.values(status=RunRow.status))) == 0:
                raise unknown_run(run_id)
            known = await session.scalar(select(RunRow.spec).where(*is_run(run_id, owner))) or {}
            if (spec := change(known)) is None:
                return None
            done = await session.execute(
                update(RunRow)
                .where(*is_run(run_id, owner), *conditions)
                .values(**values, spec={**known, **spec})
            )
            if count_of(done) == 0:
                return None
            connection = await session.connection()
            await connection.run_sync(note_contents, run_id, values.get("result"), owner=owner)
            row = await session.scalar(select(RunRow).where(*is_run(run_id, owner)))
            return None if row is None else run_of(row)


def _digest_of(spec: Mapping[str, Any], about: str) -> str | None:
    """The digest of the program that a run waits with; None for none, or another than is meant."""
    digest = (spec.get("pending") or {}).get("digest")
    return None if digest is None or about not in {"", digest} else str(digest)
