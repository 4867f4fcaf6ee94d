"""A database moved to another version, by Alembic, in the transaction of the caller."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from backend.store.migrations import HEAD, VERSION_TABLE

NOTHING = "base"
"""The version of a database without tables."""


def upgrade(connection: Connection, version: str = HEAD) -> None:
    """Take all steps up to a version; a database that has none begins at the first.

    Raises:
        LookupError: its version is none of ours.
    """
    _move(connection, version, lambda script, now: script._upgrade_revs(version, now))


def downgrade(connection: Connection, version: str = NOTHING) -> None:
    """Take the steps back to a version.

    Raises:
        LookupError: its version is none of ours.
    """
    _move(connection, version, lambda script, now: script._downgrade_revs(version, now))


def scripts() -> ScriptDirectory:
    """All steps."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return ScriptDirectory.from_config(config)


def _move(
    connection: Connection, version: str, steps: Callable[[ScriptDirectory, Any], Any]
) -> None:
    script = scripts()

    def plan(now: Any, _context: MigrationContext) -> Any:
        return steps(script, now)

    with EnvironmentContext(Config(), script, fn=plan, destination_rev=version) as environment:
        environment.configure(
            connection=connection,
            version_table=VERSION_TABLE,
            # The caller has begun one already, which holds the lock as well.
            transactional_ddl=False,
        )
        try:
            environment.run_migrations()
        except CommandError as error:
            raise LookupError(str(error)) from error
