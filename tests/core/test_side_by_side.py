"""Steps of a plan that wait for nothing are done at the same time, and stay apart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from backend.config.settings import load_settings
from backend.core.assistant import open_assistant
from backend.core.requests import Ask
from backend.errors import ModelError, SettingsError
from backend.types import Event
from bench.misbehaviours.saying import GOOD_MODEL, answers, plans, writes
from tests.core.agents import HandTool, put
from tests.core.conftest import Play
from tests.ollama_server import OllamaServer
from tests.scripts import APPROVE, answer, generate, plan


def waiting(**needs: list[str]) -> dict[str, Any]:
    """A plan of steps whose tasks are ``task ID``, each with what it waits for."""
    steps = [
        {"id": name, "task": f"task {name}", "tool": "python_coder", "depends_on": wanted}
        for name, wanted in needs.items()
    ]
    return {"stage": "plan", "reply": json.dumps({"steps": steps})}


def all_of(*words: str) -> str:
    """For ``when``: all of them are there, wherever."""
    return "(?s)" + "".join(f"(?=.*{word})" for word in words)


async def test_two_programs_are_asked_for_before_either_is_written(
    ollama_server: OllamaServer,
) -> None:
    ollama_server.add(
        plans({"task": "Count the apples"}, {"task": "Count the pears"}),
        writes("print('apples 3')", when="Count the apples", fault="hold"),
        writes("print('pears 4')", when="Count the pears", fault="hold"),
        answers("3 and 4", when="apples 3.*pears 4"),
        *GOOD_MODEL,
    )
    asked = asyncio.create_task(put("Count the fruit", agent_type="plan_execute"))
    arrived = [await asyncio.to_thread(ollama_server.next_request) for _ in range(3)]
    prompts = [request.body["messages"][-1]["content"] for request in arrived]
    assert ["Count the apples" in prompt for prompt in prompts[1:]].count(True) == 1
    ollama_server.release()
    given = await asked
    assert (given.text, given.success) == ("3 and 4", True)
    assert [step["wave"] for step in given.steps] == [1, 1]


@pytest.mark.parametrize("most", [1, 2, 5])
async def test_no_more_steps_are_under_way_than_may_be(play: Play, most: int) -> None:
    active = peak = 0

    async def do(given: Mapping[str, Any]) -> str:
        nonlocal active, peak
        active += 1
        peak = max(peak, active)
        for _ in range(100):
            await asyncio.sleep(0)
        active -= 1
        return f"{given['what']} is done"

    play(plan(*(("lookup", f"part {n}") for n in range(6))), answer("All.", when="part 5 is done"))
    given = await put(
        "Look it all up",
        tools=[HandTool(does=do)],
        settings={"parallel_steps": most},
        agent_type="plan_execute",
    )
    assert given.success
    assert peak == most
    assert [result["step"] for result in given.tool_results] == [f"s{n}" for n in range(1, 7)]


def test_at_least_one_step_is_done_at_a_time() -> None:
    with pytest.raises(SettingsError, match="PYTHON_CODER_PARALLEL_STEPS"):
        load_settings(parallel_steps=0)


async def test_a_step_sees_the_results_it_waits_for(play: Play) -> None:
    play(
        waiting(a=[], b=["a"], c=["a"], d=["b", "c"]),
        generate("print('is a')", when="task a"),
        generate("print('is b')", when=all_of("task b", "is a")),
        generate("print('is c')", when=all_of("task c", "is a")),
        generate("print('is d')", when=all_of("task d", "is a", "is b", "is c")),
        APPROVE,
        answer("a to d", when="(?s)is a.*is b.*is c.*is d"),
    )
    given = await put("Do it", agent_type="plan_execute")
    assert given.text == "a to d"
    assert [(step["id"], step["wave"]) for step in given.steps] == [
        ("a", 1),
        ("b", 2),
        ("c", 2),
        ("d", 3),
    ]


async def test_lines_of_text_are_done_one_behind_the_other(play: Play) -> None:
    play(
        {"stage": "plan", "reply": "1. [python_coder] load it\n2. [python_coder] plot it"},
        generate("print('loaded')", when="load it"),
        generate("print('plotted')", when=all_of("plot it", "loaded")),
        APPROVE,
        answer("done", when="plotted"),
    )
    given = await put("Do it", agent_type="plan_execute")
    assert [(step["id"], step["wave"]) for step in given.steps] == [("s1", 1), ("s2", 2)]


async def test_each_event_names_the_step_it_belongs_to(play: Play) -> None:
    names = [f"n{number}" for number in range(4)]
    play(
        waiting(**{name: [] for name in names}),
        *(
            generate(
                f"open('{name}.txt', 'w').write('x')\nprint('I am {name}')", when=f"task {name}"
            )
            for name in names
        ),
        APPROVE,
        answer("done"),
    )
    events: list[Event] = []
    given = await put(
        "Do it", agent_type="plan_execute", events=events, settings={"parallel_steps": 4}
    )
    telling = ("action", "code", "output", "artifact", "observation")
    for name in names:
        own = [event for event in events if event.data.get("step") == name]
        assert [event.kind for event in own if event.kind in telling] == list(telling)
        assert not [
            event for event in own for other in names if other != name and other in event.text
        ]
        assert all(name in event.text for event in own if event.kind in telling)
    assert all("step" in event.data for event in events if event.kind in telling)
    by_step = {result["step"]: result["output"] for result in given.python_coder_results}
    assert by_step == {name: f"I am {name}\n" for name in names}


async def test_one_that_fails_is_tried_again_alone(play: Play) -> None:
    play(
        waiting(good=[], bad=[]),
        generate("print('good is 1')", when="task good"),
        generate("raise ValueError('out of luck')", when="task bad"),
        generate("print('bad is 2')", when=all_of("task bad", "tried before", "out of luck")),
        APPROVE,
        answer("1 and 2", when="(?s)good is 1.*bad is 2"),
    )
    given = await put("Do it", agent_type="plan_execute", settings={"max_retries": 0})
    assert (given.text, given.success) == ("1 and 2", True)
    assert [(step["id"], step["status"], step["wave"]) for step in given.steps] == [
        ("good", "done", 1),
        ("bad", "failed", 1),
        ("bad", "done", 2),
    ]


async def test_a_model_that_is_gone_for_one_does_not_lose_what_the_other_found(play: Play) -> None:
    play(
        waiting(good=[], bad=[]),
        {"stage": "generate", "error": "connection refused", "when": "task bad", "repeat": True},
        generate("print('good is 1')", when="task good", delay_s=0.2),
        APPROVE,
    )
    given = await put("Do it", agent_type="plan_execute")
    assert not given.success
    assert given.text.startswith("The model server cannot be reached")
    assert "good is 1" in given.text
    assert [result["step"] for result in given.python_coder_results] == ["good"]
    assert [step["id"] for step in given.steps] == ["good"]


async def test_a_model_that_is_gone_is_not_asked_for_the_steps_behind(
    ollama_server: OllamaServer,
) -> None:
    ollama_server.add(
        plans(*({"task": f"Count pile {number}"} for number in range(6))),
        writes(error="500 out of memory", repeat=True),
    )
    with pytest.raises(ModelError, match="out of memory"):
        await put("Count the piles", agent_type="plan_execute")
    assert len(ollama_server.chats) <= 1 + 2 * 2  # a plan, and two attempts of each that had begun


async def test_being_stopped_stops_all_that_is_under_way(ollama_server: OllamaServer) -> None:
    ollama_server.add(
        plans({"task": "Count the apples"}, {"task": "Count the pears"}),
        writes(fault="hold", repeat=True),
    )
    async with open_assistant(load_settings()) as assistant:
        ask = Ask(question="Count the fruit", agent_type="plan_execute")
        asked = asyncio.create_task(assistant.run(ask))
        held = [await asyncio.to_thread(ollama_server.next_request) for _ in range(3)][1:]
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        left = [await asyncio.to_thread(request.client_left.wait, 30) for request in held]
    assert left == [True, True]
    assert len(asyncio.all_tasks()) == 1
