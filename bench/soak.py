"""``make soak``: does anything stay behind, or grow, when programs behave as badly as they can?

Thousands of programs of every sort, some at a time, in one executor; cells of a session killed in
every way; servers killed under load; the whole service under mixed load for an hour, on SQLite and
on PostgreSQL. Before and after, this process's descendants, descriptors and mounts, its control
groups and the files of the sandbox are counted, once while the executor is open and idle, and once
when it is closed. The exit status is 1 when anything is left, grows or ends otherwise than it must.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from backend.config.settings import load_settings
from backend.sandbox import open_executor
from bench import soak_runs, soak_servers, soak_service, soak_sessions
from bench.leftovers import take_inventory
from bench.machine import describe
from bench.processes import adopt_orphans, bury_orphans
from bench.soak_programs import PROGRAMS, Program, mixed

_SETTLE_S = 3.0
_Report = tuple[list[str], list[str]]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description="Soak the sandbox.")
    parser.add_argument("--runs", type=int, default=10_000, help="programs; %(default)s")
    parser.add_argument("--parallel", type=int, default=8, help="at a time; %(default)s")
    parser.add_argument("--session-kills", type=int, default=200, help="%(default)s")
    parser.add_argument("--server-kills", type=int, default=20, help="%(default)s")
    parser.add_argument(
        "--minutes",
        type=float,
        default=60,
        help="of load on the whole service, with each database; %(default)s",
    )
    parser.add_argument("--seed", type=int, default=1, help="of all chance; %(default)s")
    return parser.parse_args()


async def soak(arguments: argparse.Namespace, folder: Path) -> list[str]:
    """Run every part and print what became of it.

    Returns:
        The faults, a line each.
    """
    faults: list[str] = []

    def tell(what: _Report) -> None:
        print("\n".join(what[0]), flush=True)
        faults.extend(what[1])

    execution = folder / "execution"
    execution.mkdir()
    temporary = Path(tempfile.gettempdir())
    table = folder / "table.csv"
    table.write_text("a,b\n1,2\n3,4\n", encoding="utf-8")
    watched = [execution, temporary]
    closed = take_inventory(watched)
    async with open_executor("local", load_settings(execution_dir=execution)) as executor:

        async def run(programs: Sequence[Program]) -> soak_runs.Runs:
            parallel, seed = arguments.parallel, arguments.seed
            return await soak_runs.run_all(executor, programs, parallel, seed, table)

        await run(PROGRAMS)
        await asyncio.sleep(_SETTLE_S)
        idle = take_inventory(watched)
        tell(soak_runs.report(await run(mixed(arguments.runs, arguments.seed))))
        if arguments.session_kills:
            killed = await soak_sessions.kill_cells(executor, arguments.session_kills)
            tell(soak_sessions.report(killed, arguments.session_kills))
        await asyncio.sleep(_SETTLE_S)
        tell(_report("while open and idle", take_inventory(watched).more_than(idle)))
    await asyncio.sleep(_SETTLE_S)
    bury_orphans()
    left = take_inventory(watched).more_than(closed)
    kept = str(execution / "fonts")
    left["files"] = [each for each in left["files"] if not each.startswith(kept)]
    tell(_report("after closing", left))
    if arguments.server_kills:
        (folder / "servers").mkdir()
        gone = await soak_servers.kill_servers(
            folder / "servers", arguments.server_kills, arguments.seed
        )
        tell(soak_servers.report(gone))
    if arguments.minutes:
        (folder / "service").mkdir()
        kinds = get_args(soak_service.Kind)
        service = folder / "service"
        tell(await soak_service.soak_databases(service, arguments.minutes, arguments.seed, kinds))
    return faults


def _report(when: str, left: Mapping[str, list[str]]) -> _Report:
    line = f"left {when}: " + ", ".join(f"{len(found)} {what}" for what, found in left.items())
    faults = [f"left {when}: {what}: {each}" for what, found in left.items() for each in found[:10]]
    return [line], faults


def main() -> int:
    """Print the figures and the faults; 1 when there is a fault."""
    arguments = _arguments()
    print(f"{describe()}; seed {arguments.seed}", flush=True)
    adopt_orphans()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        # Whatever we and our servers put into the temporary folder is seen there, and is ours.
        temporary = Path(folder) / "temporary"
        temporary.mkdir(mode=0o1777)
        os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
        try:
            faults = asyncio.run(soak(arguments, Path(folder)))
        finally:
            tempfile.tempdir = None
    print("\n".join(faults) or "nothing left")
    print(f"{len(faults)} faults after {time.monotonic() - started:.0f} s")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
