"""Cancelled at any moment: nothing is left running, the record says so, the next turn works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psutil
import pytest
import pytest_asyncio

from backend.config.settings import load_settings
from backend.core.assistant import Assistant, open_assistant
from backend.core.requests import Ask
from backend.store.database import LOCAL_OWNER
from backend.tools.approval import ApprovalRequest
from backend.types import Event
from tests.commands import needs_sandbox
from tests.ollama_server import Line, OllamaServer
from tests.scripts import act, answer, generate, plan

pytestmark = [pytest.mark.sandbox, needs_sandbox]

QUESTION = "Compute the product of 6 and 7"
WRITING = "You write one Python program"
REVIEW = "before it runs in a sandbox"
ENDLESS = "print(6 * 7, flush=True)\nwhile True:\n    pass"
LONG = "# " + "x" * 200_000 + "\nprint(6 * 7)"
"""A program whose check takes long enough to be done beside everything else."""
APPROVED = '{"verdict": "approve", "findings": []}'
ACTING = "You answer a request step by step"
FIRST: dict[Any, dict[str, Any]] = {
    "react": act("python_coder", QUESTION, when=ACTING),
    "plan_execute": plan(("python_coder", QUESTION), when="(?s)plan"),
}
LAST: dict[Any, dict[str, Any]] = {
    "react": act("finish", "It is 42.", when="Observation: 42"),
    "plan_execute": answer("It is 42.", when="Write the answer"),
}
MOMENTS = ("choosing", "writing", "check", "review", "approval", "run", "answer")
CANCELS = [(moment, how) for moment in MOMENTS for how in ("task", "stream")]
CANCELS.remove(("approval", "stream"))  # nobody is asked there: the program waits
HELD = {"choosing", "writing", "review", "answer"}
"""Moments at which a reply of the model's is waited for."""


def lines_for(agent: str, moment: str) -> list[dict[str, Any]]:
    """The model's lines up to the moment; the reply that is waited for then never comes."""
    code = {"run": ENDLESS, "check": LONG}.get(moment, "print(6 * 7)")
    steps = {
        "choosing": FIRST[agent],
        "writing": {**generate(code), "when": WRITING},
        "review": {"reply": APPROVED, "when": REVIEW},
        "answer": LAST[agent],
    }
    lines = list(steps.values())
    if moment in HELD:
        at = list(steps).index(moment)
        lines = [*lines[:at], {**lines[at], "fault": "hold"}]
    # What is said first must not be taken for an answer to what follows.
    return sorted(lines, key=lambda line: line["when"] in (ACTING, "(?s)plan"))


@pytest_asyncio.fixture
async def assistant(
    ollama_server: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Assistant]:
    monkeypatch.setenv("PYTHON_CODER_MODEL", "ollama:gpt-oss:20b")
    monkeypatch.setenv("PYTHON_CODE_TIMEOUT", "300")
    async with open_assistant(load_settings()) as opened:
        yield opened


class Watch:
    """Knows when a moment has come: by the events, or by what the model is asked."""

    def __init__(self, moment: str, server: OllamaServer) -> None:
        self._moment = moment
        self._server = server
        self._come = asyncio.Event()

    def __call__(self, event: Event) -> None:
        wanted = {"check": "code", "run": "run"}.get(self._moment)
        if event.kind == wanted:
            self._come.set()

    async def approver(self, request: ApprovalRequest) -> None:
        self._come.set()
        await asyncio.Event().wait()

    async def wait(self, calls: int) -> None:
        if self._moment in HELD:
            for _ in range(calls):
                await asyncio.to_thread(self._server.next_request)
            return
        await asyncio.wait_for(self._come.wait(), 60)
        if self._moment == "run":
            await until_busy()


async def until_busy() -> None:
    for _ in range(300):
        if busy():
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the program does not run")


def busy() -> list[psutil.Process]:
    """Processes below us that have been computing for a while."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.cpu_times().user > 0.8:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


async def kept_steps(assistant: Assistant) -> int:
    assert assistant.recorder is not None
    return len([each async for each in assistant.recorder.checkpointer.alist(None)])


async def statuses(assistant: Assistant) -> list[str]:
    assert assistant.recorder is not None
    page = await assistant.recorder.runs.page(owner=LOCAL_OWNER, order="asc")
    return [run.status for run in page.runs]


@pytest.mark.parametrize(("moment", "how"), CANCELS)
@pytest.mark.parametrize("agent", list(FIRST))
async def test_a_cancelled_question_leaves_nothing_and_the_next_one_is_answered(
    agent: Any, moment: str, how: str, assistant: Assistant, ollama_server: OllamaServer
) -> None:
    lines = lines_for(agent, moment)
    ollama_server.add(*(Line(**line) for line in lines))
    watch = Watch(moment, ollama_server)
    ask = Ask(
        question=QUESTION,
        agent_type=agent,
        session_id="session-1",
        approve="always" if moment == "approval" else "off",
    )

    async def work() -> None:
        if how == "task":
            await assistant.run(ask, watch, watch.approver)
            return
        async for event in assistant.stream(ask):
            if isinstance(event, Event):
                watch(event)

    task = asyncio.create_task(work())
    await watch.wait(len(lines))
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert busy() == []
    assert await statuses(assistant) == ["cancelled"]
    assert await kept_steps(assistant) == 0
    if moment in HELD:
        held = ollama_server.chats[-1]
        assert await asyncio.to_thread(held.client_left.wait, 30), "the model still works"

    for line in lines_for(agent, ""):
        ollama_server.add(Line(**line))
    done = await assistant.run(
        Ask(question=QUESTION, agent_type=agent, session_id="session-1"), lambda event: None
    )
    assert (done.success, done.text, done.resumed) == (True, "It is 42.", False)
    assert await statuses(assistant) == ["cancelled", "completed"]


async def test_steps_of_every_use_of_the_coder_are_forgotten(
    ollama_server: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_CODER_MODEL", "ollama:gpt-oss:20b")
    monkeypatch.setenv("PYTHON_CODER_MAX_STEPS", "1")
    tasks = ("Print one", "Print two", "Print three")
    ollama_server.add(
        *({**generate(f"print({number})"), "when": WRITING} for number in (1, 2)),
        *(Line(reply=APPROVED, when=REVIEW) for _ in (1, 2)),
        Line(fault="hold", when=WRITING),
        {**plan(*(("python_coder", task) for task in tasks), chained=True), "when": "(?s)plan"},
    )
    async with open_assistant(load_settings()) as assistant:
        ask = Ask(question="Print one, two and three", agent_type="plan_execute")
        task = asyncio.create_task(assistant.run(ask))
        for _ in range(6):
            await asyncio.to_thread(ollama_server.next_request)
        assert not task.done()
        assert await kept_steps(assistant) > 0
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await kept_steps(assistant) == 0
