from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from backend.config.settings import load_settings
from backend.errors import NotFound
from backend.store.containers import ContainerStore
from backend.store.database import Database, open_database
from backend.store.responses import MOST_TURNS, ResponseStore


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    async with open_database(load_settings(database_url=url)) as opened:
        yield opened


def body(id: str, said: str = "", **more: Any) -> dict[str, Any]:
    output = [{"type": "message", "content": [{"text": said}]}]
    return {"id": id, "created_at": 1.0, "output": output, "x_agent_metadata": None} | more


async def test_a_chain_is_told_from_its_beginning_and_is_its_owners(database: Database) -> None:
    responses = ResponseStore(database)
    made = {"artifacts": [{"name": "a.png"}], "output": "printed"}
    chain: list[tuple[str, str | None, dict[str, Any]]] = [
        ("resp_1", None, {}),
        ("resp_2", "resp_1", {"x_agent_metadata": made}),
        ("resp_3", "resp_1", {}),
        ("resp_4", "resp_2", {}),
    ]
    for id, previous, more in chain:
        await responses.add(
            body(id, f"said {id}", **more),
            owner="one",
            session_id="s",
            previous=previous,
            input=[{"role": "user"}],
        )
    links = await responses.chain("resp_4", owner="one")
    said = [link.output[0]["content"][0]["text"] for link in links]
    assert said == ["said resp_1", "said resp_2", "said resp_4"]
    assert links[1].artifacts == [{"name": "a.png"}]
    assert links[1].printed == "printed"
    assert links[0].artifacts == []
    assert await responses.chain("resp_4", owner="two") == []
    with pytest.raises(NotFound):
        await responses.get("resp_4", owner="two")
    with pytest.raises(NotFound):
        await responses.delete("resp_4", owner="two")
    assert not await responses.replace(body("resp_4", status="failed"), owner="two")
    await responses.delete("resp_2", owner="one")
    assert len(await responses.chain("resp_4", owner="one")) == 1


async def test_a_chain_that_turns_back_on_itself_ends(database: Database) -> None:
    responses = ResponseStore(database)
    await responses.add(body("resp_r"), owner="one", session_id=None, previous="resp_r", input=[])
    assert len(await responses.chain("resp_r", owner="one")) == MOST_TURNS


async def test_containers_are_paged_and_are_their_owners(database: Database) -> None:
    containers = ContainerStore(database)
    made = [
        await containers.create(owner="one", name=f"n{number}", session_id=f"s{number}")
        for number in range(3)
    ]
    page = await containers.list(owner="one", limit=2)
    assert [each.name for each in page.containers] == ["n2", "n1"]
    assert page.has_more
    rest = await containers.list(owner="one", limit=2, after=page.containers[-1].id)
    assert [each.name for each in rest.containers] == ["n0"]
    assert not (await containers.list(owner="two")).containers
    with pytest.raises(NotFound):
        await containers.get(made[0].id, owner="two")
    with pytest.raises(NotFound):
        await containers.list(owner="two", after=made[0].id)
    assert await containers.of_session("s1", owner="two") is None
    await containers.forget_session("s1", owner="two")
    assert await containers.of_session("s1", owner="one") == made[1]
