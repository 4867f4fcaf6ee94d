"""The whole service under mixed load for a while, killed and started again under way.

Clients chat, stream, plan, run programs, upload, ask in the background and by the Responses API;
some leave in the middle, some do not read, some cancel. At the end a server that has been let go of
holds no more than before; the store fits together, every run has ended, and no file that was taken
is lost.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import httpx

from bench.load import connected, request
from bench.postgres import postgres_cluster, postgres_programs
from bench.processes import adopt_orphans, bury_orphans, living, resident_mib
from bench.served import Served, served
from bench.service import SCRIPT, chat
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
_PLAIN = "import pandas as pd\nprint(pd.Series([1, 2, 3]).sum())"
_ENDLESS = "while True: pass"


@dataclass(kw_only=True)
class Service:
    """What the clients saw, and what was left."""

    done: Counter[str] = field(default_factory=Counter)
    """By kind of request, those that went as they should."""
    faults: Counter[str] = field(default_factory=Counter)
    runs: set[str] = field(default_factory=set)
    """Taken in the background."""
    files: dict[str, bytes] = field(default_factory=dict)
    """Taken, and not deleted."""
    kills: int = 0
    growth_mib: float = 0.0
    descriptors: int = 0
    """More than at the begin, of a server that idles again."""
    is_dying: bool = False
    """The server is being killed: answers that do not come are no faults."""


@dataclass(frozen=True, kw_only=True)
class _Client:
    url: str
    http: httpx.AsyncClient
    chance: random.Random
    seen: Service


_Deed = Callable[[_Client], Awaitable[None]]


async def soak_service(folder: Path, minutes: float, seed: int, url: str | None = None) -> Service:
    """Press on servers that share a folder.

    Args:
        folder: an empty one.
        minutes: of load altogether; the last server has what the killed ones left of them.
        seed: of all chance.
        url: ``DATABASE_URL``; None for SQLite.
    """
    seen = Service()
    chance = random.Random(seed)
    lives = _LIVES if minutes > _SHORT_MINUTES else _FEW_LIVES
    each_s = minutes * 60 / lives
    ends = time.monotonic() + minutes * 60
    before = set(living())
    variables = {"DATABASE_URL": url} if url else {}
    for life in range(lives):
        async with served(folder, SCRIPT, variables) as server:
            if life < lives - 1:
                await _press(server, seen, chance, each_s * chance.uniform(0.5, 1), kill=True)
                await asyncio.sleep(0.5)  # for what goes with it
            else:
                await _live_and_rest(server, seen, chance, ends - time.monotonic())
                await _account(server, seen)
    for fault in check_store(url, folder / "data"):
        seen.faults[f"the store: {fault}"] += 1
    for process in set(living()) - before:
        if not process.startswith("postgres "):  # it has workers of its own, and is ended after us
            seen.faults[f"left running: {process}"] += 1
    return seen


async def _live_and_rest(
    server: Served, seen: Service, chance: random.Random, for_s: float
) -> None:
    """A server's life in which it is measured, idle, before and after."""
    await _press(server, seen, chance, for_s / 4)
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
    server: Served, seen: Service, chance: random.Random, for_s: float, *, kill: bool = False
) -> None:
    ends = time.monotonic() + for_s
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=server.url, timeout=_PATIENCE_S, limits=limits, trust_env=False
    ) as http:
        client = _Client(url=server.url, http=http, chance=chance, seen=seen)
        tasks = [asyncio.create_task(_act(client, ends, kill)) for _ in range(_CLIENTS)]
        if kill:
            await asyncio.sleep(for_s)
            seen.is_dying = True
            os.kill(server.pid, signal.SIGKILL)
            seen.kills += 1
        await asyncio.gather(*tasks)
        seen.is_dying = False


async def _act(client: _Client, ends: float, is_killed: bool) -> None:
    names = list(_DEEDS)
    while not client.seen.is_dying and (is_killed or time.monotonic() < ends):
        name = client.chance.choice(names)
        try:
            await _DEEDS[name](client)
        except (httpx.TransportError, ConnectionError, OSError) as error:
            if not client.seen.is_dying:
                client.seen.faults[f"{name}: {type(error).__name__} {error}"] += 1
        except AssertionError as error:
            client.seen.faults[f"{name}: {error}"] += 1
        else:
            client.seen.done[name] += 1


async def _post(client: _Client, path: str, body: object, *, status: int = 200) -> httpx.Response:
    answer = await client.http.post(path, json=body)
    assert answer.status_code == status, f"{answer.status_code} {answer.text[:200]}"
    return answer


def _asked(client: _Client, agent: str) -> dict[str, object]:
    number = client.chance.getrandbits(48)
    words = [{"role": "user", "content": f"Sum the sales by region, number {number}."}]
    return {"messages": words, "agent_type": agent}


