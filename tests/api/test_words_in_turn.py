"""A word about a program that comes early, or waits for its turn: it counts once, in its time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from backend.api.app import create_app
from backend.api.asking import ChatJob, decided_job
from backend.api.background import Background
from backend.api.chat import answer_job
from backend.api.run_jobs import response_of
from backend.api.state import Server
from backend.config.settings import load_settings
from backend.store.database import LOCAL_OWNER
from backend.store.run_records import Run
from tests.api.test_approvals import QUESTION, REPLAYED
from tests.api.test_background import begin, read
from tests.api.test_presence import until
from tests.commands import needs_sandbox
from tests.scripts import APPROVE, act, generate, write_script

pytestmark = [pytest.mark.sandbox, needs_sandbox]


TWO_PROGRAMS = (
    act("python_coder", "Compute 6*7"),
    generate("print(6 * 7)"),
    APPROVE,
    act("python_coder", "Now the second"),
    generate("print('second')"),
)


@dataclass(frozen=True, kw_only=True)
class House:
    """The application in this process, and how to talk to it."""

    client: TestClient
    server: Server
    background: Background
    data: Path

    def call(self, work: Any, *given: Any) -> Any:
        """Have it done in the application's loop."""
        assert self.client.portal is not None
        return self.client.portal.call(work, *given)

    @contextmanager
    def full(self, places: int) -> Iterator[None]:
        """Somebody else has so many places, at work and then in the queue."""
        with ExitStack() as held:
            for _ in range(places):
                turn = self.call(self.server.turns.ask, "somebody else")
                held.callback(self.call, turn.__exit__, None, None, None)
            yield

    def programs_of(self, run_id: str) -> int:
        """How many programs were begun for a run."""
        files = (self.data / "audit").glob("*.jsonl")
        lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        return sum(line["record"] == "began" and line.get("run_id") == run_id for line in lines)


