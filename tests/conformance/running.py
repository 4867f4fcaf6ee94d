"""A live ``python-coder serve`` with the scripted model behind it, and clients that talk to it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.config.settings import load_settings
from backend.store.database import LOCAL_OWNER, open_database
from backend.store.runs import RunStore
from tests.conformance.environments import HERE, python_of
from tests.scripts import APPROVE, act, generate, write_script

COLUMNS = ("plain", "streaming", "usage", "files", "errors", "cancel", "responses")
PATIENCE_S = 240
_MEAN = (
    "import pandas as pd, matplotlib.pyplot as plt\n"
    "kg = pd.read_csv('weights.csv')['kg']\nplt.plot(kg)\nplt.savefig('plot.png')\n"
    "print('mean', kg.mean())"
)
SCRIPT: tuple[dict[str, Any], ...] = (
    {"stage": "chat", "when": "say hello", "reply": "Hello from the model.", "tokens": [5, 4]},
    {"stage": "chat", "when": "break off", "reply": "A few words ", "error": "500 boom"},
    act("finish", "It is 42.", when=r"(?s)6 \* 7.*Observation: 42", tokens=[40, 4]),
    act("python_coder", "multiply 6 * 7", when=r"6 \* 7", tokens=[10, 1]),
    generate("print(6 * 7)", when=r"6 \* 7", tokens=[20, 2]),
    act("finish", "The mean is 61.5 kg.", when=r"mean 61\.5"),
    act("python_coder", "mean of kg", when="column kg"),
    generate(_MEAN, when="kg"),
    act("python_coder", "sleep cancel", when="cancel-"),
    generate("import time\ntime.sleep(300)", when="cancel"),
    {**APPROVE, "tokens": [30, 3]},
)


@dataclass(frozen=True, kw_only=True)
class Client:
    """A client, and the environment it lives in."""

    name: str
    script: str
    environment: str | None = None
    """None: that of the tests."""


CLIENTS = (
    Client(name="openai-1", script="openai_sdk.py", environment="openai1"),
    Client(name="openai-2", script="openai_sdk.py", environment="openai2"),
    Client(name="openai-3", script="openai_sdk.py"),
    Client(name="langchain-openai", script="langchain_openai_client.py"),
    Client(name="llm", script="llm_command.py", environment="llm"),
    Client(name="curl", script="curl_command.py"),
)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What became of one column."""

    state: str
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What became of a client's checks."""

    version: str
    cells: dict[str, Cell]

    @property
    def failures(self) -> dict[str, str]:
        """Column -> why it failed."""
        return {name: cell.why for name, cell in self.cells.items() if cell.state == "failed"}


@dataclass(frozen=True, kw_only=True)
class Service:
    """A running server."""

    url: str
    environment: dict[str, str]


@contextmanager
def serving(folder: Path) -> Iterator[Service]:
    """Start ``python-coder serve`` in a process of its own; stop it as an operator would."""
    lines = [line | {"repeat": True} for line in SCRIPT]
    environment = {
        "PYTHON_CODER_MODEL": f"scripted:{write_script(folder / 'script.jsonl', *lines)}",
        "PYTHON_CODER_DATA_DIR": str(folder / "data"),
        "PYTHON_CODE_EXECUTION_DIR": str(folder / "data" / "code_execution"),
        "PYTHON_CODE_TIMEOUT": "600",
        "PYTHON_CODER_ENV_FILE": "",
    }
    command = [sys.executable, "-m", "backend.cli", "serve", "--port", "0", "--json"]
    with subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            assert process.stdout is not None
            told = b""
            while not told.endswith(b"\n}\n"):
                line = process.stdout.readline()
                assert line, "the server did not start"
                told += line
            yield Service(url=json.loads(told)["url"], environment=environment)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_S)


def check(client: Client, service: Service) -> Row | None:
    """Run a client's checks; None where its environment is not there."""
    python = python_of(client.environment)
    if python is None:
        return None
    script = HERE / "clients" / client.script
    with subprocess.Popen(
        [python, script, service.url, client.name],
        env={**os.environ, "NO_PROXY": "127.0.0.1", "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, _ = process.communicate()
            err = f"it took more than {PATIENCE_S} s"
    told = [json.loads(line) for line in out.splitlines()]
    if process.returncode:
        why = (err.strip().splitlines() or ["it said nothing"])[-1][:300]
        known = {each["column"] for each in told[1:]}
        told = told or [{"version": client.name}]
        for column in COLUMNS:
            if column not in known:
                told.append({"column": column, "state": "failed", "why": why})
    version = told[0]["version"]
    cells = {each["column"]: Cell(state=each["state"], why=each["why"]) for each in told[1:]}
    if cells["cancel"].state == "ok":
        cells["cancel"] = asyncio.run(_cancelled(client, service))
    return Row(version=version, cells=cells)


async def _cancelled(client: Client, service: Service) -> Cell:
    """Whether the server's record says that the run which the client left was cancelled."""
    settings = load_settings(
        data_dir=service.environment["PYTHON_CODER_DATA_DIR"], model="ollama:none"
    )
    statuses: list[str] = []
    async with open_database(settings) as database:
        for _ in range(PATIENCE_S * 5):
            page = await RunStore(database).page(owner=LOCAL_OWNER, order="desc", limit=50)
            mine = f"cancel-{client.name}"
            statuses = [run.status for run in page.runs if run.request.endswith(mine)]
            if statuses == ["cancelled"]:
                return Cell(state="ok")
            await asyncio.sleep(0.2)
    return Cell(state="failed", why=f"the client left, and its run is {statuses or 'not there'}")


def as_table(rows: list[Row]) -> str:
    """A Markdown table, and under it what is not just ok."""
    head = ["client", *COLUMNS]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    remarks: list[str] = []
    for row in rows:
        shown = [row.version]
        for column in COLUMNS:
            cell = row.cells.get(column, Cell(state="failed", why="it was not checked"))
            shown.append(cell.state)
            if cell.why:
                remarks.append(f"- {row.version}, {column}: {cell.state}, {cell.why}")
        lines.append("| " + " | ".join(shown) + " |")
    return "\n".join([*lines, *(["", *remarks] if remarks else [])])
