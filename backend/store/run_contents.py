"""Which bytes runs have: what the files are made of that their results tell of.

Asked by digest, so that nobody has to read all results before bytes are removed. A run that is
forgotten takes its rows along.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from backend.store.database import owned_by
from backend.store.ownership import SHARED, of_any_owner
from backend.store.run_records import digests_of
from backend.store.tables import FileRow, RunContentRow, RunRow

_AT_A_TIME = 500


def note_contents(
    connection: Connection, run_id: str, result: Mapping[str, Any] | None, *, owner: str
) -> None:
    """Record what a run's result tells of, instead of what a former one did."""
    mine = (owned_by(RunContentRow, owner), RunContentRow.run_id == run_id)
    connection.execute(delete(RunContentRow).where(*mine))
    if rows := _rows(run_id, owner, result):
        connection.execute(insert(RunContentRow), rows)


def used_contents(
    connection: Connection, digests: Collection[str], *, by_runs: bool = True
) -> set[str]:
    """Those of these digests that a file, or a run as well, has; of any owner: bytes are shared."""
    tables = (FileRow, RunContentRow) if by_runs else (FileRow,)
    asked, used = [*digests], set[str]()
    for begin in range(0, len(asked), _AT_A_TIME):
        some = asked[begin : begin + _AT_A_TIME]
        for table in tables:
            query = select(table.sha256).where(table.sha256.in_(some)).distinct()
            used.update(connection.scalars(of_any_owner(query, SHARED)))
    return used


def fill_contents(connection: Connection) -> None:
    """Record what all results tell of: they come from where nobody did."""
    position = 0
    while True:
        columns = (RunRow.position, RunRow.id, RunRow.owner, RunRow.result)
        query = select(*columns).where(RunRow.position > position).order_by(RunRow.position)
        found = connection.execute(of_any_owner(query.limit(_AT_A_TIME), SHARED)).all()
        rows = [row for _, *run, result in found for row in _rows(run[0], run[1], result)]
        if rows:
            connection.execute(insert(RunContentRow), rows)
        if len(found) < _AT_A_TIME:
            return
        position = found[-1].position


def _rows(run_id: str, owner: str, result: Mapping[str, Any] | None) -> Sequence[dict[str, Any]]:
    given = {"run_id": run_id, "owner": owner, "created_at": time.time()}
    return [given | {"sha256": each} for each in sorted(digests_of(result))]
