"""``restore``: a backup, put back into an empty place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from backend.cli.backup import report
from backend.cli.options import json_option, read_settings
from backend.cli.signals import run_async

if TYPE_CHECKING:
    from backend.store.backup_parts import Summary


@click.command("restore")
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path))
@json_option
def command(source: Path, as_json: bool) -> int:
    """Put a backup back into the data folder and the database, both of which must be empty.

    Nothing is overwritten; of the audit trail, days that are there already and have more than the
    backup stay as they are. What was kept in SQLite may go on in PostgreSQL (DATABASE_URL), and the
    other way round; runs that were interrupted then begin anew.
    """
    import asyncio

    from backend.store.database import open_database
    from backend.store.restoring import read_backup
    from backend.tools.coder.checkpoints import open_checkpointer

    settings = read_settings()

    async def work() -> Summary:
        if settings.database_url is not None:
            async with open_checkpointer(settings):  # which creates its tables, as the next does
                pass
        async with open_database(settings):
            return await asyncio.to_thread(read_backup, settings, source)

    report(run_async(work()), f"Restored: {source}", as_json)
    return 0
