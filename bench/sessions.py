"""One conversation of many turns with a plot a turn, both agents in turn: what grows with it.

Method: the real application, asked over HTTP without a socket, the model scripted; each turn plots into
a file of its own and counts on in a variable of the turn before. Latency is a turn's whole time, the
median of 20; sizes are those of the files, with what SQLite has not yet moved from its log.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from backend.api.app import create_app
from backend.config.settings import load_settings

TURNS = 200
ENDS = 20
"""Turns at each end that are held against each other."""
MOST_CHECKPOINT_BYTES = 5_000_000
MOST_RATIO = 1.3
_AGENTS = ("react", "plan_execute")
_PROGRAM = """\
import matplotlib.pyplot as plt

turn = globals().get("turn", 0) + 1
figure, axes = plt.subplots()
axes.plot([month * turn for month in range(12)])
axes.set_title(f"Turn {turn}")
figure.savefig(f"turn_{turn}.png")
plt.close(figure)
print("turn", turn)
"""
_ANSWER = "It is plotted, and the curve rises from month to month as it did before. " * 8
_SCRIPT: tuple[dict[str, Any], ...] = (
    {
        "stage": "act",
        "when": "Steps so far",
        "reply": {"thought": "Done.", "action": "finish", "action_input": _ANSWER},
    },
    {
        "stage": "act",
        "reply": {"thought": "Plot.", "action": "python_coder", "action_input": "Plot the month"},
    },
    {
        "stage": "plan",
        "reply": {"steps": [{"id": "s1", "task": "Plot the month", "tool": "python_coder"}]},
    },
    {"stage": "generate", "reply": f"Plot it.\n\n```python\n{_PROGRAM}```"},
    {"stage": "review", "reply": {"verdict": "approve", "findings": []}},
    {"stage": "answer", "reply": {"answers_request": True, "answer": _ANSWER}},
)


@dataclass(frozen=True, kw_only=True)
class Growth:
    """What a conversation took."""

    seconds: list[float] = field(default_factory=list)
    """Of each turn."""
    prompt_tokens: list[int] = field(default_factory=list)
    """Of each turn, as the model's server counts them."""
    outputs: list[str] = field(default_factory=list)
    """What each turn's program printed."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Name of a file or folder -> bytes at the end."""

    @property
    def ratio(self) -> float:
        """The last turns' median time, in those of the first."""
        return median(self.seconds[-ENDS:]) / median(self.seconds[:ENDS])


async def converse(turns: int, folder: Path) -> Growth:
    """Hold a conversation of so many turns; everything it keeps is in ``folder``.

    Raises:
        RuntimeError: a turn is not answered, or its program did not find the variable of the last.
    """
    growth = Growth()
    async with _client(folder) as client:
        session_id = (await client.post("/v1/sessions")).json()["id"]
        for number in range(1, turns + 1):
            began = time.perf_counter()
            reply = await client.post(
                "/v1/chat/completions",
                json={
                    "messages": [{"role": "user", "content": f"Plot month {number} of the sales"}],
                    "agent_type": _AGENTS[number % 2],
                    "session_id": session_id,
                },
            )
            growth.seconds.append(time.perf_counter() - began)
            if reply.status_code != 200:
                raise RuntimeError(f"Turn {number} was answered with {reply.text}")
            document = reply.json()
            growth.prompt_tokens.append(document["usage"]["prompt_tokens"])
            growth.outputs.append(document["x_agent_metadata"]["output"])
            if growth.outputs[-1] != f"turn {number}\n":
                raise RuntimeError(f"Turn {number} printed {growth.outputs[-1]!r}")
        growth.sizes.update(_sizes(folder / "data"))
    return growth


@asynccontextmanager
async def _client(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    script = folder / "script.jsonl"
    lines = [{**line, "repeat": True, "reply": _text(line["reply"])} for line in _SCRIPT]
    script.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    settings = load_settings(
        model=f"scripted:{script}",
        data_dir=folder / "data",
        execution_dir=folder / "execution",
    )
    app = create_app(settings)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=120) as client,
    ):
        yield client


def _text(reply: Any) -> str:
    return reply if isinstance(reply, str) else json.dumps(reply)


def _sizes(data: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for path in data.rglob("*"):
        if path.is_file():
            top = path.relative_to(data).parts[0]
            name = "checkpoints" if top.startswith("checkpoints.db") else top
            name = "database" if ".db" in name else name
            found[name] = found.get(name, 0) + path.stat().st_size
    return found


async def main(share: float = 1.0) -> bool:
    """Print what a conversation took; tell whether it kept to its bounds, time not counted.

    Args:
        share: of the usual number of turns.
    """
    print(__doc__)
    turns = max(int(TURNS * share), 2 * ENDS)
    with tempfile.TemporaryDirectory() as folder:
        growth = await converse(turns, Path(folder))
    first, last = median(growth.seconds[:ENDS]), median(growth.seconds[-ENDS:])
    print(f"turns: {turns}, all answered, each with the variable of the one before")
    for name, size in sorted(growth.sizes.items()):
        print(f"{name}: {size / 1e6:.2f} MB")
    print(f"checkpoints: target under {MOST_CHECKPOINT_BYTES / 1e6:g} MB")
    print(f"first {ENDS} turns: {first * 1000:.0f} ms, last {ENDS}: {last * 1000:.0f} ms")
    print(f"ratio: {growth.ratio:.2f}, target at most {MOST_RATIO:g}")
    tokens = growth.prompt_tokens
    print(f"prompt tokens: first {ENDS} {median(tokens[:ENDS]):g}, last {median(tokens[-ENDS:]):g}")
    return growth.sizes["checkpoints"] < MOST_CHECKPOINT_BYTES
