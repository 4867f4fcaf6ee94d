"""A server that is killed under load, again and again: nothing of it may outlive it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.leftovers import take_inventory
from bench.processes import living
from bench.programs import PANDAS
from bench.served import served

_CLIENTS = 6
_LOADS = (PANDAS, "while True: pass", "import time; time.sleep(600)", "print('x' * 1_000_000)")
_UNTIL_KILLED_S = (0.1, 0.8)
_SURVIVAL_S = 2.0


@dataclass(kw_only=True)
class Killed:
    """What was left of servers that were killed."""

    servers: int = 0
    busy: int = 0
    """Those among them that had processes at the moment they were killed: all, or it proves little."""
    left: list[str] = field(default_factory=list)


async def kill_servers(folder: Path, times: int, seed: int) -> Killed:
    """Kill a server under load so many times; the next one always finds the same folder.

    Args:
        folder: for the files of all of them.
        times: how often.
        seed: of the moments.
    """
    seen = Killed()
    chance = random.Random(seed)
    watched = [folder / "execution", Path(tempfile.gettempdir())]
    before = take_inventory(watched)
    pids: list[int] = []
    for _ in range(times):
        async with served(folder) as server:
            pids.append(server.pid)
            load = [
                asyncio.create_task(_ask_on(server.url, _LOADS[number % len(_LOADS)]))
                for number in range(_CLIENTS)
            ]
            await asyncio.sleep(chance.uniform(*_UNTIL_KILLED_S))
            seen.busy += bool(living(server.pid))
            os.kill(server.pid, signal.SIGKILL)
            await asyncio.sleep(_SURVIVAL_S)
            seen.servers += 1
            seen.left += [f"process {each}" for each in living()]
            await asyncio.gather(*load)
    async with served(folder):
        pass  # one that sweeps up after the last
    left = take_inventory(watched, pids).more_than(before)
    seen.left += _lasting(left, folder)
    return seen


def _lasting(left: dict[str, list[str]], folder: Path) -> Sequence[str]:
    """What a server may not leave to the next one: its font list, and what is no file, aside."""
    kept = str(folder / "execution" / "fonts")
    files = [f"file {each}" for each in left["files"] if not each.startswith(kept)]
    others = [f"{kind}: {each}" for kind in ("mounts", "cgroups") for each in left[kind]]
    return files + others


async def _ask_on(url: str, code: str) -> None:
    """Until the server is gone."""
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        with suppress(httpx.HTTPError):
            while True:
                await client.post("/v1/execute", json={"code": code, "check": False})


def report(seen: Killed) -> tuple[list[str], list[str]]:
    """Lines to print, and faults among them."""
    lines = [
        f"{seen.servers} servers killed under load: {len(seen.left)} things left "
        f"{_SURVIVAL_S:g} s later"
    ]
    faults = [f"left by a killed server: {each}" for each in seen.left[:20]]
    if seen.busy < seen.servers:
        faults.append(f"{seen.servers - seen.busy} servers had no process when they were killed")
    return lines, faults
