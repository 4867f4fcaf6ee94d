from __future__ import annotations

import asyncio

import httpx
import openai
import pytest
from openai.types import ContainerCreateResponse
from openai.types.containers import FileCreateResponse

from backend.config.settings import Settings
from backend.store.containers import Container, ContainerStore
from backend.store.database import LOCAL_OWNER, open_database
from tests.api.responses.conftest import ask, items, text_of

TAU = b"n\n1\n2\n3\n"


def test_containers_are_made_listed_and_deleted(api: openai.OpenAI, http: httpx.Client) -> None:
    made = api.containers.create(
        name="mine",
        memory_limit="1g",
        expires_after={"anchor": "last_active_at", "minutes": 5},
    )
    raw = http.get(f"/v1/containers/{made.id}").text
    ContainerCreateResponse.model_validate_json(raw, strict=True)
    assert made.status == "active"
    assert made.memory_limit == "1g"
    assert made.expires_after is not None
    assert made.expires_after.minutes == 5
    other = api.containers.create(name="other")
    listed = [each.id for each in api.containers.list(limit=1, order="asc")]
    assert listed.index(made.id) < listed.index(other.id)
    assert [each.id for each in api.containers.list(name="mine")] == [made.id]
    api.containers.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        api.containers.retrieve(made.id)


def test_files_are_put_in_read_and_deleted(api: openai.OpenAI, http: httpx.Client) -> None:
    uploaded = api.files.create(file=("tau.csv", TAU), purpose="user_data")
    container = api.containers.create(name="files", file_ids=[uploaded.id])
    [copied] = api.containers.files.list(container.id)
    assert (copied.path, copied.source, copied.bytes) == ("/mnt/data/tau.csv", "user", len(TAU))
    added = api.containers.files.create(container.id, file=("more.txt", b"more"))
    again = api.containers.files.create(container.id, file_id=uploaded.id)
    assert again.id == copied.id
    raw = http.get(f"/v1/containers/{container.id}/files/{added.id}").text
    FileCreateResponse.model_validate_json(raw, strict=True)
    listed = api.containers.files.list(container.id, limit=1)
    assert [file.path for file in listed] == ["/mnt/data/more.txt", "/mnt/data/tau.csv"]
    content = api.containers.files.content.retrieve(added.id, container_id=container.id)
    assert content.read() == b"more"
    api.containers.files.delete(added.id, container_id=container.id)
    with pytest.raises(openai.NotFoundError):
        api.containers.files.retrieve(added.id, container_id=container.id)
    api.containers.delete(container.id)
    with pytest.raises(openai.NotFoundError):
        api.files.retrieve(copied.id)
    assert api.files.content(uploaded.id).read() == TAU


def test_a_program_reads_what_was_put_into_its_container(
    api: openai.OpenAI, http: httpx.Client
) -> None:
    container = api.containers.create(name="tau")
    api.containers.files.create(container.id, file=("tau.csv", TAU))
    tool = {"type": "code_interpreter", "container": container.id}
    body = ask(http, "Sum tau with Python", tools=[tool], tool_choice="required")
    assert text_of(body) == "The sum is 6."
    [call] = items(body, "code_interpreter_call")
    assert call["container_id"] == container.id


def test_a_container_that_has_expired_takes_no_requests(
    settings: Settings, http: httpx.Client
) -> None:
    async def unused() -> Container:
        async with open_database(settings) as database:
            return await ContainerStore(database).create(
                owner=LOCAL_OWNER, name="old", session_id="old", expires_after_min=0
            )

    old = asyncio.run(unused())
    assert http.get(f"/v1/containers/{old.id}").json()["status"] == "expired"
    tool = {"type": "code_interpreter", "container": old.id}
    reply = http.post("/v1/responses", json={"input": "x", "tools": [tool]})
    assert reply.status_code == 404
    assert "has expired" in reply.json()["error"]["message"]


def test_a_program_reads_the_files_of_the_tool(api: openai.OpenAI, http: httpx.Client) -> None:
    uploaded = api.files.create(file=("tau.csv", TAU), purpose="user_data")
    tool = {
        "type": "code_interpreter",
        "container": {"type": "auto", "file_ids": [uploaded.id], "memory_limit": "1g"},
    }
    body = ask(http, "Sum tau", tools=[tool])
    assert text_of(body) == "The sum is 6."
    files = http.get(f"/v1/containers/{body['x_container_id']}/files").json()["data"]
    assert [(file["path"], file["source"]) for file in files] == [("/mnt/data/tau.csv", "user")]
    container = http.get(f"/v1/containers/{body['x_container_id']}").json()
    assert (container["name"], container["memory_limit"]) == ("auto", "1g")


def test_a_program_reads_the_files_of_a_message(http: httpx.Client) -> None:
    file = {
        "type": "input_file",
        "filename": "tau.csv",
        "file_data": "data:text/csv;base64,bgoxCjIKMwo=",
    }
    content = [file, {"type": "input_text", "text": "Sum tau"}]
    body = ask(http, [{"role": "user", "content": content}], model="scripted@react")
    assert text_of(body) == "The sum is 6."
    files = http.get(f"/v1/containers/{body['x_container_id']}/files").json()["data"]
    assert [file["path"] for file in files] == ["/mnt/data/tau.csv"]


def test_a_file_of_one_container_is_not_in_another(api: openai.OpenAI, http: httpx.Client) -> None:
    one, two = api.containers.create(name="one"), api.containers.create(name="two")
    file = api.containers.files.create(one.id, file=("a.txt", b"a"))
    for tail in ("", "/content"):
        assert http.get(f"/v1/containers/{two.id}/files/{file.id}{tail}").status_code == 404
    assert http.delete(f"/v1/containers/{two.id}/files/{file.id}").status_code == 404
    assert api.containers.files.retrieve(file.id, container_id=one.id).id == file.id


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": "x", "memory_limit": "64g"}, "memory_limit"),
        ({"name": "x", "memory_limit": "2g"}, "memory_limit"),
        ({"name": "x", "expires_after": {"minutes": 0}}, "expires_after.minutes"),
        ({"name": "x", "network_policy": {"type": "allowlist"}}, "network_policy"),
        ({"name": "x", "skills": [{}]}, "skills"),
    ],
    ids=["no_name", "much_memory", "odd_memory", "no_minutes", "network", "skills"],
)
def test_containers_that_cannot_be_had_are_refused(
    http: httpx.Client, body: dict[str, object], param: str
) -> None:
    reply = http.post("/v1/containers", json=body)
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == param
