"""Two owners of one server: every endpoint that is described, with every id of the other.

What is tried comes out of ``/openapi.json``. An endpoint, or a field of a body, that could take an id
and is not known here fails the test: say below what it takes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.api.guarded import Guarded, guarded_server, new_key
from tests.commands import needs_sandbox
from tests.scripts import APPROVE, act, generate

pytestmark = [pytest.mark.sandbox, needs_sandbox]

WORDS = "make a file for {marker}"
PROGRAM = "secret = 7\nopen('made.txt', 'w').write('made')\nprint('It was', 'made')"
LINES = [
    act("finish", "Done.", when="It was made", repeat=True),
    act("python_coder", "make a file", when="make a file", repeat=True),
    generate(PROGRAM, when="make a file", repeat=True),
    APPROVE,
    {"stage": "chat", "reply": "ok", "repeat": True},
]
CODE: Any = {"type": "code_interpreter", "container": {"type": "auto"}}

NOBODYS = {"/health", "/ready", "/v1/models", "/v1/models/{model_id}"}
"""They tell everybody the same."""
ADMINS = {"/metrics", "/v1/keys", "/v1/keys/{key_id}"}
LISTS = {
    "/v1/files": "file",
    "/v1/runs": "run",
    "/v1/sessions": "session",
    "/v1/containers": "container",
}
"""Lists, with what they are of."""
WITHIN = {
    "/v1/responses/{response_id}/input_items": "item",
    "/v1/containers/{container_id}/files": "contained",
}
"""Lists of what something of the owner's has."""
NUMBERED = ("/events", "/messages")
"""Lists in which an id is a place in the run or the session that is named: nobody else's."""

Ids = dict[str, str]
"""What something is -> its id."""


def chat(content: Any, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}], "agent_type": "chat"} | more


BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": chat("hi"),
    "/v1/runs": chat("hi"),
    "/v1/execute": {"code": "print(1)"},
    "/v1/responses": {"input": "hi", "agent_type": "chat"},
    "/v1/containers": {"name": "mine"},
    "/v1/containers/{container_id}/files": {},
    "/v1/files/{file_id}/link": {},
    "/v1/runs/{run_id}/approve": {},
    "/v1/runs/{run_id}/reject": {},
    "/v1/sessions/{session_id}": {"title": "taken over"},
}
"""What each endpoint can do with; one that takes no body is not here."""

HI = {"type": "input_text", "text": "hi"}
Filling = Callable[[str], dict[str, Any]]
FIELDS: dict[str, tuple[str, Filling]] = {
    "file_ids": ("file", lambda it: {"file_ids": [it]}),
    "file_id": ("file", lambda it: {"file_id": it}),
    "session_id": ("session", lambda it: {"session_id": it}),
    "previous_response_id": ("response", lambda it: {"previous_response_id": it}),
    "conversation": ("session", lambda it: {"conversation": it}),
    "conversation.id": ("session", lambda it: {"conversation": {"id": it}}),
    "messages.content.file_id": (
        "file",
        lambda it: chat([HI, {"type": "input_file", "file_id": it}]),
    ),
    "messages.content.file.file_id": (
        "file",
        lambda it: chat([HI, {"type": "file", "file": {"file_id": it}}]),
    ),
    "input.content.file_id": (
        "file",
        lambda it: {
            "input": [{"role": "user", "content": [HI, {"type": "input_file", "file_id": it}]}]
        },
    ),
    "tools.container": ("container", lambda it: {"tools": [CODE | {"container": it}]}),
    "tools.container.file_ids": (
        "file",
        lambda it: {"tools": [CODE | {"container": {"type": "auto", "file_ids": [it]}}]},
    ),
}
"""Fields of bodies that name something: what, and how it is written there."""
NOT_NAMES = {"input.id"}
"""Fields that look like these, and are only given back."""


@dataclass(frozen=True)
class Person:
    """Somebody with a key, and one of everything."""

    marker: str
    client: httpx.Client
    ids: Ids


