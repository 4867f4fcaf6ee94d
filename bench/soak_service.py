"""The whole service under mixed load for a while, killed and started again under way.

Clients chat, stream, plan, run programs, upload, ask in the background and by the Responses API;
some leave in the middle, some do not read, some cancel. At the end a server that has been let go of
holds no more than before; the store fits together, every run has ended, and no file that was taken
is lost.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, get_args

import httpx

from bench.postgres import postgres_cluster, postgres_programs
from bench.processes import adopt_orphans, bury_orphans, living, resident_mib
from bench.served import Served, served
from bench.service import SCRIPT
from bench.soak_deeds import DEEDS, Client, Seen
from bench.store_check import check_store

Kind = Literal["sqlite", "postgresql"]
"""Of database."""

Report = tuple[list[str], list[str]]

_CLIENTS = 8
_LIVES, _FEW_LIVES = 4, 2
"""Servers one after another; all but the last are killed under load. Few where there is little time."""
_SHORT_MINUTES = 2.0
_SETTLE_S = 6.0
_ENDS_S = 120.0
"""Seconds until runs that are under way have ended."""
_MAX_DESCRIPTORS = 16 * 6
"""More than at the begin: so many sessions are kept alive, which have five or six each, and in a short
soak there is none at the begin."""
_MAX_GROWTH_MIB = 48.0
"""Over the second half of the last server's life; the first half is for caches to fill."""
_PATIENCE_S = 60.0


async def soak_service(folder: Path, minutes: float, seed: int, url: str | None = None) -> Seen:
    """Press on servers that share a folder.

    Args:
        folder: an empty one.
        minutes: of load altogether; the last server has what the killed ones left of them.
        seed: of all chance.
        url: ``DATABASE_URL``; None for SQLite.
    """
    seen = Seen()
    chance = random.Random(seed)
    lives = _LIVES if minutes > _SHORT_MINUTES else _FEW_LIVES
    each_s = minutes * 60 / lives
    left_s = minutes * 60
    before = set(living())
    variables = {"DATABASE_URL": url} if url else {}
    for life in range(lives):
        async with served(folder, SCRIPT, variables) as server:
            if life < lives - 1:
                for_s = each_s * chance.uniform(0.5, 1)
                await _press(server, seen, chance, for_s, kill=True)
                left_s -= for_s
                await asyncio.sleep(0.5)  # for what goes with it
            else:
                await _live_and_rest(server, seen, chance, left_s)
                await _account(server, seen)
    for fault in check_store(url, folder / "data"):
        seen.faults[f"the store: {fault}"] += 1
    for process in set(living()) - before:
        if not process.startswith("postgres "):  # it has workers of its own, and is ended after us
            seen.faults[f"left running: {process}"] += 1
    return seen


async def _live_and_rest(server: Served, seen: Seen, chance: random.Random, for_s: float) -> None:
    """A server's life in which it is measured, idle, before and after.

    Every kind of deed is in it, however short it is.
    """
    await _press(server, seen, chance, for_s / 4, at_least=len(DEEDS))
    await _let_runs_end(server, seen)
    descriptors = _descriptors(server.pid)
    await _press(server, seen, chance, for_s / 4)
    middle = resident_mib(server.pid)
    await _press(server, seen, chance, for_s / 2)
    await _let_runs_end(server, seen)
    await asyncio.sleep(_SETTLE_S)
    seen.growth_mib = resident_mib(server.pid) - middle
    seen.descriptors = _descriptors(server.pid) - descriptors


async def _press(
    server: Served,
    seen: Seen,
    chance: random.Random,
    for_s: float,
    *,
    kill: bool = False,
    at_least: int = 0,
) -> None:
    """Let all clients act for so long, and until so many deeds are begun.

    Args:
        server: that is pressed on.
        seen: is added to.
        chance: of who does what.
        for_s: seconds.
        kill: the server at the end of them, amid the deeds.
        at_least: deeds, if that takes longer.
    """
    deeds = _shuffled(chance, time.monotonic() + (math.inf if kill else for_s), at_least)
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=server.url, timeout=_PATIENCE_S, limits=limits, trust_env=False
    ) as http:
        client = Client(url=server.url, http=http, chance=chance, seen=seen)
        tasks = [asyncio.create_task(_act(client, deeds)) for _ in range(_CLIENTS)]
        if kill:
            await asyncio.sleep(for_s)
            seen.is_dying = True
            os.kill(server.pid, signal.SIGKILL)
            seen.kills += 1
        await asyncio.gather(*tasks)
        seen.is_dying = False


