from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import ToolException
from langgraph.prebuilt import ToolNode

from backend.errors import TaskFailed
from backend.plug import PythonCoder, PythonCoderFailed, open_python_coder
from backend.tools.coder.task import Options
from tests.commands import needs_sandbox, run
from tests.ollama_server import OllamaServer
from tests.plug.host_model import call, host, script
from tests.scripts import APPROVE, ASSESS, generate, program, repair
from tests.solving import GOOD, Play, require_documented

pytestmark = needs_sandbox

PLOT = (
    "import matplotlib.pyplot as plt\nplt.plot([1, 2, 3])\nplt.savefig('line.png')\nprint('sum', 6)"
)


def message_of(state: dict[str, Any]) -> ToolMessage:
    (message,) = [turn for turn in state["messages"] if isinstance(turn, ToolMessage)]
    return message


def bytes_of(reference: dict[str, Any]) -> bytes:
    return Path(reference["path"]).read_bytes()


@script(generate(PLOT, tokens=[30, 12]))
async def test_an_agent_of_langchains_uses_it_and_gets_a_plot(coder: PythonCoder) -> None:
    model = host(call("Plot 1, 2, 3 and print their sum"), "The sum is 6; line.png shows it.")
    agent = create_agent(model, [coder.tool()])
    state = await agent.ainvoke({"messages": [("user", "Plot 1, 2, 3")]})
    assert state["messages"][-1].text == "The sum is 6; line.png shows it."

    message = message_of(state)
    assert message.status == "success"
    assert message.content == "sum 6\nFiles: line.png"
    require_documented(message.artifact)
    (plot,) = message.artifact["artifacts"]
    assert (plot["name"], plot["media_type"]) == ("line.png", "image/png")
    assert bytes_of(plot).startswith(b"\x89PNG")
    assert message.artifact["usage"]["by_stage"]["generate"]["output_tokens"] == 12

    (described,) = model.tools
    parameters = described["function"]["parameters"]
    assert set(parameters["properties"]) == {"task", "files", "context"}
    assert parameters["required"] == ["task"]
    assert model.asked[1][-1].content == "sum 6\nFiles: line.png"


@script(generate("print(1 / 0)"), *(repair(f"print(1 / 0)  # {n}") for n in range(3)))
async def test_a_failed_program_is_content_and_the_agent_goes_on(coder: PythonCoder) -> None:
    agent = create_agent(host(call("Divide"), "It cannot be divided."), [coder.tool()])
    state = await agent.ainvoke({"messages": [("user", "Divide")]})
    message = message_of(state)
    assert message.status == "error"
    assert "ZeroDivisionError: division by zero" in message.content
    assert message.artifact["error_kind"] == "program"
    assert len(message.artifact["attempts"]) == 4
    assert state["messages"][-1].text == "It cannot be divided."


async def test_a_model_that_is_gone_is_raised_with_who_must_act() -> None:
    async with open_python_coder() as coder:
        agent = create_agent(host(call("Add"), "Never said."), [coder.tool()])
        with pytest.raises(PythonCoderFailed, match="cannot be reached") as caught:
            await agent.ainvoke({"messages": [("user", "Add")]})
        assert caught.value.error_kind == "model"
        assert caught.value.result["usage"]["calls"] == 0
        assert isinstance(caught.value, ToolException) and isinstance(caught.value, TaskFailed)

        telling = coder.tool()
        telling.handle_tool_error = True
        agent = create_agent(host(call("Add"), "There is no model."), [telling])
        state = await agent.ainvoke({"messages": [("user", "Add")]})
        assert message_of(state).status == "error"
        assert "http://127.0.0.1:9" in message_of(state).content