@dataclass(frozen=True)
class World:
    """A server with two people on it."""

    guarded: Guarded
    alice: Person
    bob: Person
    described: dict[str, Any]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with guarded_server(tmp_path_factory.mktemp("two"), *LINES) as guarded:
        alice, bob = (settle(guarded, name) for name in ("Alpenglow", "Beachcomber"))
        boss = guarded.user("boss", role="admin")
        described = boss.get("/openapi.json").json()
        yield World(guarded=guarded, alice=alice, bob=bob, described=described)


def settle(guarded: Guarded, marker: str) -> Person:
    """Somebody new, who makes one of everything."""
    key, text = new_key(guarded.settings, marker)
    client = guarded.client(text)
    words = WORDS.format(marker=marker)

    def post(path: str, **more: Any) -> dict[str, Any]:
        reply = client.post(path, **more)
        assert reply.is_success, reply.text
        document: dict[str, Any] = reply.json()
        return document

    upload = {"file": (f"{marker}.csv", marker.encode())}
    file = post("/v1/files", files=upload)["id"]
    said = post("/v1/chat/completions", json=chat(words, agent_type="react", file_ids=[file]))
    asks = chat(words, agent_type="react", approve="always")
    waiting = post("/v1/chat/completions", json=asks)["x_run_id"]
    answered = post("/v1/responses", json={"input": words, "tools": [CODE]})
    container = post("/v1/containers", json={"name": marker})["id"]
    items = client.get(f"/v1/responses/{answered['id']}/input_items").json()["data"]
    ids = {
        "file": file,
        "session": said["x_session_id"],
        "run": waiting,
        "response": answered["id"],
        "item": items[0]["id"],
        "container": container,
        "contained": post(f"/v1/containers/{container}/files", json={"file_id": file})["id"],
        "key": key.id,
    }
    return Person(marker=marker, client=client, ids=ids)


@dataclass(frozen=True)
class Try:
    """A request in which one id is another's."""

    method: str
    path: str
    filled: str
    query: dict[str, str]
    body: dict[str, Any] | None
    names: str

    def __str__(self) -> str:
        return f"{self.method} {self.path} with another's {self.names}"

    @property
    def wording(self) -> str:
        """What is sent."""
        return f"{self.method} {self.filled} {self.query} {self.body}"

    def status(self, client: httpx.Client) -> tuple[int, str]:
        """What it is answered with; of a stream, only that it begins."""
        form = self.body if self.body is None else json.dumps(self.body)
        headers = {"Content-Type": "application/json"} if form else {}
        with client.stream(
            self.method, self.filled, params=self.query, content=form, headers=headers
        ) as reply:
            kind = reply.headers.get("content-type", "")
            text = "" if kind.startswith("text/event-stream") else reply.read().decode()
            return reply.status_code, text


def tries(described: dict[str, Any], other: Ids, own: Ids) -> list[Try]:
    """Every request that names something of the other's in one place, and else one's own."""
    found = []
    for path, methods in described["paths"].items():
        if path in NOBODYS | ADMINS:
            continue
        for method, operation in methods.items():
            found += list(_tries(path, method.upper(), operation, described, other, own))
    # What is there is looked at before it is changed, and what is in something goes first.
    rank = {"GET": 0, "POST": 1, "PATCH": 2, "DELETE": 3}
    return sorted(found, key=lambda each: (rank[each.method], -each.path.count("/")))


def _tries(
    path: str,
    method: str,
    operation: dict[str, Any],
    described: dict[str, Any],
    other: Ids,
    own: Ids,
) -> Iterator[Try]:
    parameters = operation.get("parameters", [])
    named = [each["name"] for each in parameters if each["in"] == "path"]
    asked = [each["name"] for each in parameters if each["in"] == "query"]
    body = BODIES.get(path) if "requestBody" in operation else None

    def attempt(names: str, **more: Any) -> Try:
        places = {name: own[_kind(name, path)] for name in named} | more.pop("places", {})
        given = {"query": {}, "body": body} | more
        return Try(method, path, path.format(**places), names=names, **given)

    for name in named:
        yield attempt(name, places={name: other[_kind(name, path)]})
    if "after" in asked and not path.endswith(NUMBERED):
        kind = (LISTS | WITHIN)[path]
        yield attempt("after", query={"after": other[kind]})
    content = operation.get("requestBody", {}).get("content", {})
    for media in content.values():
        for field in sorted(set(_fields(media["schema"], described))):
            if not re.search(r"(^|[_.])(id|ids|container|conversation)$", field):
                continue
            if field in NOT_NAMES:
                continue
            kind, filling = FIELDS[field]  # KeyError: say in FIELDS what this field names
            yield attempt(field, body=(body or {}) | filling(other[kind]))
    if path == "/v1/chat/completions":
        yield attempt("metadata", body=chat("hi", metadata={"session_id": other["session"]}))


