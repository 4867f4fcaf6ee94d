"""What the service can carry: the real server, load from here over real sockets.

Method: ``python-coder serve`` is a process of its own with its defaults, the model is scripted and
answers at once, and each request is new, so that none is answered from what is kept. This process
sends the load through ``bench/load.py``, a connection a client, kept alive; both share the
machine's processors. An answer counts only if it is whole and holds what the program printed. Bare
FastAPI on the same uvicorn is measured in the same run: what the machine gives at the moment.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.bare import bare_server
from bench.load import (
    Judge,
    Load,
    Reply,
    connected,
    held_open,
    press,
    request,
    while_probing,
)
from bench.postgres import postgres_cluster, postgres_programs
from bench.processes import resident_mib
from bench.served import Served, served
from bench.timing import as_text

AT_ONCE = 50
IDLE_STREAMS = 500
SECONDS = 8.0
ALONE = 60
"""Requests that are sent one after another."""
STARTS = 3
_PROBE_EVERY_S = 0.02
_SETTLE_S = 2.0
_WARM = 20

HEAD = ("case", "answers", "a second", "p50 ms", "p95 ms", "p99 ms", "errors", "target")
Row = tuple[str, ...]

PROGRAM = """\
import pandas as pd

table = pd.DataFrame({"region": ["north", "south", "north"], "sales": [3, 4, 5]})
print(table.groupby("region")["sales"].sum().to_string())
"""
_PRINTED = "north    8"
_WAIT = "Wait for me"
SCRIPT: tuple[dict[str, Any], ...] = (
    {
        "stage": "act",
        "when": "Steps so far",
        "reply": json.dumps({"thought": "So.", "action": "finish", "action_input": _PRINTED}),
    },
    {
        "stage": "act",
        "reply": json.dumps({"thought": "Sum.", "action": "python_coder", "action_input": "Sum"}),
    },
    {
        "stage": "plan",
        "reply": json.dumps({"steps": [{"id": "s1", "task": "Sum", "tool": "python_coder"}]}),
    },
    {"stage": "generate", "reply": f"Sum it.\n\n```python\n{PROGRAM}```"},
    {"stage": "review", "reply": '{"verdict": "approve", "findings": []}'},
    {"stage": "answer", "reply": json.dumps({"answers_request": True, "answer": _PRINTED})},
    {"stage": "chat", "when": _WAIT, "reply": "At last.", "delay_s": 600},
    {"stage": "chat", "reply": "It is a fine day, and it will stay one."},
)

Make = Callable[[int], bytes]


def chat(agent: str, *, stream: bool, said: str = "") -> Make:
    """Requests that differ by a number."""

    def make(number: int) -> bytes:
        words = said or "Sum the sales by region"
        body = {
            "messages": [{"role": "user", "content": f"{words}, number {number}."}],
            "agent_type": agent,
            "stream": stream,
        }
        return request("POST", "/v1/chat/completions", body)

    return make


def holds(words: str, *, stream: bool) -> Judge:
    """An answer is good if it is whole, no error, and holds these words."""
    wanted = json.dumps(words)[1:-1].encode()

    def judge(reply: Reply) -> str:
        if reply.status != 200:
            return f"status {reply.status}"
        if (place := reply.body.find(b'data: {"error"')) >= 0:
            said = json.loads(reply.body[place + 6 :].split(b"\n", 1)[0])["error"]["message"]
            return f"in the stream: {said}"
        if stream and b"data: [DONE]" not in reply.body:
            return "a stream that was cut off"
        return "" if wanted in reply.body else "an answer without what was printed"

    return judge


def row(name: str, load: Load, target: str = "") -> Row:
    """A line of the table."""
    percentiles = (f"{load.percentile_ms(share):.1f}" for share in (0.5, 0.95, 0.99))
    faults = ", ".join(f"{count} {what}" for what, count in load.faults.most_common()) or "0"
    rate = f"{load.a_second:.1f}" if load.a_second < 100 else f"{load.a_second:.0f}"
    return (name, str(len(load.taken_s)), rate, *percentiles, faults, target)


async def measure(server: Served, name: str, share: float) -> list[Row]:
    """All that is asked of one server."""
    url, seconds = server.url, max(1.0, SECONDS * share)
    rows: list[Row] = []
    for agent in ("react", "plan_execute"):
        make, good = chat(agent, stream=False), holds(_PRINTED, stream=False)
        await press(url, _numbered(make, "warm"), good, at_once=1, count=_WARM)
        alone = await press(url, make, good, at_once=1, count=max(5, round(ALONE * share)))
        rows.append(row(f"{name}: one {agent} with pandas", alone, "p50 <= 60"))
    probe = request("GET", "/health")
    for agent in ("react", "plan_execute"):
        work = press(
            url,
            _numbered(chat(agent, stream=True), "many"),
            holds(_PRINTED, stream=True),
            at_once=AT_ONCE,
            for_s=seconds,
        )
        load, health = await while_probing(url, probe, _PROBE_EVERY_S, work)
        rows.append(
            row(f"{name}: {AT_ONCE} {agent} streams", load, ">= 50/s, p95 <= 1500, 0 errors")
        )
        rows.append(row(f"{name}: /health meanwhile", health, "p99 <= 50"))
    for stream, what, target in ((False, "requests", ">= 400/s"), (True, "streams", ">= 200/s")):
        work = press(
            url,
            chat("chat", stream=stream, said="What is the weather like"),
            holds("fine", stream=stream),  # a stream has every word in a chunk of its own
            at_once=AT_ONCE,
            for_s=seconds,
        )
        load, health = await while_probing(url, probe, _PROBE_EVERY_S, work)
        rows.append(row(f"{name}: {AT_ONCE} plain chats, {what}", load, target))
        rows.append(row(f"{name}: /health meanwhile", health, "p99 <= 50"))
    return rows


def _numbered(make: Make, mark: str) -> Make:
    """The same requests under other numbers."""
    start = {"warm": 10_000_000, "many": 20_000_000}[mark]
    return lambda number: make(start + number)


async def idle_streams(server: Served, count: int) -> str:
    """Memory of streams that wait for their model."""
    make = chat("chat", stream=True, said=_WAIT)
    before = resident_mib(server.pid)
    async with held_open(server.url, [make(number) for number in range(count)]) as begun:
        await asyncio.sleep(_SETTLE_S)
        during = resident_mib(server.pid)
        async with connected(server.url) as connection:
            alive = (await connection.ask(request("GET", "/health"))).status == 200
    return (
        f"{count} idle streams: {during - before:.0f} MiB more than {before:.0f} (target: 300); "
        f"{begun} open, /health {'answers' if alive else 'does not answer'}"
    )


async def yardstick(share: float) -> list[Row]:
    """Bare FastAPI, in one piece and as a stream."""
    rows = []
    async with bare_server() as url:
        for path, what in (("/plain", "requests"), ("/stream", "streams")):

            def make(number: int, path: str = path) -> bytes:
                body = {"messages": [{"role": "user", "content": f"Number {number}"}]}
                return request("POST", path, body)

            good = holds("", stream=path == "/stream")
            await press(url, make, good, at_once=AT_ONCE, count=AT_ONCE)
            load = await press(url, make, good, at_once=AT_ONCE, for_s=max(1.0, SECONDS * share))
            rows.append(row(f"bare FastAPI: {AT_ONCE} at once, {what}", load))
    return rows


@contextmanager
def stores() -> Iterator[dict[str, dict[str, str]]]:
    """Name -> variables of each store that can be measured here."""
    found: dict[str, dict[str, str]] = {"SQLite": {}}
    programs = postgres_programs()
    if programs is None:
        print("PostgreSQL is not installed here, and is left out.")
        yield found
        return
    with postgres_cluster(programs) as url:
        yield found | {"PostgreSQL": {"DATABASE_URL": url}}


async def measure_store(
    name: str, variables: dict[str, str], folder: Path, share: float
) -> tuple[list[Row], list[str]]:
    """The lines of the table and the notes of a server on one store.

    Raises:
        RuntimeError: it does not start.
    """
    (folder / "first").mkdir()
    async with served(folder / "first", SCRIPT, variables) as server:
        ready = [server.ready_s]
        warm = holds("fine", stream=True)
        await press(server.url, chat("chat", stream=True), warm, at_once=5, count=_WARM)
        streams = max(10, round(IDLE_STREAMS * share))
        # First, because what a load leaves to be used again would hide what streams need.
        notes = [f"{name}: {await idle_streams(server, streams)}"]
        rows = await measure(server, name, share)
    for number in range(1, STARTS if share >= 1 else 1):
        (folder / str(number)).mkdir()
        async with served(folder / str(number), SCRIPT, variables) as server:
            ready.append(server.ready_s)
    each = ", ".join(f"{seconds:.2f}" for seconds in ready)
    usual_s = statistics.median(ready)
    notes.append(f"{name}: start to ready {usual_s:.2f} s ({each}; target <= 4)")
    return rows, notes


async def main(*, share: float = 1.0) -> None:
    """Measure and print; ``share`` of the usual time, for a quick look."""
    print((__doc__ or "").partition("Method: ")[2].strip())
    print(f"\n{as_text(HEAD, await yardstick(share))}", flush=True)
    with stores() as found, tempfile.TemporaryDirectory() as place:
        for name, variables in found.items():
            folder = Path(place) / name
            folder.mkdir()
            try:
                rows, notes = await measure_store(name, variables, folder, share)
            except RuntimeError as error:
                print(f"\n{name} cannot be measured: {error}", flush=True)
                continue
            print(f"\n{as_text(HEAD, rows)}")
            print("\n".join(notes), flush=True)
