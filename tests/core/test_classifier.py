"""A model's word where the router is not sure: scripted replies, through the assistant."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backend.config.settings import load_settings
from backend.core.assistant import open_assistant
from backend.core.classifier import classify, is_unsure
from backend.core.requests import Answer, Ask
from backend.core.router import Route, route
from backend.errors import SettingsError
from backend.llm.budget import Budget
from backend.llm.models import open_models
from backend.types import Event, ModelCall, ignore_event
from tests.core.conftest import Play
from tests.scripts import act

UNSURE = "Does it hurt to be turned off?"
UNSURE_OF_CODE = "plot temperature. plot humidity. plot wind. then one page that sums them all up"
NOWHERE = "http://127.0.0.1:9"


def says(agent: str, **more: Any) -> dict[str, Any]:
    return {"stage": "chat", "reply": json.dumps({"agent": agent}), "when": "Who should", **more}


def talk(text: str) -> dict[str, Any]:
    return {"stage": "chat", "reply": text}


async def put(question: str, *, events: list[Event] | None = None, **more: Any) -> Answer:
    settings = {"router_model": "scripted", **more.pop("settings", {})}
    async with open_assistant(load_settings(**settings)) as assistant:
        emit = ignore_event if events is None else events.append
        return await assistant.run(Ask(question=question, **more), emit)


async def consult(
    question: str, *, model: str = "scripted", has_files: bool = False, **more: Any
) -> tuple[Route, list[ModelCall]]:
    settings = load_settings(ollama_host=NOWHERE, **more.pop("settings", {}))
    async with open_models(settings) as models:
        asked = models.get(model, stages=False).within(more.pop("budget", Budget()))
        chosen = route(question, has_files)
        return await classify(question, chosen, asked, has_files=has_files, **more)


@pytest.mark.parametrize("question", [UNSURE, UNSURE_OF_CODE])
def test_the_router_is_not_sure_of_these(question: str) -> None:
    assert is_unsure(route(question))


def test_the_router_is_sure_of_most() -> None:
    assert not is_unsure(route("Write Python code to calculate prime numbers up to 100"))
    assert not is_unsure(route("Hello"))


async def test_a_model_decides_where_the_router_is_not_sure(play: Play) -> None:
    play(says("chat", tokens=[50, 7]), talk("No."))
    events: list[Event] = []
    given = await put(UNSURE, events=events)
    assert route(UNSURE).agent == "react"
    assert (given.agent, given.mode, given.chosen_by) == ("chat", "auto", "model")
    assert given.text == "No."
    told = next(event for event in events if event.kind == "route")
    assert told.data["by"] == "model"
    assert told.data["agent"] == "chat"
    assert told.text == "chat, chosen by a model"


async def test_its_call_is_counted_with_the_others(play: Play) -> None:
    play(says("react", tokens=[50, 7]), act("finish", "No.", tokens=[100, 10]))
    given = await put(UNSURE)
    assert given.text == "No."
    assert given.usage["by_stage"]["chat"] == {"input_tokens": 50, "output_tokens": 7, "calls": 1}
    assert given.usage["input_tokens"] == 150
    assert given.usage["calls"] == 2


async def test_where_the_router_is_sure_nobody_is_asked(play: Play) -> None:
    play(talk("Hello!"))
    given = await put("Hello")
    assert (given.agent, given.chosen_by, given.usage["calls"]) == ("chat", "keywords", 1)


async def test_an_explicit_agent_is_obeyed_without_asking(play: Play) -> None:
    play(talk("No."))
    given = await put(UNSURE, agent_type="chat")
    assert (given.agent, given.mode, given.usage["calls"]) == ("chat", "explicit", 1)


async def test_without_the_setting_nobody_is_asked(play: Play) -> None:
    play(act("finish", "No."))
    given = await put(UNSURE, settings={"router_model": ""})
    assert (given.agent, given.chosen_by, given.usage["calls"]) == ("react", "keywords", 1)


async def test_where_its_server_is_down_the_router_s_choice_stands(play: Play) -> None:
    play(act("finish", "No."))
    given = await put(UNSURE, settings={"router_model": "ollama:qwen3:4b", "ollama_host": NOWHERE})
    assert given.agent == route(UNSURE).agent
    assert given.chosen_by == "keywords"
    assert given.text == "No."


@pytest.mark.parametrize(
    "reply",
    ["", "I think react", '{"agent": "both"}', '{"agent": null}', '{"agent": ["react"]}', "[1]"],
    ids=["empty", "prose", "no-agent", "null", "list", "no-object"],
)
async def test_what_cannot_be_understood_changes_nothing_and_is_counted(
    play: Play, reply: str
) -> None:
    play({"stage": "chat", "reply": reply, "repeat": True})
    chosen, calls = await consult(UNSURE)
    assert chosen == route(UNSURE)
    assert calls


async def test_a_slow_model_is_not_waited_for(play: Play) -> None:
    play(says("chat", delay_s=60))
    chosen, calls = await consult(UNSURE, wait_s=0.05)
    assert (chosen, calls) == (route(UNSURE), [])


async def test_what_the_request_may_spend_holds_for_it_too(play: Play) -> None:
    play(says("chat"))
    chosen, calls = await consult(UNSURE, budget=Budget(max_tokens=1))
    assert (chosen, calls) == (route(UNSURE), [])


@pytest.mark.parametrize(
    ("question", "has_files"), [(UNSURE, True), (UNSURE_OF_CODE, False)], ids=["files", "code"]
)
async def test_talk_is_no_choice_where_a_program_is_needed(
    play: Play, question: str, has_files: bool
) -> None:
    play(says("chat", repeat=True))
    assert (await consult(question, has_files=has_files))[0] == route(question, has_files)


async def test_the_model_sees_the_request_and_the_choices(play: Play) -> None:
    play(
        says("plan_execute", when=r"(?s)- plan_execute: .*Files are attached.*turned off"),
        says("react", repeat=True),
    )
    chosen, _ = await consult(UNSURE, has_files=True)
    assert chosen.agent == "plan_execute"
    assert chosen.scores == route(UNSURE, has_files=True).scores


async def test_of_a_long_request_both_ends_are_shown(play: Play) -> None:
    play(says("plan_execute", when=r"(?s)^.{0,6000}$"))
    long = "Begin. " + "x " * 20_000 + "End."
    async with open_models(load_settings()) as models:
        model = models.get(stages=False)
        chosen, _ = await classify(long, route(long), model)
    assert chosen.by == "model"


async def test_a_stage_s_own_model_is_not_asked_instead(play: Play) -> None:
    play(says("chat"))
    own = {"stages": "chat model=ollama:other"}
    chosen, _ = await consult(UNSURE, settings=own)
    assert chosen.by == "model"


@pytest.mark.parametrize("name", ["scripted:other.jsonl", "ollama:"])
async def test_a_name_that_is_none_stops_the_start(play: Play, name: str) -> None:
    play(talk("No."))
    with pytest.raises(SettingsError, match="PYTHON_CODER_ROUTER_MODEL"):
        await put(UNSURE, settings={"router_model": name})
