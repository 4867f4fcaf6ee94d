"""kill -9 of a server in the middle of twenty runs, and what the next one makes of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from bench.store_check import check_store
from tests.api.test_presence import until
from tests.api.test_server import START
from tests.commands import needs_sandbox
from tests.core.test_cancelling import ACTING, APPROVED, REVIEW, WRITING
from tests.ollama_server import Line, OllamaServer
from tests.scripts import act, answer, generate, plan

pytestmark = [pytest.mark.sandbox, needs_sandbox]

PROGRAM = """\
import secrets
token = secrets.token_hex(8)
print("token", token)
open("made.txt", "w").write(token)"""
JOB = re.compile(r"Job (\d\d)\b")
TOKEN = re.compile(r"token ([0-9a-f]{16})")
BACKGROUND, ATTENDED = range(12), range(12, 20)


def lines() -> list[Line]:
    """What every job's model says, whoever asks; slowly enough to be in the middle of it."""
    found = [
        {**answer("Done.", when="Write the answer"), "delay_s": 0.3},
        act("finish", "Done.", when="Observation: token", delay_s=0.3),
        {**generate(PROGRAM), "when": WRITING, "delay_s": 0.05},
        {"reply": APPROVED, "when": REVIEW},
        act("python_coder", "Write a token", when=ACTING),
        plan(("python_coder", "Write a token"), when="(?s)."),
    ]
    return [Line(**{**line, "repeat": True}) for line in found]


def body(number: int) -> dict[str, Any]:
    agent = "react" if number % 2 else "plan_execute"
    question = f"Job {number:02}: compute a token"
    return {"messages": [{"role": "user", "content": question}], "agent_type": agent}


@contextmanager
def server(environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    process = subprocess.Popen(
        [sys.executable, "-c", START],
        env=os.environ | environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        address = process.stderr.readline().strip()
        assert address.startswith("http://"), address + process.stderr.read()
        with httpx.Client(base_url=address, timeout=60) as client:
            yield process, client
    finally:
        process.kill()
        process.communicate()


def streamed(client: httpx.Client, number: int) -> dict[str, Any] | None:
    """The metadata that a stream ends with; None for one that broke off."""
    chunks = []
    try:
        asked = body(number) | {"stream": True}
        with client.stream("POST", "/v1/chat/completions", json=asked) as reply:
            chunks = [line[6:] for line in reply.iter_lines() if line.startswith("data: {")]
    except httpx.TransportError:
        return None
    metadata: dict[str, Any] = json.loads(chunks[-1])["x_agent_metadata"]
    return metadata


def tokens(ollama: OllamaServer) -> dict[int, set[str]]:
    """By job what programs printed in steps that were finished: the model was asked about it."""
    found: dict[int, set[str]] = defaultdict(set)
    for request in list(ollama.chats):
        prompt = "\n".join(message["content"] for message in request.body["messages"])
        if (job := JOB.search(prompt)) is not None:
            found[int(job[1])].update(TOKEN.findall(prompt))
    return found


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_no_run_no_file_and_no_program_is_lost_or_doubled(
    store: str, request: pytest.FixtureRequest, ollama_server: OllamaServer, tmp_path: Path
) -> None:
    url = request.getfixturevalue("postgres_url") if store == "postgresql" else None
    environment = {
        "PYTHON_CODER_MODEL": "ollama:gpt-oss:20b",
        "OLLAMA_HOST": ollama_server.url,
        "PYTHON_CODER_DATA_DIR": str(tmp_path / "data"),
        "PYTHON_CODER_PORT": "0",
        "PYTHON_CODE_PREIMPORT": "none",
        "PYTHON_CODE_POOL_SIZE": "2",
        **({"DATABASE_URL": url} if url else {}),
    }
    ollama_server.add(*lines())
    with ThreadPoolExecutor(len(ATTENDED)) as threads:
        with server(environment) as (process, client):
            ids = [client.post("/v1/runs", json=body(each)).json()["id"] for each in BACKGROUND]
            attended: list[Future[Any]] = [
                threads.submit(streamed, client, each) for each in ATTENDED
            ]
            until(lambda: sum(map(bool, tokens(ollama_server).values())) >= 3)
            process.kill()
            process.wait()
            told = [each.result() for each in attended]
        before = tokens(ollama_server)
        with server(environment) as (process, client):
            # As OpenAI's clients do it by themselves where a connection breaks off.
            again = {
                number: threads.submit(streamed, client, number)
                for number, metadata in zip(ATTENDED, told, strict=True)
                if metadata is None
            }
            until(lambda: all(_is_over(client, run_id) for run_id in ids))
            answers = {
                number: client.get(f"/v1/runs/{ids[number]}").json() for number in BACKGROUND
            }
            done = {number: run["response"]["x_agent_metadata"] for number, run in answers.items()}
            done |= {number: asked.result() for number, asked in again.items()}
            assert [run["status"] for run in answers.values()] == ["completed"] * len(answers)
            listed = client.get("/v1/runs").json()["data"]
            assert {run["status"] for run in listed} == {"completed"}
            for number, metadata in done.items():
                (result,) = metadata["python_coder_results"]
                (token,) = TOKEN.findall(result["output"])
                assert tokens(ollama_server)[number] == {token}, "its program ran twice"
                assert before[number] <= {token}
                (artifact,) = metadata["artifacts"]
                link = urlsplit(artifact["url"])  # of the port that the first one had
                assert client.get(f"{link.path}?{link.query}").text == token
            for number in BACKGROUND:
                events = _events(client, ids[number])
                assert [event["type"] for event in events].count("run.completed") == 1
            process.terminate()
            process.wait()
    assert any(metadata["resumed"] for metadata in done.values()), "the kill came too late"
    assert check_store(url, tmp_path / "data") == []


def _is_over(client: httpx.Client, run_id: str) -> bool:
    return client.get(f"/v1/runs/{run_id}").json()["response"] is not None


def _events(client: httpx.Client, run_id: str) -> list[dict[str, Any]]:
    found = client.get(f"/v1/runs/{run_id}/events", headers={"Accept": "application/json"})
    data: list[dict[str, Any]] = found.json()["data"]
    return data
