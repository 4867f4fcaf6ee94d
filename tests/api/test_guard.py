from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from backend.api.auth import LOCAL, Principal, PrincipalDep
from backend.api.guard import Gate
from backend.config.settings import load_settings
from backend.errors import StoreUnavailable
from backend.request_context import RequestContext, current_request
from backend.store.database import open_database
from backend.store.keys import Key, open_keys
from tests.api.conftest import Serve

BODY = {"messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "localhost.evil.example", "10.0.0.1", "[::2]", "::"]
)
def test_a_name_that_was_bound_to_loopback_is_refused(steady: httpx.Client, host: str) -> None:
    reply = steady.get("/v1/files", headers={"Host": host})
    assert reply.status_code == 403
    assert reply.json()["error"]["type"] == "permission_error"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:80", "[::1]:8000"])
def test_the_names_of_this_machine_are_taken(steady: httpx.Client, host: str) -> None:
    assert steady.get("/v1/files", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
def test_other_sites_pages_cannot_make_it_work(
    steady: httpx.Client, headers: dict[str, str]
) -> None:
    assert steady.post("/v1/chat/completions", json=BODY, headers=headers).status_code == 403
    assert steady.post("/v1/execute", json={"code": "1"}, headers=headers).status_code == 403
    assert steady.delete("/v1/files/file-1", headers=headers).status_code == 403


def test_a_page_of_its_own_may_and_nobody_is_invited(steady: httpx.Client) -> None:
    own = str(steady.base_url).rstrip("/")
    reply = steady.post("/v1/chat/completions", json=BODY, headers={"Origin": own})
    assert reply.status_code == 200
    assert not [name for name in reply.headers if name.startswith("access-control")]
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_the_public_address_is_one_of_its_names(serve: Serve) -> None:
    client = serve(
        {"stage": "chat", "reply": "ok", "repeat": True},
        public_base_url="https://coder.example/",
    )
    headers = {"Host": "coder.example", "Origin": "https://coder.example"}
    assert client.post("/v1/chat/completions", json=BODY, headers=headers).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
def test_a_body_that_pages_may_send_unasked_is_no_json(steady: httpx.Client, kind: str) -> None:
    reply = steady.post("/v1/execute", content=b'{"code": "1"}', headers={"Content-Type": kind})
    assert reply.status_code == 400


@pytest.mark.parametrize("with_keys", [False, True], ids=["without keys", "with keys"])
async def test_who_asks_is_known_while_a_request_is_worked_on(
    tmp_path: Path, with_keys: bool
) -> None:
    seen: list[tuple[Principal, RequestContext]] = []
    app = FastAPI()

    @app.get("/v1/look")
    async def look(principal: PrincipalDep) -> StreamingResponse:
        async def stream() -> AsyncIterator[str]:
            seen.append((principal, current_request()))
            yield "seen"

        return StreamingResponse(stream())

    settings = load_settings()
    app.add_middleware(Gate, settings=settings)
    async with open_database(settings) as database, open_keys(database, settings) as keys:
        app.state.server = SimpleNamespace(keys=keys)
        expected, headers = LOCAL, {}
        if with_keys:
            key, text = await keys.create(name="a")
            expected = Principal(owner=key.owner, role="user", key_id=key.id)
            headers = {"X-API-Key": text}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            assert (await client.get("/v1/look", headers=headers)).text == "seen"
    [(principal, context)] = seen
    assert principal == expected
    assert (context.owner, context.key_id) == (expected.owner, expected.key_id)
    assert current_request().owner == ""


def test_pages_that_are_invited_are_taken_without_keys_too(serve: Serve) -> None:
    front_end = "https://chat.example.org"
    client = serve({"stage": "chat", "reply": "ok", "repeat": True}, cors_origins=front_end)
    reply = client.post("/v1/chat/completions", json=BODY, headers={"Origin": front_end})
    assert reply.status_code == 200
    assert reply.headers["access-control-allow-origin"] == front_end
    other = client.post(
        "/v1/chat/completions", json=BODY, headers={"Origin": "https://evil.example"}
    )
    assert other.status_code == 403
    assert "access-control-allow-origin" not in other.headers


class _Away:
    """Keys whose database is gone."""

    async def are_wanted(self) -> bool:
        raise StoreUnavailable("connection to 10.0.0.5, port 5432 failed for user 'coder'")

    async def check(self, given: str) -> Key:
        raise StoreUnavailable(f"connection to 10.0.0.5 failed, asked for {given!r}")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_nobody_unknown_is_told_where_the_database_lies(host: str) -> None:
    app = FastAPI()
    app.add_middleware(Gate, settings=load_settings(host=host))
    app.state.server = SimpleNamespace(keys=_Away())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        reply = await client.get("/v1/files", headers={"X-API-Key": "pc-x"})
    assert reply.status_code == 503
    assert reply.json()["error"]["code"] == "store_unavailable"
    assert "10.0.0.5" not in reply.text
