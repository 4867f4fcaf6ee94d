"""What does not work out: tried again, planned anew, given up; asked back; and loops of ReAct."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backend.core.requests import Answer
from backend.types import Event
from tests.core.agents import put
from tests.core.conftest import Play
from tests.scripts import APPROVE, act, answer, generate, plan

BROKEN = "raise ValueError('out of luck')"


async def ask(agent_type: str, events: list[Event] | None = None, **more: Any) -> Answer:
    settings = {"max_retries": 0}
    return await put("Do it", agent_type=agent_type, events=events, settings=settings, **more)


def told(given: Answer) -> list[tuple[int, str, str]]:
    return [(step["plan"], step["id"], step["status"]) for step in given.steps]


async def test_the_reason_of_a_failure_reaches_the_second_try(play: Play) -> None:
    play(
        plan(("python_coder", "Count")),
        generate(BROKEN),
        generate("print(3)", when="(?s)tried before.*It failed: ValueError: out of luck"),
        APPROVE,
        answer("3"),
    )
    given = await ask("plan_execute")
    assert (given.text, told(given)) == ("3", [(1, "s1", "failed"), (1, "s1", "done")])
    assert [result["success"] for result in given.python_coder_results] == [False, True]


async def test_a_second_failure_leads_to_a_plan_that_knows_of_it(play: Play) -> None:
    play(
        plan(("python_coder", "First"), ("python_coder", "Second"), chained=True),
        generate("print('first is 1')"),
        generate(BROKEN),
        generate(BROKEN),
        plan(
            ("python_coder", "First"),
            ("python_coder", "Otherwise"),
            chained=True,
            when=r"(?s)first is 1.*Step s2 \(Second\) failed 2 times.*out of luck",
        ),
        generate("print('second is 2')", when="(?s)missing before.*out of luck"),
        APPROVE,
        answer("1 and 2", when="(?s)Result of s1\\b.*first is 1.*second is 2"),
    )
    given = await ask("plan_execute")
    assert (given.text, given.success) == ("1 and 2", True)
    # The first step was done before, word for word: it is not done again.
    assert told(given) == [
        (1, "s1", "done"),
        (1, "s2", "failed"),
        (1, "s2", "failed"),
        (2, "s2.2", "done"),
    ]
    assert [result["step"] for result in given.python_coder_results] == ["s1", "s2", "s2", "s2.2"]


async def test_a_third_failure_ends_it_and_what_was_found_before_is_told(play: Play) -> None:
    play(
        plan(("python_coder", "First"), ("python_coder", "Second"), chained=True),
        generate("print('first is 1')"),
        {**generate(BROKEN), "repeat": True},
        plan(("python_coder", "Otherwise")),
        APPROVE,
        answer(
            "1; the other could not be found: out of luck.",
            answers=False,
            reason="the second",
            when=r"(?s)first is 1.*Step s1\.2 \(Otherwise\) failed once.*out of luck",
        ),
    )
    given = await ask("plan_execute")
    assert not given.success
    assert given.text.startswith("1; the other could not be found: out of luck.")
    assert told(given)[-1] == (2, "s1.2", "failed")
    assert given.usage["by_stage"]["plan"]["calls"] == 2


async def test_what_is_vague_is_asked_back(play: Play) -> None:
    play(
        {
            "stage": "plan",
            "reply": json.dumps({"steps": [], "questions": ["Which file?", "Which column?"]}),
        }
    )
    events: list[Event] = []
    given = await ask("plan_execute", events)
    assert given.questions == ["Which file?", "Which column?"]
    assert (given.text, given.success) == ("- Which file?\n- Which column?", False)
    assert (given.steps, given.python_coder_results) == ([], [])
    assert [event.kind for event in events] == ["route", "begin", "plan", "answer"]


@pytest.mark.parametrize("agent_type", ["react", "plan_execute"])
async def test_what_needs_no_program_is_answered_without_one(play: Play, agent_type: str) -> None:
    play(act("finish", "Paris"), plan(("none", "Recall it")), answer("Paris"))
    given = await put("Name the capital of France", agent_type=agent_type)
    assert (given.text, given.success, given.isolation) == ("Paris", True, None)


async def test_every_event_of_a_step_names_it(play: Play) -> None:
    play(
        act("python_coder", "one"),
        generate("print('one')"),
        act("web_search", "two"),
        act("python_coder", "three"),
        generate("print('three')"),
        APPROVE,
        act("finish", "done"),
    )
    events: list[Event] = []
    given = await ask("react", events)
    inner = ("action", "code", "review", "run", "output", "observation")
    steps = [(event.kind, event.data["step"]) for event in events if event.kind in inner]
    assert {step for _, step in steps} == {"1", "3"}
    assert [kind for kind, step in steps if step == "3"] == [k for k, step in steps if step == "1"]
    assert [result["step"] for result in given.python_coder_results] == ["1", "3"]
    assert [step["id"] for step in given.steps] == ["1", "2", "3", "4"]


async def test_the_same_failure_by_another_way_is_pointed_out(play: Play) -> None:
    play(
        act("python_coder", "one way"),
        act("python_coder", "another way", when="Observation: It failed: ValueError"),
        act("python_coder", "a third way", when="same failure as in step 1"),
        {**generate(BROKEN), "repeat": True},
        APPROVE,
        answer("No.", answers=False, reason="it", when="The same failure came 3 times"),
    )
    given = await ask("react")
    assert len({step["failure"] for step in given.steps}) == 1
    assert len(given.python_coder_results) == 3
    assert not given.success


async def test_another_failure_is_not(play: Play) -> None:
    play(
        act("python_coder", "one way"),
        act("python_coder", "another way"),
        generate(BROKEN),
        generate("print(1 / 0)"),
        APPROVE,
        act("finish", "No."),
    )
    given = await ask("react")
    assert "same failure" not in given.steps[1]["observation"]
    assert len({step["failure"] for step in given.steps[:2]}) == 2


async def test_what_has_failed_is_not_done_again_word_for_word(play: Play) -> None:
    play(
        act("python_coder", "the sum"),
        generate(BROKEN),
        act("python_coder", " the\nsum "),
        act(
            "python_coder", "the sum, otherwise", when="done in step 1 and failed; it was not done"
        ),
        generate("print(5)"),
        APPROVE,
        act("finish", "5", when="Observation: 5"),
    )
    given = await ask("react")
    assert (given.text, given.success) == ("5", True)
    assert [step["success"] for step in given.steps] == [False, None, True, None]
    assert len(given.python_coder_results) == 2