@contextmanager
def a_house(folder: Path, *lines: dict[str, Any], **changed: float) -> Iterator[House]:
    """One request is worked on at a time there, and one may wait, unless that is changed."""
    data = folder / "data"
    settings = load_settings(
        model=f"scripted:{write_script(folder / 'script.jsonl', *lines)}",
        data_dir=data,
        execution_dir=data / "code_execution",
        cache=False,
        **{"max_requests": 1, "max_queue": 1} | changed,
    )
    app = create_app(settings)
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        yield House(
            client=client, server=app.state.server, background=app.state.background, data=data
        )


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with a_house(tmp_path, *REPLAYED) as opened:
        yield opened


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A run whose program is to be approved."""

    run_id: str
    session_id: str

    def say_yes(self, house: House, way: str) -> httpx.Response:
        """Approve the program in one of the ways there are."""
        session = {"session_id": self.session_id}
        said = {"messages": [{"role": "user", "content": "yes"}], **session}
        path, body = {
            "chat": ("/v1/chat/completions", said),
            "stream": ("/v1/chat/completions", said | {"stream": True}),
            "address": (f"/v1/runs/{self.run_id}/approve", {}),
            "response": ("/v1/responses", {"input": "yes", **session}),
        }[way]
        return house.client.post(path, json=body)


def ask(house: House, *, in_background: bool = False) -> Waiting:
    """Ask, until the program is there to be approved."""
    asked = {"messages": [{"role": "user", "content": QUESTION}], "agent_type": "react"}
    if in_background:
        run = begin(house.client, QUESTION, approve="always")
        until(lambda: read(house.client, run["id"])["response"])
        until(lambda: not house.background.works_on(run["id"]))
        return Waiting(run_id=run["id"], session_id=run["session_id"])
    done = house.client.post("/v1/chat/completions", json=asked | {"approve": "always"}).json()
    return Waiting(run_id=done["x_run_id"], session_id=done["x_session_id"])


def status_of(house: House, waiting: Waiting) -> str:
    return str(read(house.client, waiting.run_id)["status"])


@pytest.mark.parametrize("way", ["chat", "stream", "address", "response"])
def test_a_yes_that_is_sent_away_may_be_said_again(house: House, way: str) -> None:
    waiting = ask(house)
    with house.full(places=2):
        refused = waiting.say_yes(house, way)
        assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (429, True)
        assert status_of(house, waiting) == "waiting_approval"
    done = waiting.say_yes(house, way)
    assert (done.status_code, "It is 42." in done.text) == (200, True), done.text
    assert status_of(house, waiting) == "completed"
    assert house.programs_of(waiting.run_id) == 1


@pytest.mark.parametrize("way", ["chat", "address", "response"])
def test_a_yes_to_a_server_that_ends_is_not_used_up(house: House, way: str) -> None:
    waiting = ask(house)
    house.call(house.server.turns.close)
    assert waiting.say_yes(house, way).status_code == 503
    assert status_of(house, waiting) == "waiting_approval"


@pytest.mark.parametrize("way", ["chat", "stream"])
def test_a_yes_that_waits_for_its_turn_lets_the_program_run_once(
    house: House, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = ask(house, in_background=True)
    monkeypatch.setattr("backend.api.background.SETTLED_S", 0.0)
    with ThreadPoolExecutor(1) as thread:
        with house.full(places=1):
            said = thread.submit(waiting.say_yes, house, way)
            until(lambda: house.server.turns.waiting())
            house.call(house.background._sweep)
            house.call(house.background._take)
            assert not house.background.works_on(waiting.run_id), "nobody else took it"
            assert status_of(house, waiting) == "waiting_approval"
        assert "It is 42." in said.result(60).text
    until(lambda: status_of(house, waiting) == "completed")
    assert house.programs_of(waiting.run_id) == 1


def test_a_yes_of_a_client_that_leaves_while_it_waits_is_not_used_up(house: House) -> None:
    waiting = ask(house)

    async def decided() -> ChatJob:
        run = await house.server.recorder.runs.get(waiting.run_id, owner=LOCAL_OWNER)
        return await decided_job(run, "approve", house.server, owner=LOCAL_OWNER, said="yes")

    with house.full(places=1):
        assert house.client.portal is not None
        answering = house.client.portal.start_task_soon(
            answer_job, house.call(decided), house.server, "http://127.0.0.1:8000"
        )
        until(lambda: house.server.turns.waiting())
        answering.cancel()
        until(lambda: not house.server.turns.waiting())
    assert status_of(house, waiting) == "waiting_approval"
    assert waiting.say_yes(house, "address").status_code == 200


def test_of_two_words_that_wait_the_first_one_counts(house: House) -> None:
    waiting = ask(house)
    with ThreadPoolExecutor(1) as thread:
        with house.full(places=1):
            first = thread.submit(waiting.say_yes, house, "chat")
            until(lambda: house.server.turns.waiting())
            assert waiting.say_yes(house, "address").status_code == 429
        assert first.result(60).status_code == 200
    late = waiting.say_yes(house, "address")
    assert (late.status_code, late.json()["error"]["code"]) == (409, "conflict")


def say_yes_and_ask(
    house: House, waiting: Waiting, agent: str, threads: ThreadPoolExecutor
) -> tuple[Future[httpx.Response], Future[httpx.Response]]:
    """A yes that has to wait for its turn, and something else that is asked meanwhile."""
    other = {"messages": [{"role": "user", "content": "Which colour has the sky?"}]}
    other |= {"agent_type": agent, "session_id": waiting.session_id}
    with house.full(places=1):
        said = threads.submit(waiting.say_yes, house, "chat")
        until(lambda: house.server.turns.waiting() == 1)
        asked = threads.submit(house.client.post, "/v1/chat/completions", json=other)
        until(lambda: house.server.turns.waiting() == 2)
        assert status_of(house, waiting) == "waiting_approval"
    return said, asked


@pytest.mark.parametrize("agent", ["react", "chat"])
def test_something_else_asked_meanwhile_leaves_a_yes_that_waits_its_turn(
    tmp_path: Path, agent: str
) -> None:
    talk = {"stage": "chat", "reply": "It is blue."}
    lines = (*REPLAYED[:-1], act("finish", "It is 42."), act("finish", "It is blue."), talk)
    with a_house(tmp_path, *lines, max_queue=8) as house, ThreadPoolExecutor() as threads:
        waiting = ask(house)
        said, asked = say_yes_and_ask(house, waiting, agent, threads)
        replies = [each.result(60) for each in (said, asked)]
        assert [reply.status_code for reply in replies] == [200, 200], replies[0].text
        assert ["It is 42." in replies[0].text, "It is blue." in replies[1].text] == [True, True]
        assert status_of(house, waiting) == "completed"


def test_something_else_asked_before_a_program_was_shown_does_not_end_it(tmp_path: Path) -> None:
    lines = (*TWO_PROGRAMS, act("finish", "It is blue."))
    with a_house(tmp_path, *lines, max_queue=8) as house, ThreadPoolExecutor() as threads:
        waiting = ask(house)
        said, asked = say_yes_and_ask(house, waiting, "react", threads)
        assert "print('second')" in said.result(60).text
        assert "It is blue." in asked.result(60).text
        assert status_of(house, waiting) == "waiting_approval"


def test_a_program_is_taken_when_the_answer_that_showed_it_has_gone_out(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_out = asyncio.Event()

    async def held(run: Run, server: Server) -> dict[str, Any]:
        await may_go_out.wait()
        return await response_of(run, server)

    monkeypatch.setattr("backend.api.background.response_of", held)
    run_id = begin(house.client, QUESTION, approve="always")["id"]
    until(lambda: read(house.client, run_id)["status"] == "waiting_approval")
    assert house.client.post(f"/v1/runs/{run_id}/approve").status_code == 202
    house.call(house.background._take)
    assert read(house.client, run_id)["status"] == "queued", "its worker still has to do with it"
    house.call(may_go_out.set)
    until(lambda: read(house.client, run_id)["response"])
    assert read(house.client, run_id)["answer"] == "It is 42."
    assert house.programs_of(run_id) == 1
    until(lambda: not house.background.works_on(run_id))


def test_a_yes_is_about_the_program_that_was_shown(tmp_path: Path) -> None:
    """Said twice, as by a double click, it does not let the next one run that nobody has seen."""
    lines = (*TWO_PROGRAMS, act("finish", "Done."))
    with a_house(tmp_path, *lines, max_queue=8) as house, ThreadPoolExecutor() as threads:
        waiting = ask(house)
        with house.full(1):
            said = [threads.submit(waiting.say_yes, house, "address") for _ in range(2)]
            until(lambda: house.server.turns.waiting() == 2)
        replies = [each.result(60) for each in said]
        assert sorted(reply.status_code for reply in replies) == [200, 409]
        assert house.programs_of(waiting.run_id) == 1
        run = house.client.get(f"/v1/runs/{waiting.run_id}").json()
        assert (run["status"], run["approval"]["code"]) == ("waiting_approval", "print('second')")
