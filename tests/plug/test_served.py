"""``langgraph.json`` in LangGraph's own in-memory server, started by its command line."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from langgraph_sdk import get_client

from backend.errors import RequestError
from backend.plug import served
from tests.commands import PATIENCE_S, needs_sandbox
from tests.scripts import act, answer, generate, plan, use_script, write_script
from tests.solving import GOOD

ROOT = Path(__file__).parents[2]
GRAPHS: dict[str, list[str]] = {
    "python_coder": ["generate", "check", "review", "run", "assess"],
    "react": ["act", "python_coder", "act"],
    "plan_execute": ["plan", "python_coder", "answer"],
}
"""The steps that each takes."""
SUM = "import pandas as pd\nprint(pd.read_csv('prices.csv').price.sum())"


def test_the_file_names_the_graphs_that_there_are() -> None:
    graphs = json.loads((ROOT / "langgraph.json").read_text())["graphs"]
    assert set(graphs) == set(GRAPHS)
    for name, graph in graphs.items():
        module, _, factory = graph["path"].partition(":")
        assert (module, factory) == (served.__name__, name)
        assert getattr(served, factory)().name == name


@contextmanager
def serving(folder: Path, *lines: dict[str, Any]) -> Iterator[str]:
    """The server's address; it runs in a folder, and reaches nobody."""
    script = write_script(folder / "script.jsonl", *lines)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        *(sys.executable, "-m", "langgraph_cli", "dev", "--no-browser", "--no-reload"),
        *("--port", str(port), "--config", str(ROOT / "langgraph.json")),
    ]
    environment = {
        "LANGGRAPH_CLI_NO_ANALYTICS": "1",
        "LANGGRAPH_NO_VERSION_CHECK": "true",
        "LANGSMITH_TRACING": "false",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHON_CODER_MODEL": f"scripted:{script}",
    }
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | environment, stdout=log, stderr=log
        )
    try:
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE_S)
    finally:
        family = (
            psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        )
        process.kill()
        process.wait()
        assert family == []


async def until_ready(url: str) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(PATIENCE_S):
        while True:
            try:
                if (await client.get(f"{url}/ok")).status_code == 200:
                    return
            except httpx.HTTPError:
                await asyncio.sleep(0.1)


async def run(client: Any, graph: str, thread: str, asked: dict[str, Any]) -> tuple[Any, list[Any]]:
    """The state that a run ends in, and what it streamed."""
    stream = client.runs.stream(
        thread, graph, input=asked, stream_mode=["updates", "custom"], stream_subgraphs=True
    )
    parts = [part async for part in stream]
    failed = [part.data for part in parts if part.event == "error"]
    assert failed == []
    return (await client.threads.get_state(thread))["values"], parts


@asynccontextmanager
async def served_to(folder: Path, *lines: dict[str, Any]) -> AsyncIterator[Any]:
    """A client of a server in this folder."""
    with serving(folder, *lines) as url:
        await until_ready(url)
        async with get_client(url=url, api_key=None) as client:
            yield client


@needs_sandbox
async def test_each_graph_answers_in_the_server_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text("price\n20\n22\n")
    lines = (
        generate(SUM, repeat=True),
        act("python_coder", "Sum the prices"),
        act("finish", "They cost 42."),
        plan(("python_coder", "Sum the prices")),
        answer("They cost 42."),
    )
    async with served_to(tmp_path, *GOOD, *lines) as client:
        listed = {
            each["graph_id"]: each["assistant_id"] for each in await client.assistants.search()
        }
        assert set(listed) == set(GRAPHS)
        for graph, steps in GRAPHS.items():
            thread = (await client.threads.create())["thread_id"]
            asked = {"request": "Sum the prices in Python", "files": ["prices.csv"]}
            state, parts = await run(client, graph, thread, asked)
            assert state["success"] is True
            assert "42" in state["answer"]
            assert [result["output"] for result in state["python_coder_results"]] == ["42\n"]
            assert [turn["type"] for turn in state["messages"]] == ["human", "ai"]
            taken = [
                name
                for part in parts
                if part.event.startswith("updates|")
                for name in part.data
                if name in {"prepare", *steps}
            ]
            assert [name for name in taken if name != "prepare"][: len(steps)] == steps
            kinds = {part.data["kind"] for part in parts if part.event.startswith("custom")}
            assert {"code", "run", "output"} <= kinds

            schemas = await client.assistants.get_schemas(listed[graph])
            assert {"messages", "request", "files"} == set(schemas["input_schema"]["properties"])
            drawn = await client.assistants.get_graph(listed[graph], xray=True)
            assert any(str(node["id"]).endswith(f":{steps[0]}") for node in drawn["nodes"])

        state, _ = await run(client, "python_coder", thread, {"messages": [("user", "Again")]})
        assert [turn["type"] for turn in state["messages"]] == ["human", "ai", "human", "ai"]
        assert len(state["python_coder_results"]) == 2
    log = (tmp_path / "server.log").read_text()
    assert "BlockingError" not in log
    assert "Traceback" not in log


@needs_sandbox
async def test_a_request_reaches_no_file_outside_of_the_servers_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("price\n1\n")
    (tmp_path / "served").mkdir()
    async with served_to(tmp_path / "served", *GOOD, generate("print(1)")) as client:
        asked = {"request": "Sum", "files": ["../secret.csv"]}
        for graph in GRAPHS:
            thread = (await client.threads.create())["thread_id"]
            await client.runs.wait(thread, graph, input=asked, raise_error=False)
            state = await client.threads.get_state(thread)
            assert state["values"].get("python_coder_results", []) == []


@needs_sandbox
@pytest.mark.parametrize("graph", ["react", "plan_execute"])
async def test_an_agent_refuses_what_it_could_not_ask_about(
    graph: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_script(monkeypatch, tmp_path / "script.jsonl", *GOOD)
    monkeypatch.setenv("PYTHON_CODER_APPROVE", "always")
    with pytest.raises(RequestError, match="nothing keeps a program that waits"):
        await getattr(served, graph)().ainvoke({"request": "Multiply 6 by 7 in Python"})


@pytest.mark.parametrize("graph", GRAPHS)
def test_its_steps_are_drawn(graph: str) -> None:
    drawn = getattr(served, graph)().get_graph(xray=True)
    assert any(name.endswith(f":{GRAPHS[graph][0]}") for name in drawn.nodes)