def _kind(parameter: str, path: str) -> str:
    """What a path's parameter names."""
    if parameter == "file_id" and path.startswith("/v1/containers/"):
        return "contained"
    return parameter.removesuffix("_id")


def _fields(
    schema: dict[str, Any],
    described: dict[str, Any],
    where: tuple[str, ...] = (),
    seen: frozenset[str] = frozenset(),
) -> Iterator[str]:
    """The names of all fields, those inside others too."""
    if (ref := schema.get("$ref")) is not None:
        name = ref.rpartition("/")[2]
        if name not in seen:
            inner = described["components"]["schemas"][name]
            yield from _fields(inner, described, where, seen | {name})
        return
    parts = [each for kind in ("anyOf", "oneOf", "allOf") for each in schema.get(kind, ())]
    for each in (*parts, schema.get("items", {})):
        if each:
            yield from _fields(each, described, where, seen)
    for name, each in schema.get("properties", {}).items():
        yield ".".join((*where, name))
        yield from _fields(each, described, (*where, name), seen)


def test_every_endpoint_is_known_here(world: World) -> None:
    """What names nothing in its path is a list, makes something, or tells everybody the same."""
    paths = world.described["paths"]
    unknown = [
        f"{method} {path}"
        for path in paths.keys() - NOBODYS - ADMINS
        for method in paths[path]
        if "{" not in path and method != "post" and (method != "get" or path not in LISTS)
    ]
    assert unknown == []
    takes_json = {
        path
        for path, methods in paths.items()
        for operation in methods.values()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    }
    assert takes_json - ADMINS - BODIES.keys() == set()


def test_no_id_of_the_others_opens_anything(world: World) -> None:
    alice, bob = world.alice, world.bob
    attempts = tries(world.described, alice.ids, bob.ids)
    assert len(attempts) > 40
    opened = []
    for attempt in attempts:
        status, text = attempt.status(bob.client)
        if status != 404 or alice.marker in text:
            opened.append(f"{attempt}: {status} {text[:200]}")
    assert not opened, opened
    for path in ADMINS:
        for method in world.described["paths"][path]:
            filled = path.format(key_id=alice.ids["key"])
            assert bob.client.request(method, filled).status_code == 403, path
    # Nothing of it has changed, and each of the requests is one that its owner can make.
    refused = []
    own = {attempt.wording: attempt for attempt in tries(world.described, alice.ids, alice.ids)}
    for attempt in own.values():
        status, text = attempt.status(alice.client)
        is_changed = "taken over" in text and attempt.method != "PATCH"
        if status in {401, 403, 404, 405} or status >= 500 or is_changed:
            refused.append(f"{attempt}: {status} {text[:200]}")
    assert not refused, refused


def test_lists_show_nothing_of_the_others(world: World) -> None:
    anna, ben = (settle(world.guarded, name) for name in ("Antler", "Bramble"))
    for path, kind in LISTS.items():
        reply = ben.client.get(path)
        assert ben.ids[kind] in reply.text, path
        assert anna.marker not in reply.text, path
        assert not [each for each in anna.ids.values() if each in reply.text], path
    narrowed = ben.client.get("/v1/runs", params={"session_id": anna.ids["session"]})
    assert narrowed.status_code == 404 or narrowed.json()["data"] == []


def test_an_admin_sees_nothing_of_the_others_either(world: World) -> None:
    anna = settle(world.guarded, "Aster")
    boss = world.guarded.user("nosy", role="admin")
    for attempt in tries(world.described, anna.ids, anna.ids):
        if attempt.method == "GET":
            status, text = attempt.status(boss)
            assert (status, anna.marker in text) == (404, False), str(attempt)
    assert all(boss.get(path).json()["data"] == [] for path in LISTS)
    assert anna.ids["key"] in boss.get("/v1/keys").text


