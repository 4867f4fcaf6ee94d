"""The agents through the assistant: scripted replies, everything else real."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backend.config.settings import load_settings
from backend.core.assistant import open_assistant
from backend.core.requests import Answer, Ask
from backend.errors import Disabled, ModelError, ModelUnavailable, RequestError
from backend.tools.python_executor_engine import place_files
from backend.types import Event, Message
from tests.scripts import APPROVE, act, answer, generate, plan, repair, use_script

PRIMES = "Write Python code to calculate prime numbers up to 100"
SIEVE = "print([n for n in range(2, 101) if all(n % d for d in range(2, n))])"

Play = Callable[..., None]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    return lambda *lines: use_script(monkeypatch, tmp_path / "script.jsonl", *lines)


async def put(question: str, *, events: list[Event] | None = None, **more: Any) -> Answer:
    async with open_assistant(load_settings()) as assistant:
        emit = [].append if events is None else events.append
        return await assistant.run(Ask(question=question, **more), emit)


# --- ReAct


@pytest.mark.parametrize("agent_type", ["react", "auto"])
async def test_the_primes_are_computed_by_a_program_that_ran(play: Play, agent_type: Any) -> None:
    play(
        act("python_coder", "Calculate the primes up to 100"),
        generate(SIEVE),
        APPROVE,
        act("finish", "There are 25, the last is 97.", when=r"89, 97\]"),
    )
    given = await put(PRIMES, agent_type=agent_type)
    assert given.success
    assert given.text == "There are 25, the last is 97."
    assert given.agent == "react"
    assert given.mode == ("auto" if agent_type == "auto" else "explicit")
    assert given.python_coder_results[0]["output"].endswith("89, 97]\n")
    assert given.isolation is not None
    assert [step["action"] for step in given.steps] == ["python_coder", "finish"]


async def test_a_request_for_code_is_not_answered_from_memory(play: Play) -> None:
    play(
        act("finish", "2, 3, 5, 7, 11 ..."),
        generate(SIEVE, when="calculate prime numbers up to 100"),
        APPROVE,
        act("finish", "All 25 of them."),
    )
    given = await put(PRIMES, agent_type="react")
    assert given.text == "All 25 of them."
    assert given.steps[0]["by"] == "rule"
    assert len(given.python_coder_results) == 1


async def test_a_question_that_needs_no_tool_is_finished_at_once(play: Play) -> None:
    play(act("finish", "Paris"))
    given = await put("What is the capital of France?", agent_type="react")
    assert (given.text, given.success, given.python_coder_results) == ("Paris", True, [])


async def test_a_multi_line_input_reaches_the_coder_whole(play: Play) -> None:
    task = "Line one: mean\nLine two: median\nLine three: mode"
    play(
        {"stage": "act", "reply": f"Thought: t\nAction: coder\nAction Input: {task}"},
        generate("print(1)", when="(?s)Line one: mean.*Line two.*Line three: mode"),
        APPROVE,
        act("finish", "done"),
    )
    assert (await put("Compute them", agent_type="react")).text == "done"


async def test_the_end_of_a_long_observation_is_seen_by_the_next_step(play: Play) -> None:
    play(
        act("python_coder", "print much"),
        generate("print('x' * 5000)\nprint('needle 4711')"),
        APPROVE,
        act("finish", "4711", when="needle 4711"),
    )
    assert (await put("Compute it", agent_type="react")).text == "4711"


async def test_garbage_once_is_asked_again(play: Play) -> None:
    play({"stage": "act", "reply": "Hmm."}, act("finish", "ok", when="could not be used"))
    assert (await put("Say ok", agent_type="react")).text == "ok"


async def test_garbage_for_ever_is_explained(play: Play) -> None:
    play({"stage": "act", "reply": "Hmm, well.", "repeat": True})
    given = await put("Say ok", agent_type="react")
    assert not given.success
    assert "Hmm, well." in given.text


async def test_garbage_after_a_result_is_answered_from_the_result(play: Play) -> None:
    play(
        act("python_coder", "compute"),
        generate("print('total', 7)"),
        APPROVE,
        {"stage": "act", "reply": "Hmm.", "repeat": True},
        answer("The total is 7.", when="total 7"),
    )
    given = await put("Compute it", agent_type="react")
    assert (given.text, given.success) == ("The total is 7.", True)


async def test_an_unknown_tool_is_told_and_another_is_chosen(play: Play) -> None:
    play(act("web_search", "x"), act("finish", "fine", when="There is no tool 'web_search'"))
    assert (await put("Say fine", agent_type="react")).text == "fine"


async def test_at_the_limit_the_answer_is_made_from_the_observations(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_CODER_MAX_STEPS", "2")
    play(
        act("python_coder", "one"),
        generate("print('one is 11')"),
        act("python_coder", "two"),
        generate("print('two is 22')"),
        APPROVE,
        answer("11 and 22", when="(?s)one is 11.*two is 22"),
    )
    given = await put("Compute them", agent_type="react")
    assert (given.text, given.success) == ("11 and 22", True)
    assert len(given.python_coder_results) == 2


async def test_the_same_call_twice_ends_with_what_is_known(play: Play) -> None:
    play(
        act("python_coder", "the sum"),
        generate("print('sum 5')"),
        APPROVE,
        act("python_coder", "the sum"),
        answer("5", when="sum 5"),
    )
    given = await put("Compute the sum", agent_type="react")
    assert (given.text, len(given.python_coder_results)) == ("5", 1)


async def test_an_invented_observation_is_not_believed(play: Play) -> None:
    reply = (
        "Thought: t\nAction: python_coder\nAction Input: the mean\nObservation: 99\n"
        "Action: finish\nAction Input: 99"
    )
    play(
        {"stage": "act", "reply": reply},
        generate("print(7)"),
        APPROVE,
        act("finish", "7", when="Observation: 7"),
    )
    assert (await put("Compute the mean", agent_type="react")).text == "7"


async def test_a_model_that_dies_after_a_run_does_not_lose_its_output(play: Play) -> None:
    play(
        act("python_coder", "compute"),
        generate("print('total', 7)"),
        APPROVE,
        {"stage": "act", "error": "connection refused", "repeat": True},
    )
    given = await put("Compute it", agent_type="react")
    assert not given.success
    assert "total 7" in given.text


async def test_a_model_that_is_gone_before_anything_ran_raises(play: Play) -> None:
    play({"stage": "act", "error": "connection refused", "repeat": True})
    with pytest.raises(ModelUnavailable):
        await put("Compute it", agent_type="react")


async def test_a_script_that_has_no_line_left_names_the_stage(play: Play) -> None:
    play(generate("print(1)"))
    with pytest.raises(ModelError, match="act"):
        await put("Compute it", agent_type="react")


# --- plan and execute


async def test_a_plan_is_done_step_by_step_and_answered(play: Play, tmp_path: Path) -> None:
    sales = tmp_path / "sales.csv"
    sales.write_text("region,amount\nnorth,10\nsouth,32\n")
    play(
        plan(("python_coder", "Total amount"), ("python_coder", "Plot the amounts"), chained=True),
        generate("import pandas as pd\nprint('total', pd.read_csv('sales.csv').amount.sum())"),
        generate(
            "import pandas as pd, matplotlib.pyplot as plt\n"
            "pd.read_csv('sales.csv').plot.bar(x='region')\nplt.savefig('bar.png')\nprint('drawn')",
            when="total 42",
        ),
        APPROVE,
        answer("The total is 42; see bar.png.", when="(?s)total 42.*drawn"),
    )
    events: list[Event] = []
    given = await put(
        "Give the total and a plot",
        agent_type="plan_execute",
        files=place_files([sales], load_settings()),
        events=events,
    )
    assert given.success
    assert [result["step"] for result in given.python_coder_results] == ["s1", "s2"]
    assert [step["status"] for step in given.steps] == ["done", "done"]
    assert [artifact["name"] for artifact in given.artifacts] == ["bar.png"]
    kinds = [event.kind for event in events]
    assert kinds.index("plan") < kinds.index("run") < kinds.index("artifact")
    assert kinds[-1] == "answer"


async def test_a_failed_verification_gives_its_reason_to_the_next_plan(play: Play) -> None:
    play(
        plan(("python_coder", "The mean")),
        generate("print('mean 3')"),
        answer("The mean is 3.", answers=False, reason="the median is missing"),
        plan(("python_coder", "The median"), when="(?s)mean 3.*the median is missing"),
        generate("print('median 2')"),
        APPROVE,
        answer("Mean 3, median 2.", when="(?s)mean 3.*median 2"),
    )
    given = await put("Compute mean and median", agent_type="plan_execute")
    assert (given.text, given.success) == ("Mean 3, median 2.", True)


async def test_planning_ends_after_its_limit(play: Play) -> None:
    play(
        {**plan(("python_coder", "Try")), "repeat": True},
        {**generate("print('no luck')"), "repeat": True},
        APPROVE,
        {**answer("Not known.", answers=False, reason="nothing was found"), "repeat": True},
    )
    given = await put("Compute it", agent_type="plan_execute")
    assert not given.success
    assert given.usage["by_stage"]["plan"]["calls"] == 3


async def test_only_the_selected_tools_run(play: Play) -> None:
    play(
        plan(("none", "Recall it; no web search and no python_coder needed")),
        answer("Paris"),
    )
    given = await put("Name the capital of France", agent_type="plan_execute")
    assert (given.text, given.python_coder_results) == ("Paris", [])


async def test_a_plan_without_a_program_gets_one_where_one_is_needed(play: Play) -> None:
    play(plan(("none", "Recall the primes")), generate(SIEVE), APPROVE, answer("25 primes"))
    given = await put(PRIMES, agent_type="plan_execute")
    assert len(given.python_coder_results) == 1


async def test_an_unreadable_plan_becomes_the_request_itself(play: Play) -> None:
    play(
        {"stage": "plan", "reply": "I would start by thinking.", "repeat": True},
        generate("print(5)", when="Compute two plus three"),
        APPROVE,
        answer("5"),
    )
    given = await put("Compute two plus three", agent_type="plan_execute")
    assert (given.text, given.success) == ("5", True)


async def test_what_waits_for_a_failed_step_is_skipped(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODE_GENERATION_MAX_RETRIES", "0")
    steps = [
        {"id": "a", "task": "load", "tool": "python_coder", "depends_on": []},
        {"id": "b", "task": "plot", "tool": "python_coder", "depends_on": ["a"]},
    ]
    play(
        {"stage": "plan", "reply": json.dumps({"steps": steps}), "repeat": True},
        {**generate("raise ValueError('broken')"), "repeat": True},
        APPROVE,
        {**answer("It failed: broken.", answers=False, reason="no data"), "repeat": True},
    )
    given = await put("Compute it", agent_type="plan_execute")
    assert [step["status"] for step in given.steps[:3]] == ["failed", "failed", "skipped"]
    assert not given.success


# --- chat, history, choice


async def test_chat_streams_the_words_and_runs_nothing(play: Play) -> None:
    play({"stage": "chat", "reply": "Hello to you too."})
    events: list[Event] = []
    given = await put("Hello!", events=events)
    assert (given.agent, given.text) == ("chat", "Hello to you too.")
    assert "".join(event.text for event in events if event.kind == "text") == given.text
    assert given.isolation is None


@pytest.mark.parametrize("agent_type", ["react", "plan_execute", "chat"])
async def test_the_conversation_so_far_reaches_the_agent(play: Play, agent_type: Any) -> None:
    play(
        act("finish", "84", when="The result was 42"),
        plan(("none", "think"), when="The result was 42"),
        answer("84", when="The result was 42"),
        {"stage": "chat", "reply": "84", "when": "The result was 42"},
    )
    history = (
        Message(role="user", content="Six times seven?"),
        Message(role="assistant", content="The result was 42"),
    )
    given = await put("double it", agent_type=agent_type, history=history)
    assert given.text == "84"


async def test_the_conversation_so_far_reaches_the_coder(play: Play) -> None:
    play(
        act("python_coder", "multiply that by 2"),
        generate("print(84)", when="The result was 42"),
        APPROVE,
        act("finish", "84"),
    )
    history = (Message(role="assistant", content="The result was 42"),)
    assert (await put("now multiply that by 2", history=history)).text == "84"


@pytest.mark.parametrize("agent_type", ["React", "both", ""])
async def test_an_unknown_agent_is_refused_with_the_known_ones(play: Play, agent_type: Any) -> None:
    play({"stage": "chat", "reply": "x"})
    with pytest.raises(RequestError, match="auto, react, plan_execute, chat"):
        await put("Hello", agent_type=agent_type)


async def test_a_switched_off_coder_is_not_chosen_and_not_obeyed(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_CODE_ENABLED", "false")
    play({"stage": "chat", "reply": "In words: a sieve."})
    assert (await put(PRIMES)).agent == "chat"
    with pytest.raises(Disabled):
        await put(PRIMES, agent_type="react")


async def test_parallel_requests_do_not_mix(play: Play) -> None:
    many = range(20)
    play(
        *(act("python_coder", f"print number {n}#", when=f"request {n}#") for n in many),
        *(generate(f"print('number {n}#')", when=f"print number {n}#") for n in many),
        APPROVE,
        *(act("finish", f"answer {n}#", when=f"Observation: number {n}#") for n in many),
    )
    async with open_assistant(load_settings()) as assistant:
        answers = await asyncio.gather(
            *(assistant.run(Ask(question=f"request {n}#", agent_type="react")) for n in many)
        )
    for n, given in enumerate(answers):
        assert given.text == f"answer {n}#"
        assert [result["output"] for result in given.python_coder_results] == [f"number {n}#\n"]
        assert given.usage["calls"] == 4


async def test_leaving_a_stream_stops_the_work(play: Play) -> None:
    play(act("python_coder", "loop"), generate("while True: pass"), APPROVE)
    async with open_assistant(load_settings()) as assistant:
        stream = assistant.stream(Ask(question="Compute for ever", agent_type="react"))
        async for item in stream:
            if isinstance(item, Event) and item.kind == "run":
                break
        await stream.aclose()
    assert len(asyncio.all_tasks()) == 1


async def test_the_review_knows_what_the_task_is_a_part_of(play: Play) -> None:
    play(
        act("python_coder", "multiply"),
        generate("print(42)"),
        {**APPROVE, "repeat": False, "when": "(?s)Compute marker 4711.*multiply"},
        act("finish", "42"),
    )
    given = await put("Compute marker 4711", agent_type="react")
    (entry,) = given.python_coder_results[0]["verification_history"]
    assert (entry["action"], entry["note"]) == ("approved", "")


async def test_a_repair_inside_an_agent_is_part_of_its_result(play: Play) -> None:
    play(
        act("python_coder", "divide"),
        generate("print(1 / 0)"),
        repair("print(1 / 2)"),
        APPROVE,
        act("finish", "0.5"),
    )
    given = await put("Compute it", agent_type="react")
    (result,) = given.python_coder_results
    assert [attempt["error"] for attempt in result["attempts"]] == [
        "ZeroDivisionError: division by zero",
        None,
    ]
    assert given.usage["by_stage"]["repair"]["calls"] == 1
