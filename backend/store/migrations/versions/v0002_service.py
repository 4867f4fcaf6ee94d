"""What a service needs: keys, events of runs, responses, containers, files that expire."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_POSITION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add columns to files and runs, and the new tables."""
    op.add_column("files", sa.Column("session_id", sa.String(128)))
    op.add_column("files", sa.Column("expires_at", sa.Float()))
    op.create_index("ix_files_expires_at", "files", ["expires_at"])
    for name in ("background", "cancel_requested"):
        flag: sa.Column[bool] = sa.Column(
            name, sa.Boolean(), nullable=False, server_default=sa.false()
        )
        op.add_column("runs", flag)
    op.add_column("runs", sa.Column("response", sa.JSON()))
    to_do = sa.text("background AND response IS NULL")
    op.create_index("runs_to_do", "runs", ["status"], sqlite_where=to_do, postgresql_where=to_do)
    _create_events()
    _create_keys()
    _create_responses()
    _create_containers()


def downgrade() -> None:
    """Remove them, with what is in them."""
    for table in ("containers", "responses", "api_keys", "run_events"):
        op.drop_table(table)
    op.drop_index("runs_to_do", "runs")
    with op.batch_alter_table("runs") as runs:
        for name in ("response", "cancel_requested", "background"):
            runs.drop_column(name)
    op.drop_index("ix_files_expires_at", "files")
    with op.batch_alter_table("files") as files:
        for name in ("expires_at", "session_id"):
            files.drop_column(name)


def _of_everybody() -> tuple[sa.Column[int], sa.Column[str], sa.Column[float]]:
    return (
        sa.Column("position", _POSITION, primary_key=True, autoincrement=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
    )


def _create_events() -> None:
    op.create_table(
        "run_events",
        *_of_everybody(),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.UniqueConstraint("owner", "run_id", "sequence"),
    )


def _create_keys() -> None:
    op.create_table(
        "api_keys",
        *_of_everybody(),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("expires_at", sa.Float()),
        sa.Column("revoked_at", sa.Float()),
        sa.Column("last_used_at", sa.Float()),
        sa.Column("requests_per_minute", sa.Integer()),
        sa.Column("max_parallel", sa.Integer()),
    )
    op.create_index("api_keys_of_owner", "api_keys", ["owner", "position"])
    good = sa.text("revoked_at IS NULL")
    op.create_index(
        "api_keys_name",
        "api_keys",
        ["name"],
        unique=True,
        sqlite_where=good,
        postgresql_where=good,
    )


def _create_responses() -> None:
    op.create_table(
        "responses",
        *_of_everybody(),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("session_id", sa.String(128)),
        sa.Column("previous", sa.String(64)),
        sa.Column("input", sa.JSON(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
    )
    op.create_index("responses_of_session", "responses", ["owner", "session_id"])


def _create_containers() -> None:
    op.create_table(
        "containers",
        *_of_everybody(),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("session_id", sa.String(128), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("last_active_at", sa.Float(), nullable=False),
    )
    op.create_index("containers_of_owner", "containers", ["owner", "position"])
