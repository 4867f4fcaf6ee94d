"""Keys at the door of a real server: what opens, what does not, and how much a key may ask for."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from backend.api.guard import OPEN_DOORS
from backend.config.settings import Settings, load_settings
from backend.errors import SettingsError
from tests.api.conftest import Serve
from tests.api.guarded import Guarded, expired_key, guarded_server, new_key, revoke

CHAT = {"messages": [{"role": "user", "content": "hi"}], "agent_type": "chat"}
FRONT_END = "https://chat.example.org"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    line = {"stage": "chat", "reply": "ok", "repeat": True}
    with guarded_server(folder, line, cors_origins=FRONT_END) as server:
        yield server


def endpoints(client: httpx.Client) -> list[tuple[str, str]]:
    """Every method and path that is described, filled with ids that nothing has."""
    described = client.get("/openapi.json").json()["paths"]
    return [
        (method.upper(), re.sub(r"\{[^}]+\}", "x", path))
        for path, methods in described.items()
        for method in methods
        if path not in OPEN_DOORS
    ]


def refused(reply: httpx.Response, says: str) -> None:
    assert reply.status_code == 401, reply.text
    error = reply.json()["error"]
    assert (error["type"], error["code"]) == ("authentication_error", "invalid_api_key")
    assert says in error["message"]
    assert reply.headers["www-authenticate"] == "Bearer"


def test_nothing_opens_without_a_good_key(guarded: Guarded) -> None:
    settings = guarded.settings
    key, text = new_key(settings, "to be revoked")
    revoke(settings, key.id)
    forged = "pc-" + "0" * 16 + "-" + "0" * 64
    bad = [
        (guarded.client(), "wants an API key"),
        (guarded.client(forged), "is wrong"),
        (guarded.client(text[:-8] + "00000000"), "is wrong"),
        (guarded.client("sk-" + "x" * 4000), "is wrong"),
        (guarded.client(text), "revoked"),
        (guarded.client(expired_key(settings, "short")), "expired"),
    ]
    paths = endpoints(guarded.user("reader"))
    assert len(paths) > 20
    for client, says in bad:
        for method, path in paths:
            refused(client.request(method, path), says)
    odd = {b"Authorization": b"Bearer \xe9\xff"}
    refused(guarded.client().get("/v1/files", headers=odd), "is wrong")
    for value in (text, f"Basic {text}", "Bearer"):
        bare = guarded.client().get("/v1/files", headers={"Authorization": value})
        refused(bare, "'Authorization' does not have one behind 'Bearer '")
        assert text not in bare.text
    refused(guarded.client().get("/nowhere"), "wants an API key, and there is none")
    refused(guarded.client().get("/v1/files/x/content?signatur=1"), "wants an API key")


def test_what_tells_whether_it_works_is_for_everybody(guarded: Guarded) -> None:
    assert guarded.client().get("/health").status_code == 200
    refused(guarded.client().post("/health"), "wants an API key")


@pytest.mark.parametrize("form", ["Bearer {}", "bearer  {}", "BEARER {}"])
def test_a_key_comes_as_a_bearer_or_in_its_own_header(guarded: Guarded, form: str) -> None:
    _, text = new_key(guarded.settings, f"for {form.strip()}")
    client = guarded.client()
    assert client.get("/v1/files", headers={"Authorization": form.format(text)}).is_success
    both = {"X-API-Key": text, "Authorization": "Basic abc"}
    assert client.get("/v1/files", headers=both).is_success
    refused(client.get("/v1/files", headers={"Authorization": text}), "wants an API key")


def test_with_keys_neither_host_nor_origin_decides(guarded: Guarded) -> None:
    client = guarded.user("far away")
    far = {"Host": "coder.example", "Origin": "https://evil.example"}
    reply = client.post("/v1/chat/completions", json=CHAT, headers=far)
    assert reply.status_code == 200
    assert "access-control-allow-origin" not in reply.headers
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_pages_that_are_invited_may_call_and_read(guarded: Guarded) -> None:
    asks = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    nobody = guarded.client()
    invited = nobody.options("/v1/chat/completions", headers=asks | {"Origin": FRONT_END})
    assert invited.status_code == 200
    assert invited.headers["access-control-allow-origin"] == FRONT_END
    assert "authorization" in invited.headers["access-control-allow-headers"]
    other = nobody.options(
        "/v1/chat/completions", headers=asks | {"Origin": "https://evil.example"}
    )
    assert "access-control-allow-origin" not in other.headers
    without = nobody.get("/v1/files", headers={"Origin": FRONT_END})
    refused(without, "wants an API key")
    assert without.headers["access-control-allow-origin"] == FRONT_END


@pytest.mark.parametrize("origins", ["*", "chat.example.org", "https://a.example/path", "null"])
def test_origins_are_named_one_by_one(origins: str) -> None:
    with pytest.raises(SettingsError, match="PYTHON_CODER_CORS_ORIGINS"):
        load_settings(cors_origins=origins)


def test_a_key_works_from_when_it_is_made_until_it_is_revoked(guarded: Guarded) -> None:
    key, text = new_key(guarded.settings, "short lived")
    client = guarded.client(text)
    for _ in range(3):
        assert client.get("/v1/files").status_code == 200
    revoke(guarded.settings, "short lived")
    refused(client.get("/v1/files"), "revoked")
    _, text = new_key(guarded.settings, "short lived", owner=key.owner)
    assert guarded.client(text).get("/v1/files").status_code == 200


def test_only_admins_leave_the_check_out(guarded: Guarded) -> None:
    body = {"code": "print(6 * 7)", "check": False}
    reply = guarded.user("unchecked").post("/v1/execute", json=body)
    assert reply.status_code == 403
    assert reply.json()["error"]["param"] == "check"
    admin = guarded.user("unchecked admin", role="admin")
    assert admin.post("/v1/execute", json=body).json()["stdout"] == "42\n"


@pytest.mark.parametrize("more", [{"memory_mb": 513}, {"timeout_s": 30.5}], ids=str)
def test_only_admins_go_beyond_the_limits_of_the_settings(
    guarded: Guarded, more: dict[str, float]
) -> None:
    (param,) = more
    user, admin = guarded.user(f"{param} user"), guarded.user(f"{param} admin", role="admin")
    body = {"code": "print(6 * 7)"}
    reply = user.post("/v1/execute", json=body | more)
    assert (reply.status_code, reply.json()["error"]["param"]) == (403, param)
    for client, given in ((user, {param: int(more[param]) - 1}), (admin, more)):
        assert client.post("/v1/execute", json=body | given).json()["stdout"] == "42\n"


def test_links_lead_to_the_server_whatever_it_was_called(guarded: Guarded) -> None:
    client = guarded.user("misleading")
    body = {"code": "open('a.txt', 'w').write('a')"}
    for host in ('evil"<b>', "[::1", "a b"):
        reply = client.post("/v1/execute", json=body, headers={"Host": host})
        if reply.status_code == 400 and "text/plain" in reply.headers.get("content-type", ""):
            continue  # not even taken as HTTP
        assert reply.json()["artifacts"][0]["url"].startswith(f"{guarded.url}/v1/files/")


def test_a_key_may_make_so_many_requests_a_minute(guarded: Guarded) -> None:
    client = guarded.user("twice", requests_per_minute=2)
    left = [client.get("/v1/files").headers for _ in range(2)]
    assert [each["x-ratelimit-remaining-requests"] for each in left] == ["1", "0"]
    assert left[1]["x-ratelimit-limit-requests"] == "2"
    assert re.fullmatch(r"([1-9]|[1-5]\d|60)s", left[1]["x-ratelimit-reset-requests"])
    reply = client.get("/v1/files")
    assert reply.status_code == 429
    error = reply.json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert 1 <= int(reply.headers["retry-after"]) <= 30
    assert client.get("/health").status_code == 200
    assert guarded.user("another").get("/v1/files").status_code == 200


def test_a_key_may_make_so_many_requests_at_a_time(guarded: Guarded) -> None:
    _, text = new_key(guarded.settings, "one by one", max_parallel=1)
    client = guarded.client(text)
    head = (
        f"POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {text}\r\n"
        "Content-Length: 1000\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
    )
    address = (httpx.URL(guarded.url).host, httpx.URL(guarded.url).port)

    def sent() -> httpx.Response:
        return client.post("/v1/chat/completions", json=CHAT)

    with socket.create_connection(address) as upload:
        upload.sendall(head.encode())
        reply = first(sent, lambda each: each.status_code == 429)
        assert reply.json()["error"]["code"] == "rate_limit_exceeded"
        assert reply.headers["retry-after"] == "1"
        # Whoever may begin nothing more can still look, and end what is under way.
        assert client.get("/v1/files").status_code == 200
        assert client.post("/v1/runs/run-0/cancel").status_code == 404
    assert first(sent, lambda each: each.status_code != 429).status_code == 200


def first(ask: Any, is_it: Any) -> httpx.Response:
    """The first of many answers of which something is true."""
    for _ in range(500):
        reply: httpx.Response = ask()
        if is_it(reply):
            return reply
    raise AssertionError("it never was")


def test_the_settings_say_how_much_a_key_may_ask_for() -> None:
    from backend.api.allowance import Allowance
    from backend.api.errors import RateLimited

    settings = load_settings(rate_limit=1, max_parallel_requests=1)
    allowance = Allowance(settings)
    plain, _ = new_key(settings, "plain")
    free, _ = new_key(settings, "free", requests_per_minute=0, max_parallel=0)
    allowance.take(plain)
    with pytest.raises(RateLimited):
        allowance.take(plain)
    assert [allowance.take(free) for _ in range(5)] == [None] * 5
    with allowance.place(plain), pytest.raises(RateLimited), allowance.place(plain):
        pass
    with allowance.place(free), allowance.place(free), allowance.place(plain):
        pass


def test_without_keys_any_key_does(steady: httpx.Client) -> None:
    for headers in ({"Authorization": "Bearer sk-anything"}, {"X-API-Key": "x"}, {}):
        assert steady.get("/v1/files", headers=headers).status_code == 200


def test_a_server_of_this_machine_closes_with_its_first_key_and_does_not_open_with_its_last_ones_end(
    serve: Serve,
) -> None:
    client = serve({"stage": "chat", "reply": "ok"})
    made_before = client.post("/v1/files", files={"file": ("a.csv", b"x")}).json()["id"]
    settings: Settings = load_settings()
    key, text = new_key(settings, "first", owner="local")
    refused(client.get("/v1/files"), "wants an API key")
    client.headers["X-API-Key"] = text
    assert client.get(f"/v1/files/{made_before}").status_code == 200
    revoke(settings, key.id)
    refused(client.get("/v1/files"), "revoked")
    del client.headers["X-API-Key"]
    refused(client.get("/v1/files"), "wants an API key")