def _shuffled(chance: random.Random, ends: float, at_least: int) -> Iterator[str]:
    """Names of deeds until the clock says ``ends``: all kinds, then all in another order."""
    dealt = 0
    while True:
        for name in chance.sample(list(DEEDS), len(DEEDS)):
            if dealt >= at_least and time.monotonic() >= ends:
                return
            dealt += 1
            yield name


async def _act(client: Client, deeds: Iterator[str]) -> None:
    for name in deeds:
        if client.seen.is_dying:
            return
        try:
            await DEEDS[name](client)
        except (httpx.TransportError, ConnectionError, OSError) as error:
            if not client.seen.is_dying:
                client.seen.faults[f"{name}: {type(error).__name__} {error}"] += 1
        except AssertionError as error:
            client.seen.faults[f"{name}: {error}"] += 1
        else:
            client.seen.done[name] += 1


async def _let_runs_end(server: Served, seen: Seen) -> None:
    ends = time.monotonic() + _ENDS_S
    left = {"queued", "running"}
    async with httpx.AsyncClient(base_url=server.url, timeout=_PATIENCE_S) as http:
        while left and time.monotonic() < ends:
            for status in list(left):
                listed = await http.get("/v1/runs", params={"status": status, "limit": 1})
                if not listed.json()["data"]:
                    left.discard(status)
            await asyncio.sleep(0.2)
    if left:
        seen.faults[f"runs that are still {', '.join(sorted(left))}"] += 1


async def _account(server: Served, seen: Seen) -> None:
    """Every run ended once, and every file there is."""
    async with httpx.AsyncClient(base_url=server.url, timeout=_PATIENCE_S) as http:
        for name in seen.runs:
            run = (await http.get(f"/v1/runs/{name}")).json()
            if run.get("status") not in {"completed", "failed", "cancelled"}:
                seen.faults[f"a run is {run.get('status')}"] += 1
        for name, content in seen.files.items():
            if (await http.get(f"/v1/files/{name}/content")).content != content:
                seen.faults["a file is lost or another one"] += 1


def _descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def report(seen: Seen) -> Report:
    """Lines to print, and faults among them."""
    kinds = ", ".join(f"{count} {name}" for name, count in sorted(seen.done.items()))
    lines = [
        f"the service: {seen.done.total()} deeds ({kinds}); {seen.kills} servers killed; "
        f"{len(seen.runs)} runs in the background, {len(seen.files)} files kept; memory "
        f"{seen.growth_mib:+.0f} MiB, descriptors {seen.descriptors:+d}"
    ]
    faults = [f"the service: {count} times {what}" for what, count in seen.faults.most_common(20)]
    if seen.growth_mib > _MAX_GROWTH_MIB:
        faults.append(f"the service's memory grew by {seen.growth_mib:.0f} MiB")
    if seen.descriptors > _MAX_DESCRIPTORS:
        faults.append(f"the service has {seen.descriptors} descriptors more than at its begin")
    if missing := [name for name in DEEDS if not seen.done[name]]:
        faults.append(f"the service: never done: {', '.join(missing)}")
    return lines, faults


async def soak_databases(folder: Path, minutes: float, seed: int, kinds: Sequence[Kind]) -> Report:
    """Press on the service with each kind of database, one after the other.

    Returns:
        Lines to print, and faults among them.
    """
    lines: list[str] = []
    faults: list[str] = []
    for kind in kinds:
        with ExitStack() as stack:
            url = None
            if kind == "postgresql":
                programs = postgres_programs()
                if programs is None:
                    lines.append("the service on PostgreSQL: install it, apt install postgresql")
                    continue
                url = stack.enter_context(postgres_cluster(programs))
            own = folder / kind
            own.mkdir()
            seen = await soak_service(own, minutes, seed, url)
        seen_lines, seen_faults = report(seen)
        lines += [f"{kind}: {line}" for line in seen_lines]
        faults += [f"{kind}: {fault}" for fault in seen_faults]
    return lines, faults


def main() -> int:
    """``python -m bench.soak_service``: this part alone."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak_service")
    parser.add_argument("minutes", type=float, help="with each database")
    parser.add_argument("--database", choices=get_args(Kind), help="this one alone")
    parser.add_argument("--seed", type=int, default=1, help="of all chance; %(default)s")
    given = parser.parse_args()
    kinds = (given.database,) if given.database else get_args(Kind)
    adopt_orphans()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    lines, faults = asyncio.run(soak_databases(folder, given.minutes, given.seed, kinds))
    bury_orphans()
    print("\n".join([*lines, *faults]))
    if faults:
        print(f"What the servers wrote and kept is in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
