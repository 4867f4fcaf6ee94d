"""Requests in the background: queued, followed, decided about, cancelled, and never worked on twice."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import delete, update

from backend.api.app import create_app
from backend.api.background import Background
from backend.config.settings import Settings, load_settings
from backend.store.database import LOCAL_OWNER, Database, open_database, owned_by
from backend.store.run_records import Run
from backend.store.tables import MessageRow, RunEventRow, RunRow
from bench.store_check import check_store
from tests.api.conftest import connect, running
from tests.api.test_presence import busy, gone, until
from tests.commands import needs_sandbox
from tests.core.test_cancelling import ACTING, APPROVED, ENDLESS, REVIEW, WRITING
from tests.ollama_server import OllamaServer
from tests.scripts import act, generate, write_script

pytestmark = [pytest.mark.sandbox, needs_sandbox]

LINES: tuple[dict[str, Any], ...] = (
    {"stage": "chat", "when": "never", "reply": "", "delay_s": 600},
    {"stage": "chat", "when": "cut", "reply": "one two", "done_reason": "length"},
    {"stage": "chat", "reply": "one two three"},
    act("finish", "It is 42.", when="Observation: 42"),
    act("finish", "Refused.", when="Observation: .*not approved"),
    act("python_coder", "6 * 7", when="product"),
    act("python_coder", "forever", when="forever"),
    {**generate(ENDLESS), "when": "forever"},
    generate("open('made.txt', 'w').write('six')\nprint(6 * 7)"),
    {"stage": "review", "reply": APPROVED},
)
PRODUCT = "Compute the product of 6 and 7"
AT_A_TIME = 2
"""Runs that the server below works on at a time."""


def settings_of(folder: Path, **more: Any) -> Settings:
    script = write_script(folder / "script.jsonl", *({**line, "repeat": True} for line in LINES))
    return load_settings(
        **{"model": f"scripted:{script}"} | more,
        data_dir=folder / "data",
        execution_dir=folder / "data" / "code_execution",
        max_requests=2 * AT_A_TIME,
        max_queue=3,
        timeout_s=300,
        preimport="none",
        pool_size=1,
    )


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with running(settings_of(tmp_path_factory.mktemp("background"))) as url, connect(url) as opened:
        yield opened


@pytest.fixture
def blocked(client: httpx.Client) -> Iterator[list[str]]:
    """Runs that never end, as many as are worked on at a time; they are cancelled afterwards."""
    ids = [begin(client, "never", agent_type="chat")["id"] for _ in range(AT_A_TIME)]
    until(lambda: {status_of(client, run_id) for run_id in ids} == {"running"})
    yield ids
    for run_id in ids:
        client.post(f"/v1/runs/{run_id}/cancel")


def begin(client: httpx.Client, question: str, headers: Any = None, **more: Any) -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": question}], "agent_type": "react"} | more
    reply = client.post("/v1/runs", json=body, headers=headers)
    assert reply.status_code == 202, reply.text
    run: dict[str, Any] = reply.json()
    assert reply.headers["location"] == f"/v1/runs/{run['id']}"
    return run


def read(client: httpx.Client, run_id: str) -> dict[str, Any]:
    reply = client.get(f"/v1/runs/{run_id}")
    assert reply.status_code == 200, reply.text
    run: dict[str, Any] = reply.json()
    return run


def status_of(client: httpx.Client, run_id: str) -> str:
    return str(read(client, run_id)["status"])


def follow(client: httpx.Client, run_id: str, **how: Any) -> list[dict[str, Any]]:
    """The events that a stream tells until it ends."""
    with client.stream("GET", f"/v1/runs/{run_id}/events", **how) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        text = "".join(reply.iter_text())
    events = []
    for part in text.split("\n\n"):
        if part.startswith("id: "):
            number, _, data = part.removeprefix("id: ").partition("\ndata: ")
            events.append(json.loads(data))
            assert events[-1]["id"] == int(number)
    return events


def kept(client: httpx.Client, run_id: str, **query: Any) -> dict[str, Any]:
    accept = {"Accept": "application/json"}
    reply = client.get(f"/v1/runs/{run_id}/events", params=query, headers=accept)
    page: dict[str, Any] = reply.json()
    return page


def messages(client: httpx.Client, session_id: str) -> list[str]:
    reply = client.get(f"/v1/sessions/{session_id}/messages")
    return [message["content"] for message in reply.json()["data"]]


def test_a_run_is_answered_whoever_waits_and_its_events_are_read_from_any_point(
    client: httpx.Client,
) -> None:
    run = begin(client, PRODUCT)
    assert (run["status"], run["response"], run["background"]) == ("queued", None, True)
    events = follow(client, run["id"])
    types = [event["type"] for event in events]
    assert (types[0], types[-1]) == ("run.queued", "run.completed")
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    steps = [event["step"] for event in events if event["type"] == "step"]
    assert [step for step in steps if step in {"code", "run", "output"}] == [
        "code",
        "run",
        "output",
    ]
    done = read(client, run["id"])
    assert (done["status"], done["success"], done["answer"]) == ("completed", True, "It is 42.")
    completion = done["response"]
    assert completion["object"] == "chat.completion"
    assert completion["choices"][0]["message"]["content"].startswith("It is 42.\n\n[made.txt](")
    assert completion["usage"] == done["usage"]
    (artifact,) = completion["x_agent_metadata"]["artifacts"]
    assert client.get(artifact["url"]).text == "six"
    assert messages(client, run["session_id"]) == [PRODUCT, "It is 42."]

    assert kept(client, run["id"])["data"] == events
    assert kept(client, run["id"], after=3, limit=2)["data"] == events[3:5]
    assert kept(client, run["id"], after=3, limit=2)["has_more"] is True
    assert follow(client, run["id"], params={"after": 4}) == events[4:]
    assert follow(client, run["id"], headers={"Last-Event-ID": "4"}) == events[4:]
    assert follow(client, run["id"], params={"after": len(events)}) == []


def test_plain_talk_is_a_run_as_well_and_its_words_are_merged(client: httpx.Client) -> None:
    run = begin(client, "Hello", agent_type="chat")
    events = follow(client, run["id"])
    assert "".join(event["text"] for event in events if event["type"] == "text") == "one two three"
    assert read(client, run["id"])["status"] == "completed"


def test_an_answer_that_was_cut_off_is_one(client: httpx.Client) -> None:
    run = begin(client, "cut", agent_type="chat")
    assert follow(client, run["id"])[-1]["type"] == "run.completed"
    (choice,) = read(client, run["id"])["response"]["choices"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("length", "one two")


def test_the_same_key_is_the_same_run(client: httpx.Client) -> None:
    header = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}
    before = client.get("/v1/sessions").json()["data"]
    with ThreadPoolExecutor(4) as threads:
        asked = [
            threads.submit(begin, client, "Hello", header, agent_type="chat") for _ in range(4)
        ]
        first, *same = [each.result() for each in asked]
    assert {run["id"] for run in same} == {first["id"]}
    assert len(client.get("/v1/sessions").json()["data"]) == len(before) + 1
    follow(client, first["id"])
    again = begin(client, "Hello", header, agent_type="chat")
    assert (again["id"], again["status"]) == (first["id"], "completed")
    body = {"messages": [{"role": "user", "content": "Something else"}]}
    other = client.post("/v1/runs", json=body, headers=header)
    assert (other.status_code, other.json()["error"]["param"]) == (400, "Idempotency-Key")
    assert "another request" in other.json()["error"]["message"]


def test_what_cannot_be_asked_is_refused_at_once(client: httpx.Client) -> None:
    before = client.get("/v1/runs").json()["data"]
    hello = [{"role": "user", "content": "Hello"}]
    for body, status in (
        ({"messages": []}, 400),
        ({"messages": hello, "session_id": "nobody-has-it"}, 404),
        ({"messages": hello, "model": "nobody-has-it"}, 404),
        ({"messages": hello, "n": 2}, 400),
    ):
        assert client.post("/v1/runs", json=body).status_code == status
    assert client.get("/v1/runs").json()["data"] == before


def test_a_run_that_fails_is_told_as_one_with_its_reason(client: httpx.Client) -> None:
    run = begin(client, "Something that the script has no line for")
    assert follow(client, run["id"])[-1]["type"] == "run.failed"
    failed = read(client, run["id"])
    assert (failed["status"], failed["response"]) == ("failed", None)
    assert failed["error"]["kind"] == "model"
    assert "no line left" in failed["error"]["message"]
    assert failed["id"] in {each["id"] for each in listed(client, status="failed")}


def listed(client: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = client.get("/v1/runs", params=query).json()["data"]
    return data


_cancel = Background.cancel


async def _cancel_what_ends_meanwhile(self: Background, run_id: str, *, owner: str) -> Run:
    await _cancel(self, run_id, owner=owner)
    return await _cancel(self, run_id, owner=owner)


def test_what_waits_for_its_turn_is_listed_and_cancelled_at_once(
    client: httpx.Client, blocked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = [begin(client, "Hello", agent_type="chat") for _ in range(3)]
    ids = [run["id"] for run in waiting]
    assert [run["id"] for run in listed(client, status="queued", order="asc")] == ids
    assert {run["id"] for run in listed(client, status="running")} == set(blocked)
    (alone,) = listed(client, session_id=waiting[0]["session_id"])
    assert alone["id"] == ids[0]
    full = client.post("/v1/runs", json={"messages": [{"role": "user", "content": "Hello"}]})
    assert (full.status_code, int(full.headers["retry-after"]) > 0) == (429, True)
    assert "PYTHON_CODER_MAX_QUEUE" in full.json()["error"]["message"]

    cancelled = client.post(f"/v1/runs/{ids[0]}/cancel").json()
    assert (cancelled["status"], cancelled["error"]["kind"]) == ("cancelled", "cancelled")
    assert [event["type"] for event in follow(client, ids[0])] == ["run.queued", "run.cancelled"]
    with monkeypatch.context() as patched:
        patched.setattr(Background, "cancel", _cancel_what_ends_meanwhile)
        assert client.delete(f"/v1/runs/{ids[1]}").json()["deleted"] is True
    for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("DELETE", "")):
        assert client.request(method, f"/v1/runs/{ids[1]}{path}").status_code == 404

    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(follow, client, blocked[0])
        ended = client.post(f"/v1/runs/{blocked[0]}/cancel").json()
        assert ended["status"] == "cancelled"
        assert following.result(30)[-1]["type"] == "run.cancelled"
    assert follow(client, ids[2])[-1]["type"] == "run.completed", "its turn has come"
    again = client.post(f"/v1/runs/{blocked[0]}/cancel")
    assert (again.status_code, again.headers["x-should-retry"]) == (409, "false")


def test_a_cancelled_run_leaves_no_process(client: httpx.Client) -> None:
    others = busy(psutil.Process())
    run = begin(client, "Compute forever")
    programs = until(lambda: busy(psutil.Process()) - others)
    cancelled = client.post(f"/v1/runs/{run['id']}/cancel").json()
    assert cancelled["status"] == "cancelled"
    assert cancelled["usage"]["prompt_tokens"] > 0, "the model was asked for that program"
    until(lambda: gone(programs))
    assert messages(client, run["session_id"]) == []


def test_a_request_that_somebody_waits_for_is_found_and_cancelled(client: httpx.Client) -> None:
    body = {"messages": [{"role": "user", "content": "Compute forever"}], "agent_type": "react"}
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(client.post, "/v1/chat/completions", json=body)
        (run,) = until(lambda: listed(client, status="running"))
        assert (run["request"], run["background"]) == ("Compute forever", False)
        assert client.get(f"/v1/runs/{run['id']}/events").status_code == 400
        assert client.post(f"/v1/runs/{run['id']}/cancel").json()["status"] == "cancelled"
        told = asked.result(30)
        assert (told.status_code, told.json()["error"]["code"]) == (499, "cancelled")


def test_a_stream_says_early_by_which_id_it_is_cancelled(client: httpx.Client) -> None:
    body = {"messages": [{"role": "user", "content": "Compute forever"}], "agent_type": "react"}
    with client.stream("POST", "/v1/chat/completions", json=body | {"stream": True}) as reply:
        run_id = reply.headers["x-run-id"]
        lines = (line[6:] for line in reply.iter_lines() if line.startswith("data: {"))
        assert json.loads(next(lines))["x_run_id"] == run_id
        assert client.post(f"/v1/runs/{run_id}/cancel").json()["status"] == "cancelled"
        assert "was cancelled" in json.loads(list(lines)[-1])["error"]["message"]


@pytest.mark.parametrize("word", ["approve", "reject"])
def test_a_decision_lets_it_go_on_in_the_background(client: httpx.Client, word: str) -> None:
    run = begin(client, PRODUCT, approve="always")
    path, session = f"/v1/runs/{run['id']}", run["session_id"]
    shown = follow(client, run["id"])
    assert shown[-1]["type"] == "run.waiting_approval"
    waiting = read(client, run["id"])
    assert waiting["status"] == "waiting_approval"
    assert "print(6 * 7)" in waiting["approval"]["code"]
    assert "Reply **yes**" in waiting["response"]["choices"][0]["message"]["content"]
    decided = client.post(f"{path}/{word}")
    assert (decided.status_code, decided.json()["status"]) == (202, "queued")
    ended = follow(client, run["id"], params={"after": shown[-1]["id"]})
    done = read(client, run["id"])
    if word == "approve":
        assert (ended[-1]["type"], done["answer"]) == ("run.completed", "It is 42.")
    else:
        assert (ended[-1]["type"], done["success"]) == ("run.failed", False)
        assert done["error"]["kind"] == "policy"
    assert done["response"]["id"] != waiting["response"]["id"]
    said = "yes" if word == "approve" else "no"
    assert messages(client, session)[2:] == [said, done["answer"]]
    late = client.post(f"{path}/approve")
    assert (late.status_code, late.json()["error"]["code"]) == (409, "conflict")


def test_a_yes_in_the_chat_goes_on_with_it_there(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(client, PRODUCT, approve="always")
    follow(client, run["id"])
    yes = {"messages": [{"role": "user", "content": "yes"}], "session_id": run["session_id"]}
    reply = client.post("/v1/chat/completions", json=yes)
    assert reply.json()["choices"][0]["message"]["content"].startswith("It is 42.")
    # Whoever follows the run is told as well, once its worker finds that nobody has.
    monkeypatch.setattr("backend.api.background.SETTLED_S", 0.0)
    monkeypatch.setattr("backend.api.background.SWEEP_S", 0.0)
    assert follow(client, run["id"])[-1]["type"] == "run.completed"
    assert len(messages(client, run["session_id"])) == 4


HELD = (
    {**act("finish", "It is 42.", when="Observation: 42"), "fault": "hold"},
    {**generate("print(6 * 7)"), "when": WRITING},
    {"reply": APPROVED, "when": REVIEW},
    act("python_coder", PRODUCT, when=ACTING),
)


def test_a_server_that_stops_hands_its_runs_on_and_their_answers_go_out_once(
    ollama_server: OllamaServer, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, model="ollama:gpt-oss:20b")
    ollama_server.add(*HELD)
    with running(settings) as url, connect(url) as client:
        run = begin(client, PRODUCT)
        for _ in HELD:
            ollama_server.next_request()
    ollama_server.add(act("finish", "It is 42.", when="Observation: 42"))
    with running(settings) as url, connect(url) as client:
        assert follow(client, run["id"])[-1]["type"] == "run.completed"
        done = read(client, run["id"])
        assert done["response"]["x_agent_metadata"]["resumed"] is True
        turns = messages(client, run["session_id"])
    assert turns == [PRODUCT, "It is 42."]
    assert len(ollama_server.chats) == len(HELD) + 1, "only the answer was asked for again"

    asyncio.run(_as_if_killed_before_its_answer_was_recorded(run["id"], settings))
    with running(settings) as url, connect(url) as client:
        assert follow(client, run["id"])[-1]["type"] == "run.completed"
        assert read(client, run["id"])["response"]["choices"] == done["response"]["choices"]
        assert messages(client, run["session_id"]) == turns, "the turn is there once"
    assert check_store(None, settings.data_dir) == []


async def _as_if_killed_before_its_answer_was_recorded(run_id: str, settings: Settings) -> None:
    host, boot, namespace, _, ticks = (await _process_of(run_id, settings)).split(" ")
    dead = " ".join((host, boot, namespace, "4194304", ticks))
    mine = (owned_by(RunRow, LOCAL_OWNER), RunRow.id == run_id)
    last = (owned_by(RunEventRow, LOCAL_OWNER), RunEventRow.kind == "run.completed")
    async with open_database(settings) as database, database.transaction() as session:
        await session.execute(update(RunRow).where(*mine).values(response=None, process=dead))
        await session.execute(delete(RunEventRow).where(*last))


async def _process_of(run_id: str, settings: Settings) -> str:
    from backend.store.runs import RunStore

    async with open_database(settings) as database:
        return (await RunStore(database).get(run_id, owner=LOCAL_OWNER)).process


def test_a_run_of_another_server_is_followed_and_cancelled(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    with (
        running(settings) as one,
        connect(one) as working,
        ThreadPoolExecutor(1) as thread,
    ):
        run = begin(working, "never", agent_type="chat")
        until(lambda: status_of(working, run["id"]) == "running")
        with running(settings) as two, connect(two) as other:
            following = thread.submit(follow, other, run["id"])
            assert other.post(f"/v1/runs/{run['id']}/cancel").json()["status"] == "cancelled"
            assert following.result(30)[-1]["type"] == "run.cancelled"


def test_one_that_was_to_be_cancelled_when_its_server_stopped_is_cancelled_by_the_next(
    tmp_path: Path,
) -> None:
    settings = settings_of(tmp_path)
    with running(settings) as url, connect(url) as client:
        run = begin(client, "never", agent_type="chat")
        until(lambda: status_of(client, run["id"]) == "running")
    asyncio.run(_as_if_asked_to_end(run["id"], settings))
    with running(settings) as url, connect(url) as client:
        until(lambda: status_of(client, run["id"]) == "cancelled")
        assert follow(client, run["id"])[-1]["type"] == "run.cancelled"
    assert check_store(None, settings.data_dir) == []


async def _as_if_asked_to_end(run_id: str, settings: Settings) -> None:
    mine = (owned_by(RunRow, LOCAL_OWNER), RunRow.id == run_id)
    async with open_database(settings) as database, database.transaction() as session:
        await session.execute(update(RunRow).where(*mine).values(cancel_requested=True))


def test_whenever_a_run_is_cancelled_it_ends_once(tmp_path: Path) -> None:
    settings = settings_of(tmp_path).model_copy(update={"max_requests": 16, "max_queue": 100})
    chance = random.Random(1)

    def cancel(run_id: str) -> int:
        time.sleep(chance.uniform(0, 0.1))
        return client.post(f"/v1/runs/{run_id}/cancel").status_code

    with running(settings) as url, connect(url) as client, ThreadPoolExecutor(8) as threads:
        for _ in range(3):
            ids = [begin(client, PRODUCT)["id"] for _ in range(8)]
            assert {*threads.map(cancel, ids)} <= {200, 409}
        until(lambda: client.get("/v1/runs", params={"status": "running"}).json()["data"] == [])
    assert check_store(None, settings.data_dir) == []


@contextmanager
def answered(settings: Settings) -> Iterator[tuple[Any, TestClient, dict[str, Any], list[str]]]:
    """The application in this process, its client, a run in it that is answered, and its turns."""
    app = create_app(settings)
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        run = begin(client, PRODUCT)
        until(lambda: read(client, run["id"])["response"])
        assert client.portal is not None
        yield app, client, run, messages(client, run["session_id"])


def test_however_many_want_to_send_an_answer_off_it_goes_out_once(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    with answered(settings) as (app, client, run, turns):

        async def answer_again() -> None:
            background: Background = app.state.background
            await _forget_answer(run, settings)
            sending = (background.answer(run["id"], owner=LOCAL_OWNER) for _ in range(3))
            await asyncio.gather(*sending)

        client.portal.call(answer_again)
        assert messages(client, run["session_id"]) == turns
        kinds = [event["type"] for event in kept(client, run["id"])["data"]]
        assert kinds.count("run.completed") == 1 and kinds[-1] == "run.completed"


def test_an_answer_that_was_cut_short_on_its_way_is_not_given_twice(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    with answered(settings) as (app, client, run, turns):

        async def answer_after(delay_s: float) -> None:
            background: Background = app.state.background
            database: Database = app.state.server.database
            await _forget_answer(run, settings)
            busy = asyncio.create_task(database.work(lambda connection: time.sleep(0.08)))
            await asyncio.sleep(0)
            task = asyncio.create_task(background.answer(run["id"], owner=LOCAL_OWNER))
            await asyncio.wait({task}, timeout=delay_s)
            task.cancel()
            await asyncio.wait({task})
            await background.answer(run["id"], owner=LOCAL_OWNER)
            await busy

        for milliseconds in range(0, 100, 20):
            client.portal.call(answer_after, milliseconds / 1000)
            assert messages(client, run["session_id"]) == turns, milliseconds


async def _forget_answer(run: dict[str, Any], settings: Settings) -> None:
    mine = (owned_by(RunRow, LOCAL_OWNER), RunRow.id == run["id"])
    last = (owned_by(RunEventRow, LOCAL_OWNER), RunEventRow.kind == "run.completed")
    said = (owned_by(MessageRow, LOCAL_OWNER), MessageRow.session_id == run["session_id"])
    async with open_database(settings) as database, database.transaction() as session:
        await session.execute(update(RunRow).where(*mine).values(response=None))
        await session.execute(delete(RunEventRow).where(*last))
        await session.execute(delete(MessageRow).where(*said))
