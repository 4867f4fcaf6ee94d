from __future__ import annotations

import json
import operator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Send
from pydantic import BaseModel

from backend.errors import RequestError
from backend.plug import PythonCoder, PythonCoderFailed, open_python_coder
from backend.plug.foreign import Keys
from tests.commands import needs_sandbox
from tests.ollama_server import OllamaServer
from tests.plug.host_model import script
from tests.scripts import APPROVE, ASSESS, generate, program, repair
from tests.solving import GOOD, Play, prompts_of, require_documented

pytestmark = needs_sandbox


class Report(TypedDict, total=False):
    """The state of somebody else's graph."""

    title: str
    task: str
    files: list[str]
    python_coder_results: Annotated[list[dict[str, Any]], operator.add]
    summary: str


async def summarise(state: Report) -> dict[str, str]:
    outputs = [result["output"].strip() for result in state["python_coder_results"]]
    return {"summary": f"{state['title']}: {', '.join(outputs)}"}


def strict() -> InMemorySaver:
    """A checkpointer that takes plain values only, and LangChain's messages."""
    return InMemorySaver(serde=JsonPlusSerializer(allowed_msgpack_modules=None))


def chain(schema: Any, node: Any, checkpointer: Any = None) -> Any:
    builder = StateGraph(schema)
    builder.add_node("python_coder", node)
    builder.add_edge(START, "python_coder")
    builder.add_edge("python_coder", END)
    return builder.compile(checkpointer)


@script(generate("print(open('prices.csv').read().split()[1])"))
async def test_a_graph_of_somebody_elses_has_it_as_a_step(
    coder: PythonCoder, tmp_path: Path
) -> None:
    (tmp_path / "prices.csv").write_text("price\n3")
    builder = StateGraph(Report)
    builder.add_node("python_coder", coder.node())
    builder.add_node("summarise", summarise)
    builder.add_edge(START, "python_coder")
    builder.add_edge("python_coder", "summarise")
    graph = builder.compile(strict())
    config: Any = {"configurable": {"thread_id": "1"}}
    asked: Report = {"title": "Prices", "task": "First price", "files": ["prices.csv"]}
    assert (await graph.ainvoke(asked, config))["summary"] == "Prices: 3"
    kept = (await graph.aget_state(config)).values
    (result,) = kept["python_coder_results"]
    require_documented(result)
    assert json.loads(json.dumps(kept)) == kept


@script(*(generate(f"print({n} * 11)", when=f"Task {n}") for n in range(4)))
async def test_it_works_on_several_sends_at_a_time(coder: PythonCoder) -> None:
    async def fan_out(state: Report) -> list[Send]:
        return [Send("python_coder", {"task": f"Task {n}"}) for n in range(4)]

    builder = StateGraph(Report)
    builder.add_node("python_coder", coder.node())
    builder.add_node("summarise", summarise, defer=True)
    builder.add_conditional_edges(START, fan_out, ["python_coder"])
    builder.add_edge("python_coder", "summarise")
    state = await builder.compile(strict()).ainvoke(
        {"title": "All"}, {"configurable": {"thread_id": "1"}}
    )
    assert state["summary"] == "All: 0, 11, 22, 33"


async def test_a_conversation_is_answered_and_known(
    ollama_server: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_CODER_MODEL", "ollama:gpt-oss:20b")
    ollama_server.add(
        {"reply": program("print(6 * 7)"), "tokens": (90, 9)},
        {"reply": APPROVE["reply"], "tokens": (10, 1)},
        {"reply": ASSESS["reply"], "tokens": (20, 2)},
    )
    turns = [
        HumanMessage("My number is 6."),
        AIMessage("Noted."),
        HumanMessage([{"type": "text", "text": "Seven times it"}]),
    ]
    async with open_python_coder() as coder:
        graph = chain(MessagesState, coder.node(), strict())
        state = await graph.ainvoke({"messages": turns}, {"configurable": {"thread_id": "1"}})
    answer = state["messages"][-1]
    assert isinstance(answer, AIMessage)
    assert (answer.text, answer.name) == ("42", "python_coder")
    assert answer.usage_metadata == {"input_tokens": 120, "output_tokens": 12, "total_tokens": 132}
    assert answer.response_metadata["python_coder"] == {"success": True, "artifacts": []}
    prompt = prompts_of(ollama_server)[0]
    assert "Seven times it" in prompt
    assert "human: My number is 6.\nai: Noted." in prompt


class Model(BaseModel):
    request: str
    python_coder_results: Annotated[list[dict[str, Any]], operator.add] = []


@dataclass
class Data:
    request: str
    python_coder_results: Annotated[list[dict[str, Any]], operator.add] = field(
        default_factory=list
    )


@pytest.mark.parametrize("schema", [Model, Data])
@script(generate("print(6 * 7)"))
async def test_states_of_every_kind_are_read(coder: PythonCoder, schema: Any) -> None:
    state = await chain(schema, coder.node()).ainvoke({"request": "Multiply"})
    assert state["python_coder_results"][0]["output"] == "42\n"


class Own(TypedDict):
    wish: str
    done: Annotated[list[dict[str, Any]], operator.add]


@script(generate("print(6 * 7)"))
async def test_a_host_has_its_own_names(coder: PythonCoder) -> None:
    node = coder.node(keys=Keys(task="wish", results="done"))
    state = await chain(Own, node).ainvoke({"wish": "Multiply"})
    assert state["done"][0]["output"] == "42\n"


@script(generate("print(1 / 0)"), *(repair(f"print(1 / 0)  # {n}") for n in range(3)))
async def test_a_failed_program_is_a_result(coder: PythonCoder) -> None:
    state = await chain(Report, coder.node()).ainvoke({"task": "Divide"})
    (result,) = state["python_coder_results"]
    assert result["success"] is False
    assert "ZeroDivisionError" in result["error"]


async def test_machinery_that_failed_fails_the_node() -> None:
    async with open_python_coder() as coder:
        with pytest.raises(PythonCoderFailed) as caught:
            await chain(Report, coder.node()).ainvoke({"task": "Add"})
    assert caught.value.error_kind == "model"


async def test_a_state_that_asks_for_nothing_is_refused() -> None:
    with pytest.raises(RequestError, match="it has no 'task', no 'request', and no human message"):
        await chain(Report, PythonCoder().node()).ainvoke({"title": "Nothing"})


@script(generate("print(open('prices.csv').read())"))
async def test_a_node_for_strangers_reads_only_what_is_offered(
    coder: PythonCoder, tmp_path: Path
) -> None:
    (tmp_path / "offered").mkdir()
    (tmp_path / "prices.csv").write_text("price\n3")
    graph = chain(Report, coder.node(folder=tmp_path / "offered"))
    asked = {"task": "Read", "files": ["../prices.csv"]}
    (result,) = (await graph.ainvoke(asked))["python_coder_results"]
    assert result["error_kind"] == "input"
    assert result["attempts"] == []


def test_a_graph_without_an_event_loop_has_it_as_a_step(play: Play) -> None:
    play(*GOOD, generate("print(6 * 7)"))
    graph = chain(Report, PythonCoder().node(), strict())
    events = list(
        graph.stream(
            {"task": "Multiply"}, {"configurable": {"thread_id": "1"}}, stream_mode="custom"
        )
    )
    assert [event["kind"] for event in events][-2:] == ["run", "output"]
    state = graph.get_state({"configurable": {"thread_id": "1"}}).values
    assert state["python_coder_results"][0]["output"] == "42\n"
