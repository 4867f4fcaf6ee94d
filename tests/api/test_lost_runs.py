"""Runs that another server took while this one stood still: they are its own, and end there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from backend.api.app import create_app
from backend.config.settings import Settings
from backend.store.database import LOCAL_OWNER, open_database, owned_by
from backend.store.run_records import Run
from backend.store.runs import RunStore
from backend.store.tables import RunRow
from tests.api.test_background import HELD, PRODUCT, begin, listed, messages, settings_of
from tests.api.test_presence import until
from tests.commands import needs_sandbox
from tests.ollama_server import PATIENCE_S, OllamaServer, Recorded

pytestmark = [pytest.mark.sandbox, needs_sandbox]

ELSEWHERE = "another-machine boot 1 1 1"


@pytest.fixture
def settings(tmp_path: Path, ollama_server: OllamaServer) -> Settings:
    """Its model keeps the answer back."""
    ollama_server.add(*HELD)
    return settings_of(tmp_path, model="ollama:gpt-oss:20b")


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), base_url="http://127.0.0.1:8000") as opened:
        yield opened


def last_request(model: OllamaServer) -> Recorded:
    """The one whose reply is kept back, once it is there."""
    return [model.next_request() for _ in HELD][-1]


def take_elsewhere(run_id: str, settings: Settings) -> None:
    async def take() -> None:
        mine = (owned_by(RunRow, LOCAL_OWNER), RunRow.id == run_id)
        async with open_database(settings) as database, database.transaction() as session:
            await session.execute(update(RunRow).where(*mine).values(process=ELSEWHERE))

    asyncio.run(take())


def record_of(run_id: str, settings: Settings) -> Run:
    async def read() -> Run:
        async with open_database(settings) as database:
            return await RunStore(database).get(run_id, owner=LOCAL_OWNER)

    return asyncio.run(read())


@pytest.mark.parametrize("sees_it", ["at its next sign", "at its end"])
def test_a_worker_that_lost_its_run_leaves_it_as_it_is(
    client: TestClient,
    settings: Settings,
    ollama_server: OllamaServer,
    monkeypatch: pytest.MonkeyPatch,
    sees_it: str,
) -> None:
    run = begin(client, PRODUCT)
    last = last_request(ollama_server)
    take_elsewhere(run["id"], settings)
    if sees_it == "at its next sign":
        monkeypatch.setattr("backend.api.background.SIGN_S", 0.0)
        assert last.client_left.wait(PATIENCE_S)
    else:
        ollama_server.release()
    app = client.app
    until(lambda: not app.state.background.works_on(run["id"]))  # type: ignore[attr-defined]
    left = record_of(run["id"], settings)
    assert (left.status, left.process, left.result) == ("running", ELSEWHERE, None)
    assert messages(client, run["session_id"]) == [], "whoever has it answers"


def test_a_chat_that_lost_its_record_is_answered_all_the_same(
    client: TestClient, settings: Settings, ollama_server: OllamaServer
) -> None:
    body = {"messages": [{"role": "user", "content": PRODUCT}], "agent_type": "react"}
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(client.post, "/v1/chat/completions", json=body)
        last_request(ollama_server)
        (run,) = listed(client)
        take_elsewhere(run["id"], settings)
        ollama_server.release()
        reply = asked.result(60)
    assert reply.json()["choices"][0]["message"]["content"] == "It is 42."
    assert record_of(run["id"], settings).status == "running"
