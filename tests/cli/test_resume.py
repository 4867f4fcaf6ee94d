"""``runs resume``: a process is killed in the middle, another one goes on by the run's id."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.commands import needs_sandbox, run, start
from tests.ollama_server import OllamaServer
from tests.scripts import act, generate

pytestmark = [pytest.mark.sandbox, needs_sandbox]

WRITING = "You write one Python program"
REVIEW = "before it runs in a sandbox"
QUESTION = "Compute the sum of prices.csv"
PROGRAM = (
    "import pandas as pd\ntotal = int(pd.read_csv('prices.csv')['price'].sum())\nprint(total)\n"
)
ASK = ("ask", QUESTION, "-f", "prices.csv", "--agent", "react")
CODE = ("code", QUESTION, "-f", "prices.csv", "--output", "total=int", "--context", "In euro.")
Interrupt = Callable[..., str]


@pytest.fixture
def interrupt(
    ollama_server: OllamaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Interrupt:
    """Kills a command when its program is written and not yet reviewed; gives the run's id."""
    (tmp_path / "prices.csv").write_text("city,price\nOslo,10\nRome,20\n")
    monkeypatch.setenv("OLLAMA_HOST", ollama_server.url)
    ollama_server.models.append("other:7b")

    def play(*command: str) -> str:
        ollama_server.add(
            {**generate(PROGRAM), "when": WRITING},
            {"reply": "{}", "when": REVIEW, "fault": "hold"},
            act("python_coder", QUESTION, when="You answer a request step by step"),
        )
        process = start(*command)
        try:
            while REVIEW not in ollama_server.next_request().body["messages"][-1]["content"]:
                pass
        finally:
            process.kill()
            process.communicate()
        ollama_server.add(
            {"reply": '{"verdict": "approve", "findings": []}', "when": REVIEW, "repeat": True},
            {"reply": '{"answers_request": true}', "when": "Judge whether its output"},
            act("finish", "It is 30.", when="Observation: 30"),
        )
        (listed,) = run("runs", "list", "--status", "interrupted", "--json").document["runs"]
        return str(listed["id"])

    return play


def written(ollama_server: OllamaServer) -> int:
    """How many programs the model was asked to write."""
    prompts = [request.body["messages"][-1]["content"] for request in ollama_server.chats]
    return sum(WRITING in prompt for prompt in prompts)


def test_a_question_goes_on_by_its_id(interrupt: Interrupt, ollama_server: OllamaServer) -> None:
    run_id = interrupt(*ASK, "-m", "other:7b")
    listed = run("runs", "list")
    assert "interrupted" in listed.out
    assert "runs resume ID" in listed.err
    done = run("runs", "resume", run_id[:10], "--json")
    assert done.status == 0, done.err
    document = done.document
    assert (document["run_id"], document["resumed"]) == (run_id, True)
    assert (document["answer"], document["model"]) == ("It is 30.", "other:7b")
    assert written(ollama_server) == 1, "no second generate call"
    again = run("runs", "resume", run_id)
    assert (again.status, again.out) == (2, "")
    assert f"The run {run_id} cannot be gone on with: it is completed." in again.error


def test_a_task_goes_on_with_its_options_and_context(
    interrupt: Interrupt, ollama_server: OllamaServer, tmp_path: Path
) -> None:
    run_id = interrupt(*CODE)
    prices = tmp_path / "prices.csv"
    table = prices.read_text()
    prices.unlink()
    gone = run("runs", "resume", run_id)
    assert (gone.status, gone.out) == (2, "")
    assert f"'prices.csv' is no longer at {str(prices)!r}" in gone.error
    prices.write_text("city,price\nOslo,11\n")
    assert "'prices.csv'" in (changed := run("runs", "resume", run_id)).error
    assert "has changed" in changed.error
    prices.write_text(table)
    other = run("runs", "resume", run_id, PYTHON_CODE_TIMEOUT="7")
    assert other.status == 2
    assert "other settings" in other.error

    done = run("runs", "resume", run_id)
    assert done.status == 0, done.err
    assert done.out.startswith("30\n\nOutputs:")
    assert written(ollama_server) == 1, "no second generate call"
    document = run("runs", "show", run_id, "--json").document
    assert (document["status"], document["result"]["outputs"]) == ("completed", {"total": 30})


@pytest.mark.parametrize(
    "forget", [("delete",), ("prune", "--keep", "0")], ids=lambda args: args[0]
)
def test_with_an_interrupted_run_its_steps_are_forgotten(
    forget: tuple[str, ...], interrupt: Interrupt, tmp_path: Path
) -> None:
    def threads() -> set[str]:
        with closing(sqlite3.connect(tmp_path / "data" / "checkpoints.db")) as connection:
            found = connection.execute(
                "SELECT thread_id FROM checkpoints UNION SELECT thread_id FROM writes"
            )
            return {thread for (thread,) in found}

    run_id = interrupt(*ASK)
    assert threads() == {run_id, f"{run_id}/0"}
    which = [run_id] if forget == ("delete",) else []
    assert run("runs", *forget, *which).status == 0
    assert threads() == set()


DYING = """\
import asyncio, os, signal, sys
from backend.config.settings import load_settings
from backend.store.blobs import BlobStore
from backend.store.database import open_database
from backend.store.runs import RunStore
from backend.tools.coder.solutions import Solutions

class Dies:
    \"\"\"An engine whose process is killed when it is to run a program.\"\"\"

    async def execute(self, request, *, check=True):
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    settings = load_settings()
    async with open_database(settings) as database:
        blobs = BlobStore.of(settings)
        solutions = Solutions(
            runs=RunStore(database), engine=Dies(), blobs=blobs, settings=settings
        )
        await solutions.run_again(sys.argv[1], owner="local", inputs={"least": 5})

asyncio.run(main())
"""


def test_a_program_that_ran_again_runs_from_its_beginning(ollama_server: OllamaServer) -> None:
    ollama_server.add(
        {**generate("least = 1\nprint(least * 2)"), "when": WRITING},
        {"reply": '{"verdict": "approve", "findings": []}', "when": REVIEW},
        {"reply": '{"answers_request": true}', "when": "Judge whether its output"},
    )
    first = run("code", "Double it", "--json", OLLAMA_HOST=ollama_server.url).document["run_id"]
    killed = subprocess.run([sys.executable, "-c", DYING, first], check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = run("runs", "list", "--status", "interrupted", "--json").document["runs"]
    assert left["parent"] == first
    done = run("runs", "resume", left["id"], "--json")
    assert (done.status, done.document["output"]) == (0, "10\n")
    assert done.document["parent"] == first
    assert run("runs", "list", "--status", "interrupted").out == ""
