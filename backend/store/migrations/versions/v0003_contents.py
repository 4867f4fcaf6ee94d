"""Which bytes runs have, asked by digest; and which runs are not over."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

from backend.store.ownership import of_any_owner

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_POSITION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_AT_A_TIME = 200
_WHY = "a step to another version is for everybody's rows"
_UNFINISHED = sa.text("status NOT IN ('completed', 'failed', 'cancelled')")


def upgrade() -> None:
    """Add the table, with what the results that are there tell of."""
    contents = op.create_table(
        "run_contents",
        sa.Column("position", _POSITION, primary_key=True, autoincrement=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.UniqueConstraint("run_id", "sha256"),
    )
    op.create_index("ix_run_contents_sha256", "run_contents", ["sha256"])
    op.create_index(
        "runs_unfinished",
        "runs",
        ["created_at"],
        sqlite_where=_UNFINISHED,
        postgresql_where=_UNFINISHED,
    )
    _fill(contents)
    _note_interrupted()


def downgrade() -> None:
    """Remove both."""
    op.drop_index("runs_unfinished", "runs")
    op.drop_table("run_contents")


def _fill(contents: sa.Table) -> None:
    runs = sa.table(
        "runs",
        *(sa.column(name) for name in ("position", "id", "owner", "created_at")),
        sa.column("result", sa.JSON()),
    )
    every = sa.select(runs).order_by(runs.c.position).limit(_AT_A_TIME)
    query = of_any_owner(every, _WHY)
    position = 0
    while True:
        found = op.get_bind().execute(query.where(runs.c.position > position)).all()
        rows = [
            {"owner": run.owner, "created_at": run.created_at, "run_id": run.id, "sha256": sha256}
            for run in found
            for sha256 in sorted({*_digests(run.result or {})})
        ]
        if rows:
            op.bulk_insert(contents, rows)
        if len(found) < _AT_A_TIME:
            return
        position = found[-1].position


def _note_interrupted() -> None:
    """Say by when they had written what they did: nobody noted when it was found out."""
    runs = sa.table("runs", sa.column("status"), sa.column("updated_at"))
    mark = sa.update(runs).where(runs.c.status == "interrupted").values(updated_at=time.time())
    op.get_bind().execute(of_any_owner(mark, _WHY))


def _digests(result: Mapping[str, Any]) -> Iterator[str]:
    yield from (made["sha256"] for made in result.get("artifacts", ()))
    for use in result.get("python_coder_results", ()):
        yield from _digests(use)
