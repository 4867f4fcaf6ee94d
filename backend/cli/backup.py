"""``backup``: everything a server keeps, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backend.cli.options import json_option, read_settings
from backend.cli.output import print_json, print_line
from backend.cli.signals import run_async

if TYPE_CHECKING:
    from backend.store.backup_parts import Summary


@click.command("backup")
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path))
@json_option
def command(target: Path, as_json: bool) -> int:
    """Write everything a server keeps into FILE, which ends in .tar or .tar.gz.

    The server may run meanwhile: the backup is as it was at one moment. Whoever has it can read
    all conversations, files and programs: the audit trail is in it. `python-coder restore FILE`
    puts it back.
    """
    import asyncio

    from backend.store.backup import write_backup
    from backend.store.database import open_database

    settings = read_settings()

    async def work() -> Summary:
        async with open_database(settings):  # which brings it to this program's version
            return await asyncio.to_thread(write_backup, settings, target)

    report(run_async(work()), f"Written: {target}", as_json)
    return 0


def report(summary: Summary, line: str, as_json: bool) -> None:
    """Say what a backup holds."""
    if as_json:
        document: dict[str, Any] = {"success": True, "rows": summary.rows}
        document |= {"files": summary.files, "bytes": summary.bytes, "days": summary.days}
        print_json(document)
        return
    rows = ", ".join(f"{count} {table}" for table, count in summary.rows.items() if count)
    held = f"{rows or 'no rows'}; {summary.files} contents, {summary.bytes} bytes"
    print_line(f"{line} ({held}; {summary.days} days of the audit trail)")