def test_two_keys_of_one_owner_see_the_same(world: World) -> None:
    key, text = new_key(world.guarded.settings, "phone")
    phone = world.guarded.client(text)
    file = phone.post("/v1/files", files={"file": ("a.csv", b"x")}).json()["id"]
    tablet = world.guarded.user("tablet", owner=key.owner)
    assert [each["id"] for each in tablet.get("/v1/files").json()["data"]] == [file]


def test_the_same_bytes_of_two_are_two_files(world: World) -> None:
    first, second = world.guarded.user("first twin"), world.guarded.user("second twin")
    same = {"file": ("same.csv", b"the same bytes")}
    mine, theirs = (each.post("/v1/files", files=same).json()["id"] for each in (first, second))
    assert mine != theirs
    assert first.delete(f"/v1/files/{mine}").status_code == 200
    assert second.get(f"/v1/files/{theirs}/content").content == b"the same bytes"
    assert first.get("/v1/files").json()["data"] == []


@pytest.mark.parametrize("header", ["X-Session-Id", "X-OpenWebUI-Chat-Id", "X-Conversation-ID"])
def test_a_session_that_two_front_ends_name_the_same_is_two(world: World, header: str) -> None:
    name = f"chat-{header.lower()}"
    one, two = (world.guarded.user(f"{name} {number}") for number in (1, 2))
    for client in (one, two):
        reply = client.post("/v1/chat/completions", json=chat("hi"), headers={header: name})
        assert reply.json()["x_session_id"] == name
    body = {"session_id": name, "code": "secret = 1\nopen('kept.txt', 'w').write('s')"}
    assert one.post("/v1/execute", json=body).json()["success"]
    look = "import os\nprint('secret' in globals(), os.path.exists('kept.txt'))"
    seen = two.post("/v1/execute", json={"session_id": name, "code": look}).json()
    assert seen["stdout"] == "False False\n"
    assert len(two.get(f"/v1/sessions/{name}/messages").json()["data"]) == 2
    assert two.delete(f"/v1/sessions/{name}").status_code == 200
    still = one.post("/v1/execute", json={"session_id": name, "code": "print(secret)"}).json()
    assert still["stdout"] == "1\n"


def test_the_same_idempotency_key_of_two_is_two_runs(world: World) -> None:
    one, two = world.guarded.user("idem 1"), world.guarded.user("idem 2")
    headers = {"Idempotency-Key": "again"}
    runs = [
        client.post("/v1/runs", json=chat("hi"), headers=headers).json()["id"]
        for client in (one, one, two)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_a_link_opens_its_file_and_cannot_be_turned_into_anothers(world: World) -> None:
    one, two = world.guarded.user("link 1"), world.guarded.user("link 2")
    body = {"code": "open('a.txt', 'w').write('mine')"}
    mine, theirs = (
        client.post("/v1/execute", json=body).json()["artifacts"][0] for client in (one, two)
    )
    anybody = world.guarded.client()
    assert anybody.get(mine["url"]).text == "mine"
    ours = {
        name: parse_qs(urlsplit(each["url"]).query)
        for name, each in (("mine", mine), ("theirs", theirs))
    }
    for altered in (
        mine["url"].replace(mine["id"], theirs["id"]),
        mine["url"].replace(ours["mine"]["by"][0], ours["theirs"]["by"][0]),
        theirs["url"].replace(theirs["id"], mine["id"]),
        re.sub(r"by=[^&]*&?", "", mine["url"]),
        re.sub(r"expires=\d+", "expires=99999999999", mine["url"]),
        mine["url"][:-1] + ("0" if mine["url"][-1] != "0" else "1"),
    ):
        for client in (anybody, one, two):
            assert client.get(altered).status_code == 403, altered
    assert anybody.get(f"/v1/files/{mine['id']}/content").status_code == 401
    assert one.delete(f"/v1/files/{mine['id']}").status_code == 200
    assert anybody.get(mine["url"]).status_code == 404
