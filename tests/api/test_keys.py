"""``/v1/keys``: made, listed and revoked by admins over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from backend.store.audit import trail_folder
from backend.store.audit_reading import Wanted, read_trail
from tests.api.guarded import Guarded, guarded_server
from tests.core.test_cancelling import APPROVED
from tests.scripts import act, generate

Server = tuple[Guarded, httpx.Client]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server and a client of an admin's."""
    folder = tmp_path_factory.mktemp("keys")
    lines = (
        {"stage": "chat", "reply": "ok", "repeat": True},
        act("python_coder", "Write it", repeat=True),
        generate("open('a.txt', 'w').write('x')\nprint(1)", repeat=True),
        {"stage": "review", "reply": APPROVED, "repeat": True},
    )
    with guarded_server(folder, *lines) as guarded:
        yield guarded, guarded.user("boss", role="admin")


def test_an_admin_makes_lists_and_revokes_keys(server: Server) -> None:
    guarded, admin = server
    wish = {"name": "new", "expires_at": int(time.time()) + 1000, "requests_per_minute": 60}
    made = admin.post("/v1/keys", json=wish)
    assert made.status_code == 200, made.text
    key = made.json()
    assert wish.items() <= key.items()
    assert (key["object"], key["role"], key["revoked_at"]) == ("api_key", "user", None)
    client = guarded.client(key.pop("key"))
    assert client.get("/v1/files").status_code == 200
    listed = admin.get("/v1/keys")
    assert key | {"last_used_at": None} in [
        each | {"last_used_at": None} for each in listed.json()["data"]
    ]
    assert "pc-" not in listed.text
    revoked = admin.delete(f"/v1/keys/{key['id']}")
    assert revoked.json()["revoked_at"] >= key["created_at"]
    assert client.get("/v1/files").status_code == 401
    assert admin.delete("/v1/keys/key-0").status_code == 404
    trail = trail_folder(guarded.settings)
    changes = [
        (each.outcome, each.began["source"], each.began["owner"])
        for each in read_trail(trail, Wanted(only_keys=True), limit=100)
        if each.began["key"]["id"] == key["id"]
    ]
    boss = next(each["owner"] for each in listed.json()["data"] if each["name"] == "boss")
    assert changes == [
        ("created", "POST /v1/keys", boss),
        ("revoked", f"DELETE /v1/keys/{key['id']}", boss),
    ]


def test_a_users_key_manages_none(server: Server) -> None:
    guarded, _ = server
    user = guarded.user("user")
    for reply in (
        user.get("/v1/keys"),
        user.post("/v1/keys", json={"name": "mine", "role": "admin"}),
        user.delete("/v1/keys/first"),
    ):
        assert reply.status_code == 403
        assert reply.json()["error"]["type"] == "permission_error"
    assert guarded.user("still admin", role="admin").get("/v1/keys").status_code == 200


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "first"}, "name"),
        ({"name": "x", "role": "root"}, "role"),
        ({"name": "x", "owner": "a/b"}, "owner"),
        ({"name": "x", "expires_at": 1}, "expires_at"),
        ({"name": "x", "expires_at": 1e300}, "expires_at"),
        ({"name": "x", "requests_per_minute": -1}, "requests_per_minute"),
        ({"name": "x", "max_parallel": "many"}, "max_parallel"),
    ],
    ids=str,
)
def test_what_cannot_be_a_key_is_refused(server: Server, wrong: dict[str, Any], param: str) -> None:
    reply = server[1].post("/v1/keys", json=wrong)
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == param


def test_the_first_key_is_not_made_over_http(steady: httpx.Client) -> None:
    reply = steady.post("/v1/keys", json={"name": "a", "role": "admin"})
    assert reply.status_code == 403
    assert "keys create" in reply.json()["error"]["message"]
    assert steady.get("/v1/keys").json()["data"] == []


def test_where_the_server_keeps_its_things_is_for_its_log(server: Server) -> None:
    guarded, admin = server
    blobs, aside = (guarded.settings.data_dir / name for name in ("blobs", "aside"))
    if blobs.exists():
        blobs.rename(aside)
    blobs.write_text("in the way")
    words = [{"role": "user", "content": "Write a file"}]
    try:
        failed = admin.post("/v1/files", files={"file": ("a.csv", b"x")})
        tried = admin.post("/v1/chat/completions", json={"messages": words, "agent_type": "react"})
    finally:
        blobs.unlink()
        if aside.exists():
            aside.rename(blobs)
    assert (failed.status_code, failed.json()["error"]["code"]) == (503, "store_unavailable")
    assert str(guarded.settings.data_dir) not in failed.text
    assert "its log says why" in failed.text
    (run,) = admin.get("/v1/runs").json()["data"]
    kept = admin.get(f"/v1/runs/{run['id']}")
    for told in (tried, kept):
        assert str(guarded.settings.data_dir) not in told.text
    assert "its log says why" in kept.text
