"""Files, conversations and runs: the tables before they had versions.

What is there already stays: a database of that time has some or all of them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_POSITION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create what is missing."""
    _create_files()
    _create_conversations()
    _create_runs()


def downgrade() -> None:
    """Remove everything."""
    for table in ("runs", "messages", "sessions", "files"):
        op.drop_table(table)


def _of_everybody() -> tuple[sa.Column[int], sa.Column[str], sa.Column[float]]:
    return (
        sa.Column("position", _POSITION, primary_key=True, autoincrement=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
    )


def _create_files() -> None:
    op.create_table(
        "files",
        *_of_everybody(),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("filename", sa.String(255), nullable=False),
        sa.Column("purpose", sa.String(64), nullable=False),
        sa.Column("media_type", sa.String(128), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        if_not_exists=True,
    )
    op.create_index("files_of_owner", "files", ["owner", "position"], if_not_exists=True)
    op.create_index("ix_files_sha256", "files", ["sha256"], if_not_exists=True)


def _create_conversations() -> None:
    op.create_table(
        "sessions",
        *_of_everybody(),
        sa.Column("id", sa.String(128), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.UniqueConstraint("owner", "id"),
        if_not_exists=True,
    )
    op.create_table(
        "messages",
        *_of_everybody(),
        sa.Column("session_id", sa.String(128), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner", "session_id"], ["sessions.owner", "sessions.id"], ondelete="CASCADE"
        ),
        if_not_exists=True,
    )
    op.create_index(
        "messages_of_session", "messages", ["owner", "session_id", "position"], if_not_exists=True
    )


def _create_runs() -> None:
    op.create_table(
        "runs",
        *_of_everybody(),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("name", sa.String(80)),
        sa.Column("parent", sa.String(64)),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("model", sa.String(255), nullable=False),
        sa.Column("prompts", sa.JSON(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("result", sa.JSON()),
        sa.Column("usage", sa.JSON(), nullable=False),
        sa.Column("timings", sa.JSON(), nullable=False),
        sa.Column("isolation", sa.JSON()),
        sa.Column("session_id", sa.String(128)),
        sa.Column("process", sa.String(255), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.Column("finished_at", sa.Float()),
        sa.UniqueConstraint("owner", "name", name="runs_name_of_owner"),
        if_not_exists=True,
    )
    op.create_index("runs_of_owner", "runs", ["owner", "position"], if_not_exists=True)
    op.create_index("runs_of_key", "runs", ["owner", "key", "status"], if_not_exists=True)
