"""Approval through the assistant: a program stands still until it is decided about."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backend.config.settings import load_settings
from backend.core.assistant import Assistant, open_assistant
from backend.core.requests import Answer, Ask
from backend.errors import NotFound, RequestError
from backend.store.database import LOCAL_OWNER
from backend.tools.approval import ApprovalRequest, refused_text
from backend.types import Event
from tests.commands import needs_sandbox
from tests.scripts import APPROVE, act, answer, generate, plan, use_script

pytestmark = [pytest.mark.sandbox, needs_sandbox]

QUESTION = "Compute the product of 6 and 7"
AGENTS: dict[Any, tuple[dict[str, Any], dict[str, Any]]] = {
    "react": (act("python_coder", QUESTION), act("finish", "It is 42.", when="Observation: 42")),
    "plan_execute": (plan(("python_coder", QUESTION)), answer("It is 42.", when=r"\b42\b")),
}
Play = Callable[..., None]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    return lambda *lines: use_script(monkeypatch, tmp_path / "script.jsonl", *lines)


async def status_of(assistant: Assistant, run_id: str | None) -> str:
    assert assistant.recorder is not None
    run = await assistant.recorder.runs.get(run_id or "", owner=LOCAL_OWNER)
    return run.status


async def threads_of(assistant: Assistant) -> int:
    """How many steps are kept."""
    assert assistant.recorder is not None
    return len([each async for each in assistant.recorder.checkpointer.alist(None)])


@pytest.mark.parametrize("agent", AGENTS)
async def test_a_question_waits_in_one_process_and_is_answered_in_another(
    agent: Any, play: Play
) -> None:
    first, last = AGENTS[agent]
    play(first, generate("print(6 * 7)"), APPROVE, last)
    ask = Ask(question=QUESTION, agent_type=agent, approve="always")
    events: list[Event] = []
    async with open_assistant(load_settings()) as assistant:
        waiting = await assistant.run(ask, events.append)
        assert (waiting.success, waiting.python_coder_results) == (False, [])
        assert waiting.approval == {
            "code": "print(6 * 7)",
            "language": "python",
            "reasons": [],
            "run_id": waiting.run_id,
        }
        assert "print(6 * 7)" in waiting.text
        assert await status_of(assistant, waiting.run_id) == "waiting"
        assert [event.kind for event in events][-1] == "approval"
        assert "run" not in [event.kind for event in events]
    stages = {stage: row["calls"] for stage, row in waiting.usage["by_stage"].items()}
    assert stages["generate"] == 1
    assert json.loads(json.dumps(waiting.as_dict())) == waiting.as_dict()

    async with open_assistant(load_settings()) as assistant:
        again = await assistant.decide(waiting.run_id or "", True, owner=LOCAL_OWNER)
        done = await assistant.run(again)
        assert (done.success, done.text, done.approval) == (True, "It is 42.", None)
        assert (done.run_id, done.resumed) == (waiting.run_id, True)
        assert done.usage["by_stage"]["generate"]["calls"] == 1
        assert await status_of(assistant, done.run_id) == "completed"
        assert await threads_of(assistant) == 0
        with pytest.raises(RequestError, match="waits for no approval"):
            await assistant.decide(done.run_id or "", True, owner=LOCAL_OWNER)


@pytest.mark.parametrize("agent", AGENTS)
async def test_a_refusal_ends_the_question_without_asking_the_model(agent: Any, play: Play) -> None:
    play(AGENTS[agent][0], generate("print(6 * 7)"), APPROVE)
    async with open_assistant(load_settings()) as assistant:
        ask = Ask(question=QUESTION, agent_type=agent, approve="always")
        refused = await assistant.run(ask, approver=lambda request: False)
        assert (refused.success, refused.approval) == (False, None)
        assert refused.text == "The program was not run: it was not approved."
        assert await status_of(assistant, refused.run_id) == "failed"
        assert await threads_of(assistant) == 0


async def test_what_was_found_before_a_refusal_is_told(play: Play) -> None:
    play(
        act("python_coder", "First"),
        generate("print('the first is 5')"),
        APPROVE,
        act("python_coder", "Second", when="the first is 5"),
        generate("import os\nos.remove('x')"),
    )
    asked: list[ApprovalRequest] = []

    async def decide(request: ApprovalRequest) -> str:
        asked.append(request)
        return "reject"

    async with open_assistant(load_settings()) as assistant:
        ask = Ask(question=QUESTION, agent_type="react", approve="risky")
        given = await assistant.run(ask, approver=decide)
    assert [request.reasons for request in asked] == [("Line 2 deletes files (os.remove).",)]
    assert not given.success
    assert "not approved" in given.text
    assert "the first is 5" in given.text


async def test_of_steps_side_by_side_each_waits_for_its_own_word(play: Play) -> None:
    play(
        plan(("python_coder", "Count the apples"), ("python_coder", "Count the pears")),
        {**generate("print('apples', 6)", repeat=True), "when": "Count the apples"},
        {**generate("print('pears', 7)", repeat=True), "when": "Count the pears"},
        {**APPROVE, "repeat": True},
        answer("6 and 7.", when="(?s)apples 6.*pears 7|pears 7.*apples 6"),
    )
    async with open_assistant(load_settings()) as assistant:
        given = await assistant.run(
            Ask(question="Count the fruit", agent_type="plan_execute", approve="always")
        )
        seen = set[str]()
        while given.approval is not None:
            assert given.approval["code"] not in seen
            seen.add(given.approval["code"])
            again = await assistant.decide(given.run_id or "", True, owner=LOCAL_OWNER)
            given = await assistant.run(again)
        assert (given.success, given.text, len(seen)) == (True, "6 and 7.", 2)


async def test_a_program_given_to_a_tool_is_asked_about(play: Play) -> None:
    run_it = {"code": "print(6 * 7)"}
    play(
        act("run_python", json.dumps(run_it)),
        act("finish", "It is 42.", when="Observation: 42"),
    )
    ask = Ask(question=QUESTION, agent_type="react", approve="always")
    async with open_assistant(load_settings()) as assistant:
        waiting = await assistant.run(ask)
        assert waiting.approval is not None, waiting.steps
        assert waiting.approval["code"] == "print(6 * 7)"
        done = await assistant.run(
            await assistant.decide(waiting.run_id or "", "approve", owner=LOCAL_OWNER)
        )
        assert (done.success, done.text) == (True, "It is 42.")


async def test_one_who_waits_is_seen_by_its_owner_only(play: Play) -> None:
    play(AGENTS["react"][0], generate("print(6 * 7)"), APPROVE)
    async with open_assistant(load_settings()) as assistant:
        ask = Ask(question=QUESTION, agent_type="react", approve="always", owner="anna")
        waiting = await assistant.run(ask)
        with pytest.raises(NotFound):
            await assistant.decide(waiting.run_id or "", True, owner="ben")
        assert assistant.recorder is not None
        await assistant.recorder.leave(waiting.run_id or "", refused_text("Enough."), owner="anna")
        run = await assistant.recorder.runs.get(waiting.run_id or "", owner="anna")
        assert (run.status, run.result) == (
            "cancelled",
            {
                "success": False,
                "error": "The program was not run: it was not approved (Enough).",
                "error_kind": "policy",
            },
        )
        assert await threads_of(assistant) == 0


async def test_a_word_too_late_or_twice_is_refused(play: Play) -> None:
    play(AGENTS["react"][0], generate("print(6 * 7)"), APPROVE)
    async with open_assistant(load_settings()) as assistant:
        waiting = await assistant.run(Ask(question=QUESTION, agent_type="react", approve="always"))
        again: Ask = await assistant.decide(waiting.run_id or "", False, owner=LOCAL_OWNER)
        assert await status_of(assistant, waiting.run_id) == "waiting", "nothing is done yet"
        late = await assistant.decide(waiting.run_id or "", True, owner=LOCAL_OWNER)
        ended: Answer = await assistant.run(again)
        assert not ended.success
        for word in (again, late):
            with pytest.raises(RequestError, match="waits for no approval: it is failed"):
                await assistant.run(word)
        with pytest.raises(RequestError, match="waits for no approval: it is failed"):
            await assistant.decide(waiting.run_id or "", True, owner=LOCAL_OWNER)


async def test_a_program_that_the_user_changed_is_told_of_as_it_ran(play: Play) -> None:
    play(
        act("run_python", "print(6 * 7)"),
        act("finish", "It is 43.", when=r"(?s)Observation: .*print\(6 \* 7 \+ 1\).*43"),
    )
    events: list[Event] = []
    async with open_assistant(load_settings()) as assistant:
        waiting = await assistant.run(
            Ask(question=QUESTION, agent_type="react", approve="always"), events.append
        )
        assert "run" not in [event.kind for event in events]
        changed = {"decision": "edit", "code": "print(6 * 7 + 1)"}
        again = await assistant.decide(waiting.run_id or "", changed, owner=LOCAL_OWNER)
        done = await assistant.run(again, events.append)
    assert (done.success, done.text) == (True, "It is 43.")
    (result,) = done.tool_results
    assert result["details"]["code"] == "print(6 * 7 + 1)"
    assert [event.text for event in events if event.kind == "code"][-1] == "print(6 * 7 + 1)"
