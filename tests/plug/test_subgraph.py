from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Send

from backend.plug import PythonCoder, PythonCoderFailed, open_python_coder
from tests.commands import needs_sandbox
from tests.ollama_server import OllamaServer
from tests.plug.host_model import script
from tests.plug.test_node import Report, chain, strict, summarise
from tests.scripts import APPROVE, ASSESS, generate, program
from tests.solving import GOOD, Play, prompts_of, require_documented

pytestmark = needs_sandbox

THREAD: Any = {"configurable": {"thread_id": "1"}}


@script(generate("print(1)", when="First"), generate("print(2)", when="Second"))
async def test_results_of_two_turns_are_added_once_each(coder: PythonCoder) -> None:
    graph = chain(Report, coder.graph(), strict())
    await graph.ainvoke({"task": "First"}, THREAD)
    state = await graph.ainvoke({"task": "Second"}, THREAD)
    assert [result["output"] for result in state["python_coder_results"]] == ["1\n", "2\n"]
    for result in state["python_coder_results"]:
        require_documented(result)
    assert json.loads(json.dumps(state)) == state


@script(*(generate(f"print({n} * 11)", when=f"Task {n}") for n in range(3)))
async def test_it_works_on_several_sends_at_a_time(coder: PythonCoder) -> None:
    async def fan_out(state: Report) -> list[Send]:
        return [Send("python_coder", {"task": f"Task {n}"}) for n in range(3)]

    builder = StateGraph(Report)
    builder.add_node("python_coder", coder.graph())
    builder.add_node("summarise", summarise, defer=True)
    builder.add_conditional_edges(START, fan_out, ["python_coder"])
    builder.add_edge("python_coder", "summarise")
    state = await builder.compile(strict()).ainvoke({"title": "All", "task": "none"}, THREAD)
    assert state["summary"] == "All: 0, 11, 22"


@script(generate("print(6 * 7)"))
async def test_a_conversation_is_answered(coder: PythonCoder) -> None:
    graph = chain(MessagesState, coder.graph(), strict())
    state = await graph.ainvoke({"messages": [("user", "Multiply")]}, THREAD)
    assert [(turn.type, turn.text) for turn in state["messages"]] == [
        ("human", "Multiply"),
        ("ai", "42"),
    ]


@script(generate("print(6 * 7)"))
async def test_it_runs_by_itself_and_streams_its_steps(coder: PythonCoder) -> None:
    nodes = [
        name
        async for namespace, update in coder.graph().astream(
            {"task": "Multiply"}, stream_mode="updates", subgraphs=True
        )
        if namespace
        for name in update
    ]
    assert nodes == ["generate", "check", "review", "run", "assess"]


def test_its_steps_are_drawn() -> None:
    drawn = PythonCoder().graph().get_graph(xray=True)
    assert {"work:prepare", "work:generate", "work:check", "work:run"} <= set(drawn.nodes)


async def test_a_host_that_lost_the_model_goes_on_after_the_last_finished_step(
    ollama_server: OllamaServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHON_CODER_MODEL", "ollama:gpt-oss:20b")
    ollama_server.add({"reply": program("print(6 / 0)")}, {"reply": APPROVE["reply"]})
    path = str(tmp_path / "host.db")
    async with open_python_coder() as coder, AsyncSqliteSaver.from_conn_string(path) as saver:
        with pytest.raises(PythonCoderFailed) as caught:
            await chain(Report, coder.graph(), saver).ainvoke({"task": "Multiply"}, THREAD)
        assert caught.value.error_kind == "model"
    asked = len(prompts_of(ollama_server))

    ollama_server.add({"reply": program("print(6 * 7)")}, {"reply": ASSESS["reply"]})
    async with open_python_coder() as coder, AsyncSqliteSaver.from_conn_string(path) as saver:
        state = await chain(Report, coder.graph(), saver).ainvoke(None, THREAD)
    (result,) = state["python_coder_results"]
    assert result["output"] == "42\n"
    assert [attempt["code"] for attempt in result["attempts"]] == ["print(6 / 0)", "print(6 * 7)"]
    again = prompts_of(ollama_server)[asked:]
    assert len(again) == 2, "nothing is asked for again but the repair"


async def test_a_cancelled_host_goes_on_too(
    ollama_server: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_CODER_MODEL", "ollama:gpt-oss:20b")
    ollama_server.add({"reply": program("print(6 * 7)")}, {"fault": "hold"})
    async with open_python_coder() as coder:
        graph = chain(Report, coder.graph(), strict())
        task = asyncio.create_task(graph.ainvoke({"task": "Multiply"}, THREAD, durability="sync"))
        for _ in range(2):
            await asyncio.to_thread(ollama_server.next_request)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        ollama_server.add({"reply": APPROVE["reply"]}, {"reply": ASSESS["reply"]})
        state = await graph.ainvoke(None, THREAD)
    assert state["python_coder_results"][0]["output"] == "42\n"
    assert len(ollama_server.chats) == 4


@pytest.mark.parametrize(
    ("decision", "output"),
    [
        ("approve", "42\n"),
        ({"decision": "edit", "code": "print(6 * 8)"}, "48\n"),
        ("reject", None),
    ],
    ids=["approved", "edited", "rejected"],
)
async def test_a_program_waits_for_the_host_to_approve_it(
    decision: Any, output: str | None, play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHON_CODER_APPROVE", "always")
    path = str(tmp_path / "host.db")
    play(*GOOD, generate("print(6 * 7)"))
    async with open_python_coder() as coder, AsyncSqliteSaver.from_conn_string(path) as saver:
        state = await chain(Report, coder.graph(), saver).ainvoke({"task": "Multiply"}, THREAD)
    (waiting,) = state["__interrupt__"]
    assert waiting.value["code"] == "print(6 * 7)"
    assert "python_coder_results" not in state or state["python_coder_results"] == []

    async with open_python_coder() as coder, AsyncSqliteSaver.from_conn_string(path) as saver:
        graph = chain(Report, coder.graph(), saver)
        state = await graph.ainvoke(Command(resume=decision), THREAD)
    assert "__interrupt__" not in state
    (result,) = state["python_coder_results"]
    assert [attempt["stdout"] for attempt in result["attempts"]] == ([output] if output else [])
    assert result["success"] is (output is not None)


STRICT = """
import asyncio, sys
from langgraph.checkpoint.memory import InMemorySaver
from backend.plug import open_python_coder
from tests.plug.test_node import Report, chain

async def main():
    async with open_python_coder() as coder:
        for number, node in enumerate((coder.node(), coder.graph())):
            graph = chain(Report, node, InMemorySaver())
            thread = {"configurable": {"thread_id": str(number)}}
            asked = {"task": "Multiply", "files": ["prices.csv"]}
            await graph.ainvoke(asked, thread)
            (result,) = (await graph.aget_state(thread)).values["python_coder_results"]
            print(result["output"].strip(), type(result["artifacts"][0]).__name__)

asyncio.run(main())
"""


def test_checkpoints_hold_plain_values(tmp_path: Path) -> None:
    """LangGraph reads the switch when it is imported."""
    code = "print(6 * 7)\nopen('a.txt', 'w').write('x')"
    lines = [*GOOD, generate(code, repeat=True)]
    (tmp_path / "strict.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "prices.csv").write_text("price\n3")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", STRICT],
        env=os.environ
        | {
            "LANGGRAPH_STRICT_MSGPACK": "true",
            "PYTHON_CODER_MODEL": "scripted:strict.jsonl",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == ["42 dict"] * 2, done.stderr
    assert done.stderr == ""