async def test_a_program_that_waits_for_approval_stops_the_agent_and_runs_afterwards(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_CODER_APPROVE", "always")
    play(*GOOD, generate("print(6 * 7)"))
    async with open_python_coder() as coder:
        tool = coder.tool()
        with pytest.raises(PythonCoderFailed, match="waits for approval") as caught:
            await tool.ainvoke({"task": "Multiply"})
        result = caught.value.result
        assert (caught.value.error_kind, result["attempts"]) == ("waiting", [])
        run_id = result["run_id"]
        assert f"`python-coder runs approve {run_id}`" in str(caught.value)
        done = await asyncio.to_thread(run, "runs", "approve", run_id)
        assert done.status == 0, done.err
        assert await tool.ainvoke({"task": "Multiply"}) == "42"


async def test_settings_that_cannot_be_used_are_raised_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_CODE_TIMEOUT", "soon")
    with pytest.raises(PythonCoderFailed, match="PYTHON_CODE_TIMEOUT"):
        await PythonCoder().tool().ainvoke({"task": "Add"})


class Watching(AsyncCallbackHandler):
    """Keeps the tags of each call to a chat model."""

    def __init__(self) -> None:
        self.tags: list[list[str]] = []

    async def on_chat_model_start(self, *args: Any, tags: list[str], **kwargs: Any) -> None:
        self.tags.append(tags)


async def test_steps_are_events_and_inner_calls_are_no_messages(
    ollama_server: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_CODER_MODEL", "ollama:gpt-oss:20b")
    ollama_server.add(
        {"reply": program("print(40 + 2)"), "tokens": (70, 7)},
        {"reply": APPROVE["reply"]},
        {"reply": ASSESS["reply"]},
    )
    watching = Watching()
    async with open_python_coder() as coder:
        agent = create_agent(host(call("Add", 7), "It is 42."), [coder.tool()])
        parts = [
            part
            async for part in agent.astream(
                {"messages": [("user", "Add")]},
                {"callbacks": [watching]},
                stream_mode=["custom", "messages"],
                version="v2",
            )
        ]
    events = [part["data"] for part in parts if part["type"] == "custom"]
    kinds = [event["kind"] for event in events]
    assert kinds == ["plan", "code", "check", "review", "run", "output"]
    assert {event["source"] for event in events} == {"python_coder"}
    assert {event["tool_call_id"] for event in events} == {"call_7"}
    assert events[-1]["text"] == "42"
    assert json.loads(json.dumps(events)) == events

    messages = [part["data"][0] for part in parts if part["type"] == "messages"]
    assert [message.text for message in messages if message.text] == ["42", "It is 42."]
    # They are kept from the messages, not from whoever watches the calls.
    stages = [tag for tags in watching.tags for tag in tags if tag.startswith("stage:")]
    assert stages == ["stage:generate", "stage:review", "stage:assess"]


@script(generate("print(6 * 7)", repeat=True))
async def test_several_calls_at_a_time(coder: PythonCoder) -> None:
    several = AIMessage("", tool_calls=[call(f"Task {n}", n).tool_calls[0] for n in range(4)])
    agent = create_agent(host(several, "Done."), [coder.tool()])
    state = await agent.ainvoke({"messages": [("user", "Four")]})
    told = [turn for turn in state["messages"] if isinstance(turn, ToolMessage)]
    assert [turn.content for turn in told] == ["42"] * 4
    assert [turn.tool_call_id for turn in told] == [f"call_{n}" for n in range(4)]


def test_it_can_be_invoked_where_there_is_no_event_loop(play: Play) -> None:
    play(*GOOD, generate("print(6 * 7)", repeat=True))
    tool = PythonCoder().tool()
    assert tool.invoke({"task": "Six times seven"}) == "42"
    agent = create_agent(host(call("Seven times six"), "It is 42."), [tool])
    state = agent.invoke({"messages": [("user", "Multiply")]})
    assert message_of(state).artifact["output"] == "42\n"


@script(generate("print(6 * 7)", repeat=True))
async def test_invoke_finds_its_way_to_the_event_loop_it_was_opened_in(coder: PythonCoder) -> None:
    tool = coder.tool()
    assert await asyncio.to_thread(tool.invoke, {"task": "From a thread"}) == "42"
    other = asyncio.to_thread(asyncio.run, tool.ainvoke({"task": "From another loop"}))
    assert await other == "42"
    with pytest.raises(RuntimeError, match="ainvoke"):
        tool.invoke({"task": "It would wait for itself"})
    # What is opened for one use has a loop of its own.
    assert PythonCoder().tool().invoke({"task": "Held up meanwhile"}) == "42"


@script(generate("print(open('prices.csv').read().strip())", repeat=True))
async def test_a_model_names_only_files_that_are_offered(
    coder: PythonCoder, tmp_path: Path
) -> None:
    folder = tmp_path / "offered"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "prices.csv").write_text("price\n3")
    (tmp_path / "secret.csv").write_text("secret\n1")
    (folder / "link.csv").symlink_to(tmp_path / "secret.csv")
    named = call("Read", files=["deep/prices.csv"]).tool_calls[0]

    by_folder = coder.tool(folder=folder)
    message = await by_folder.ainvoke(named)
    assert (message.status, message.content) == ("success", "price\n3")
    for outside in ("../secret.csv", str(tmp_path / "secret.csv"), "link.csv", "deep"):
        message = await by_folder.ainvoke(call("Read", files=[outside]).tool_calls[0])
        assert message.status == "error"
        assert f"There is no file {outside!r} to read here." in message.content
        assert message.artifact["error_kind"] == "input"
        assert message.artifact["usage"]["calls"] == 0

    by_name = coder.tool(files=[folder / "deep" / "prices.csv"])
    assert "It can read these files: prices.csv." in by_name.description
    assert await by_name.ainvoke({"task": "Read what is there"}) == "price\n3"
    assert await by_name.ainvoke({"task": "By name", "files": ["prices.csv"]}) == "price\n3"
    refused = await by_name.ainvoke({"task": "Read", "files": ["secret.csv"]})
    assert refused == "It failed: There is no file 'secret.csv' to read here. There is prices.csv."


async def test_arguments_that_are_wrong_are_for_the_model_to_mend() -> None:
    wrong = AIMessage("", tool_calls=[{"name": "python_coder", "args": {}, "id": "c1"}])
    agent = create_agent(host(wrong, "I forgot."), [PythonCoder().tool()])
    state = await agent.ainvoke({"messages": [("user", "Do it")]})
    assert message_of(state).status == "error"
    assert "task" in message_of(state).content


def sleepers() -> list[psutil.Process]:
    """What the program below starts."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.name() == "sleep":
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


@script({"stage": "generate", "reply": "Wait.\n\n```bash\nsleep 600\n```"})
async def test_a_cancelled_agent_leaves_no_process(coder: PythonCoder) -> None:
    tool = coder.tool(options=Options(language="bash"))
    agent = create_agent(host(call("Sleep"), "Never said."), [tool])
    task = asyncio.create_task(agent.ainvoke({"messages": [("user", "Sleep")]}))
    while not sleepers():
        assert not task.done()
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sleepers() == []


def test_nothing_is_left_of_what_was_opened_for_one_use(play: Play) -> None:
    play(*GOOD, generate("print(1)"))
    threads = threading.active_count()
    assert PythonCoder().tool().invoke({"task": "One"}) == "1"
    assert psutil.Process().children(recursive=True) == []
    assert threading.active_count() == threads


@script(generate("print(2)"))
async def test_a_tool_node_takes_it(coder: PythonCoder) -> None:
    node = ToolNode([coder.tool(name="code")])
    assert list(node.tools_by_name) == ["code"]