async def _chats(client: _Client) -> None:
    agent = client.chance.choice(("react", "plan_execute", "chat"))
    body = _asked(client, agent)
    if client.chance.random() < 0.3:
        number = client.chance.randrange(5)
        answer = await client.http.post(
            "/v1/chat/completions", json=body, headers={"X-Session-Id": f"talk-{number}"}
        )
        assert answer.status_code == 200, f"{answer.status_code} {answer.text[:200]}"
        return
    answer = await _post(client, "/v1/chat/completions", body)
    assert answer.json()["choices"][0]["message"]["content"], "an empty answer"


async def _streams(client: _Client) -> None:
    agent = client.chance.choice(("react", "plan_execute", "chat"))
    answer = await _post(client, "/v1/chat/completions", _asked(client, agent) | {"stream": True})
    assert answer.text.endswith("data: [DONE]\n\n"), "a stream that was cut off"
    assert 'data: {"error"' not in answer.text, answer.text[-300:]


async def _executes(client: _Client) -> None:
    body: dict[str, object] = {"code": _PLAIN}
    if client.chance.random() < 0.3:
        name = f"talk-{client.chance.randrange(5)}"
        if (await client.http.get(f"/v1/sessions/{name}/messages")).status_code == 200:
            body["session_id"] = name
    answer = (await _post(client, "/v1/execute", body)).json()
    assert answer["stdout"].strip() == "6", f"a program printed {answer['stdout']!r}"


async def _sends_files(client: _Client) -> None:
    content = client.chance.randbytes(client.chance.randrange(1, 200_000)).hex().encode()
    sent = {"file": (f"{client.chance.getrandbits(32)}.txt", content, "text/plain")}
    answer = await client.http.post("/v1/files", files=sent, data={"purpose": "user_data"})
    assert answer.status_code in {200, 201}, f"{answer.status_code} {answer.text[:200]}"
    name = answer.json()["id"]
    client.seen.files[name] = content
    back = await client.http.get(f"/v1/files/{name}/content")
    assert back.content == content, "a file that came back otherwise"
    if client.chance.random() < 0.5:
        del client.seen.files[name]  # whether it is deleted in time or not
        deleted = await client.http.delete(f"/v1/files/{name}")
        assert deleted.status_code == 200, f"{deleted.status_code} {deleted.text[:200]}"


async def _asks_in_background(client: _Client) -> None:
    answer = await _post(client, "/v1/runs", _asked(client, "react"), status=202)
    client.seen.runs.add(answer.json()["id"])


async def _cancels(client: _Client) -> None:
    answer = await _post(client, "/v1/runs", _asked(client, "plan_execute"), status=202)
    name = answer.json()["id"]
    client.seen.runs.add(name)
    await asyncio.sleep(client.chance.uniform(0, 0.2))
    cancelled = await client.http.post(f"/v1/runs/{name}/cancel")
    # It may have ended by itself before.
    assert cancelled.status_code in {200, 400, 409}, (
        f"{cancelled.status_code} {cancelled.text[:200]}"
    )


async def _asks_for_responses(client: _Client) -> None:
    body = {
        "input": f"Sum the sales by region, number {client.chance.getrandbits(48)}.",
        "tools": [{"type": "code_interpreter", "container": {"type": "auto"}}],
    }
    answer = (await _post(client, "/v1/responses", body)).json()
    assert answer["status"] == "completed", f"a response that is {answer['status']}"


async def _leaves(client: _Client) -> None:
    asked = [
        chat(client.chance.choice(("react", "chat")), stream=client.chance.random() < 0.5)(
            client.chance.getrandbits(48)
        ),
        request("POST", "/v1/execute", {"code": _ENDLESS}),
    ]
    async with connected(client.url) as connection:
        connection.send(client.chance.choice(asked))
        await asyncio.sleep(client.chance.uniform(0, 0.3))


async def _does_not_read(client: _Client) -> None:
    port = httpx.URL(client.url).port
    _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    try:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(chat("chat", stream=True)(client.chance.getrandbits(48)))
        await asyncio.sleep(client.chance.uniform(0.5, 2))
    finally:
        writer.transport.abort()


_DEEDS: dict[str, _Deed] = {
    "chats": _chats,
    "streams": _streams,
    "executes": _executes,
    "sends files": _sends_files,
    "asks in the background": _asks_in_background,
    "cancels": _cancels,
    "asks for responses": _asks_for_responses,
    "leaves": _leaves,
    "does not read": _does_not_read,
}


async def _let_runs_end(server: Served, seen: Service) -> None:
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


async def _account(server: Served, seen: Service) -> None:
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


def report(seen: Service) -> Report:
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
    if missing := [name for name in _DEEDS if not seen.done[name]]:
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
