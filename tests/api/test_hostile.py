"""What nobody sends by mistake: always the envelope, never a fault of the server, nothing told."""

from __future__ import annotations

import gzip
import json
import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from backend.api.schemas import ChatRequest, ExecuteRequest
from tests.api.conftest import Serve
from tests.api.test_files import upload

CHAT = "/v1/chat/completions"
USER = {"role": "user", "content": "hi"}
JSON = {"Content-Type": "application/json"}
INSIDE = re.compile(
    r"Traceback|File \"|/backend/|site-packages|sqlalchemy|SELECT |INSERT |sqlite|psycopg|pydantic|"
    r"https://errors|0x[0-9a-f]{6}|/tmp/|/data/",
    re.IGNORECASE,
)
"""What tells of the inside."""


def refused(reply: httpx.Response, *statuses: int) -> dict[str, Any]:
    """The error of an answer that is one as it should be."""
    assert reply.status_code in (statuses or (400,)), reply.text[:500]
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    body = reply.json()
    assert set(body) == {"error"}
    error: dict[str, Any] = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert len(error["message"]) < 1500
    assert not INSIDE.search(reply.text), reply.text[:500]
    return error


def nested(depth: int) -> bytes:
    return b'{"messages":' + b"[" * depth + b"]" * depth + b"}"


BODIES = {
    "nothing": b"",
    "spaces": b"   ",
    "no json": b"{messages: 1}",
    "cut off": b'{"messages": [{"role": "us',
    "two documents": b'{"messages": []}{"messages": []}',
    "a list": b"[]",
    "a number": b"12",
    "deep": nested(100_000),
    "deep objects": b'{"messages":' * 100_000,
    "deep in a free field": b'{"messages":[{"role":"user","content":"x"}],"tools":'
    + b"[" * 50_000
    + b"]" * 50_000
    + b"}",
    "a huge number": b'{"messages": [{"role":"user","content":"x"}], "seed": 1'
    + b"0" * 5000
    + b"}",
    "a huge float": b'{"messages": [{"role":"user","content":"x"}], "temperature": 1e999}',
    "NaN": b'{"messages": [{"role":"user","content":"x"}], "temperature": NaN}',
    "infinity": b'{"messages": [{"role":"user","content":"x"}], "temperature": -Infinity}',
    "half a pair": b'{"messages": [{"role":"\\ud800","content":"x"}]}',
    "half a pair in words": b'{"messages": [{"role":"user","content":"\\ud800"}]}',
    "no UTF-8": b'{"messages": [{"role":"user","content":"\xff\xfe"}]}',
    "UTF-16": '{"messages": []}'.encode("utf-16"),
    "a NUL as role": b'{"messages": [{"role":"user\\u0000","content":"x"}]}',
    "raw control characters": b'{"messages": [{"role":"user","content":"a\x00b"}]}',
    "packed without saying so": gzip.compress(b'{"messages": []}'),
    "many messages": b'{"messages": ['
    + b",".join([b'{"role":"user","content":"x"}'] * 10_001)
    + b"]}",
    "a name without end": b'{"messages": [], "' + b"x" * 100_000 + b'": 1}',
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_that_are_no_request(steady: httpx.Client, name: str) -> None:
    refused(steady.post(CHAT, content=BODIES[name], headers=JSON))


def wrong_values() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field of the main requests with values of every wrong kind."""
    kinds: dict[str, Any] = {
        "object": {"x": [1]},
        "list": [[1]],
        "words": "\u202e\x00x",
        "number": -7.5,
        "large": 10**30,
        "true": True,
    }
    for path, model, good in (
        (CHAT, ChatRequest, {"messages": [USER]}),
        ("/v1/execute", ExecuteRequest, {"code": "1"}),
    ):
        for field in model.model_fields:
            yield path, good | {f"?{field}": kinds}


@pytest.mark.parametrize(("path", "fields"), list(wrong_values()), ids=lambda each: None)
def test_fields_of_the_wrong_kind(steady: httpx.Client, path: str, fields: dict[str, Any]) -> None:
    (field,) = [name for name in fields if name.startswith("?")]
    good = {name: value for name, value in fields.items() if name != field}
    for value in fields[field].values():
        reply = steady.post(
            path,
            json=good | {field[1:]: value, "stream": False}
            if path == CHAT
            else good | {field[1:]: value},
        )
        if reply.status_code != 200:
            refused(reply, 400, 404)


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ({"Content-Type": "text/plain"}, b"{}"),
        ({"Content-Type": "application/xml"}, b"<a/>"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"messages=1"),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x--"),
        ({"Content-Type": "application/json; charset=utf-16"}, "{}".encode("utf-16")),
        ({"Content-Type": "application/json; charset=no-such"}, b"{"),
        ({"Content-Type": ";;;"}, b"{}"),
        ({"Content-Type": "\xff"}, b"{}"),
        ({"Content-Type": "x" * 5000}, b"{}"),
        (JSON | {"Content-Encoding": "gzip"}, gzip.compress(b'{"messages": []}')),
        (JSON | {"Content-Encoding": "br"}, b"{}"),
        (JSON | {"Content-Encoding": "gzip, gzip"}, b"{}"),
    ],
    ids=range(12),
)
def test_bodies_of_another_kind(
    steady: httpx.Client, headers: dict[str, str], content: bytes
) -> None:
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    refused(steady.post(CHAT, content=content, headers=raw))


def test_of_a_field_that_is_there_twice_the_last_one_counts(steady: httpx.Client) -> None:
    twice = b'{"messages": 1, "messages": [{"role": "user", "content": "hi"}]}'
    assert steady.post(CHAT, content=twice, headers=JSON).status_code == 200
    twice = b'{"messages": [{"role": "user", "content": "hi"}], "messages": 1}'
    refused(steady.post(CHAT, content=twice, headers=JSON))


def test_unknown_fields_are_ignored_where_openais_clients_send_them(steady: httpx.Client) -> None:
    body = {"messages": [USER], "__proto__": {"x": 1}, "new_field": [None], "user_id": 7}
    assert steady.post(CHAT, json=body).status_code == 200
    error = refused(steady.post("/v1/execute", json={"code": "1", "cod": 2}))
    assert error["param"] == "cod"


def test_a_body_of_very_many_values_is_not_read(steady: httpx.Client) -> None:
    many = b'{"messages": [{"role": "user", "content": "hi"}], "new_field": [%s1]}' % (
        b"[]," * 250_000
    )
    error = refused(steady.post(CHAT, content=many, headers=JSON), 413)
    assert "250000" in error["message"]


def test_a_body_that_comes_in_pieces_is_taken_and_bounded(steady: httpx.Client) -> None:
    body = json.dumps({"messages": [USER]}).encode()
    pieces = (body[at : at + 1] for at in range(len(body)))
    assert steady.post(CHAT, content=pieces, headers=JSON).status_code == 200
    endless = (b" " * 2**20 for _ in range(200))
    refused(steady.post(CHAT, content=endless, headers=JSON), 413)


IDS = (
    "..", "../..", "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e", "%2e%2e%2f%2e%2e%2f",
    "%00", "a%00b", "%0d%0aX-Evil:1", "*", "%25", "%ff%fe", "%ed%a0%80", "\u202e", "a" * 5000,
    "'%20OR%201=1--", "file-" + "0" * 32, "%7B%7D", "-1", "null", "\U0001f600", "a;b", "%5c..%5c",
)  # fmt: skip
PLACES = (
    ("GET", "/v1/files/{}"), ("GET", "/v1/files/{}/content"), ("DELETE", "/v1/files/{}"),
    ("POST", "/v1/files/{}/link"), ("GET", "/v1/sessions/{}/messages"), ("GET", "/v1/sessions/{}"),
    ("DELETE", "/v1/sessions/{}"), ("POST", "/v1/sessions/{}/undo"), ("GET", "/v1/runs/{}"),
    ("POST", "/v1/runs/{}/cancel"), ("POST", "/v1/runs/{}/approve"), ("POST", "/v1/runs/{}/reject"),
    ("GET", "/v1/models/{}"), ("GET", "/v1/files?after={}"), ("GET", "/v1/sessions?after={}"),
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES, ids=lambda place: " ".join(place))
def test_ids_that_are_none(steady: httpx.Client, place: tuple[str, str]) -> None:
    method, template = place
    for each in IDS:
        # As they stand: a client of ours would tidy the path up before it is sent.
        address = template.format(quote(each, safe="%/.*';-="))
        reply = raw_request(steady, f"{method} {address} HTTP/1.1")
        if reply.status_code not in {200, 307}:  # a path that was tidied up names a list
            refused(reply, 400, 403, 404, 405)


@pytest.mark.parametrize("field", ["file_ids", "session_id", "model", "agent_type"])
def test_ids_in_bodies_that_are_none(steady: httpx.Client, field: str) -> None:
    for each in ("..", "../x", "\x00", "\ud800", "\u202e", "a" * 100_000, "*", "", " ", "x\ny"):
        value = [each] if field == "file_ids" else each
        reply = steady.post(
            CHAT, content=json.dumps({"messages": [USER], field: value}), headers=JSON
        )
        if reply.status_code != 200:
            assert field in str(refused(reply, 400, 404)["param"]) or each == "\ud800"


NAMES = {
    "../../etc/passwd.csv": "passwd.csv",
    "..\\..\\boot.csv": "boot.csv",
    "a\x00b.csv": "a_b.csv",
    "a\nb.csv": "a_b.csv",
    "\u202egpj.csv": "_gpj.csv",
    "  .hidden.csv": "hidden.csv",
    'quo"te.csv': "quo_te.csv",
    "-rf.csv": "rf.csv",
    "x" * 400 + ".csv": "x" * 196 + ".csv",
    "\U0001f600.csv": "\U0001f600.csv",
}


@pytest.mark.parametrize(("name", "kept"), list(NAMES.items()), ids=range(len(NAMES)))
def test_names_that_are_traps(steady: httpx.Client, name: str, kept: str) -> None:
    quoted = name.replace('"', "%22").replace("\n", "%0A").encode()
    reply = steady.post(
        "/v1/files",
        content=b'--b\r\nContent-Disposition: form-data; name="file"; filename="'
        + quoted
        + b'"\r\n\r\nx\r\n--b--\r\n',
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    if reply.status_code == 400 and "\x00" in name:
        refused(reply)  # the parser takes no NUL
        return
    assert reply.status_code == 200, reply.text
    assert reply.json()["filename"] == kept
    content = steady.get(f"/v1/files/{reply.json()['id']}/content")
    assert "\n" not in content.headers["content-disposition"]


FORM = {"Content-Type": "multipart/form-data; boundary=b"}
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
FORMS = {
    "nothing": b"",
    "only an end": b"--b--\r\n",
    "no end": PART + b"x",
    "an end without an end": PART + b"x\r\n--b",
    "another boundary": PART.replace(b"--b", b"--c") + b"x\r\n--c--\r\n",
    "no headers": b"--b\r\n\r\nx\r\n--b--\r\n",
    "no name": b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
    "nested": b"--b\r\nContent-Disposition: form-data; name=x\r\n"
    b"Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n--b--\r\n",
    "10,000 fields": b"".join(
        b'--b\r\nContent-Disposition: form-data; name="f%d"\r\n\r\nx\r\n' % number
        for number in range(10_000)
    )
    + b"--b--\r\n",
    "a huge header": b"--b\r\nContent-Disposition: form-data; name=" + b"x" * 100_000,
    "many headers": b"--b\r\n" + b"X-A: b\r\n" * 10_000 + b"\r\nx\r\n--b--\r\n",
    "a header without end": b"--b\r\nX" + b"y" * 3_000_000,
    "a name that is none": PART.replace(b"a.csv", b"..") + b"x\r\n--b--\r\n",
    "a field that is a file": PART.replace(b'"file"', b'"purpose"') + b"x\r\n--b--\r\n",
    "an empty file": PART + b"\r\n--b--\r\n",
    "much before the first part": b"x" * 5_000_000 + b"\r\n" + PART + b"x\r\n--b--\r\n",
    "much behind the last part": PART + b"x\r\n--b--\r\n" + b"y" * 5_000_000,
}


@pytest.mark.parametrize("name", FORMS)
def test_forms_that_are_none(steady: httpx.Client, name: str) -> None:
    before = len(steady.get("/v1/files").json()["data"])
    reply = steady.post("/v1/files", content=FORMS[name], headers=FORM)
    refused(reply, 400, 413)
    assert len(steady.get("/v1/files").json()["data"]) == before


def raw_request(
    client: httpx.Client, head: str, *headers: str, body: bytes = b""
) -> httpx.Response:
    """What a client that keeps no rule sends, and the answer."""
    lines = [head, f"Host: 127.0.0.1:{client.base_url.port}", "Connection: close", *headers]
    address = (client.base_url.host, client.base_url.port or 0)
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    top, _, content = received.partition(b"\r\n\r\n")
    status, *fields = top.decode("latin-1").split("\r\n")
    pairs = [tuple(field.split(": ", 1)) for field in fields]
    kept = [pair for pair in pairs if pair[0].lower() not in {"transfer-encoding"}]
    return httpx.Response(int(status.split()[1]), headers=kept, content=content)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("head", "headers", "body"),
    [
        ("GARBAGE", (), b""),
        ("GET / HTTP/9.9", (), b""),
        ("GET  /v1/files HTTP/1.1", (), b""),
        (f"POST {CHAT} HTTP/1.1", ("Content-Length: -1",), b"{}"),
        (f"POST {CHAT} HTTP/1.1", ("Content-Length: 2", "Content-Length: 3"), b"{}"),
        (f"POST {CHAT} HTTP/1.1", ("Content-Length: 9999999999999999999999",), b"{}"),
        (f"POST {CHAT} HTTP/1.1", ("Transfer-Encoding: chunked",), b"zz\r\n{}\r\n0\r\n\r\n"),
        ("GET /v1/files HTTP/1.1", ("X: " + "y" * 200_000,), b""),
    ],
    ids=range(8),
)
def test_what_is_no_http_is_closed(
    steady: httpx.Client, head: str, headers: tuple[str, ...], body: bytes
) -> None:
    try:
        reply = raw_request(steady, head, *headers, body=body)
    except (IndexError, ConnectionError):
        pass  # closed without a word
    else:
        assert reply.status_code < 500
        assert not INSIDE.search(reply.text)
    assert steady.get("/v1/files?limit=1").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", CHAT, 405),
        ("DELETE", CHAT, 405),
        ("PATCH", "/v1/files", 405),
        ("HEAD", CHAT, 405),
        ("OPTIONS", CHAT, 405),
        ("TRACE", "/v1/files", 405),
        ("PROPFIND", "/v1/files", 405),
        ("POST", "/health", 405),
        ("GET", "/v1", 404),
        ("GET", "/v2/models", 404),
        ("GET", "/v1/files/x/y/z", 404),
        ("GET", "//v1/files", 404),
        ("GET", "/V1/FILES", 404),
        ("GET", "/.env", 404),
        ("GET", "/docs", 404),
        ("GET", "/v1/files?limit=", 400),
        ("GET", "/v1/files?limit=0", 400),
        ("GET", "/v1/files?limit=-1", 400),
        ("GET", "/v1/files?limit=1e3", 400),
        ("GET", "/v1/files?limit=99999999999999999999", 400),
        ("GET", "/v1/files?limit=1&limit=x", 400),
        ("GET", "/v1/files?order=", 400),
        ("GET", "/v1/files?order=up", 400),
        ("GET", "/v1/files?after=%00", 404),
        ("GET", "/v1/sessions?limit=x", 400),
    ],
)
def test_addresses_and_methods_that_are_none(
    steady: httpx.Client, method: str, path: str, status: int
) -> None:
    reply = steady.request(method, path)
    if method == "HEAD":
        assert reply.status_code == status
        return
    refused(reply, status)
    if status == 405:
        assert reply.headers["allow"]


def test_a_slash_at_the_end_changes_nothing_of_what_is_answered(steady: httpx.Client) -> None:
    reply = steady.get("/v1/files/", follow_redirects=False)
    assert reply.status_code in {307, 404}
    if reply.status_code == 307:
        assert httpx.URL(reply.headers["location"]).path == "/v1/files"


@pytest.fixture(scope="module")
def links(steady: httpx.Client) -> tuple[str, str]:
    """A good link to a file, and the path of another file's content."""
    first, second = (upload(steady, f"{n}.csv", b"abc").json()["id"] for n in range(2))
    url = steady.post(f"/v1/files/{first}/link").json()["url"]
    return url, f"/v1/files/{second}/content"


@pytest.mark.parametrize(
    "changes",
    [
        {"signature": "0" * 64},
        {"signature": ""},
        {"signature": "é" * 64},
        {"signature": "\x00"},
        {"signature": "x" * 10_000},
        {"expires": "1"},
        {"expires": "99999999999"},
        {"expires": "9" * 400},
        {"expires": "-1"},
        {"expires": "soon"},
        {"expires": ""},
        {"expires": None},
        {"by": "owner-1"},
        {"by": "\x00"},
        {"by": "' OR 1=1"},
    ],
    ids=range(15),
)
def test_links_that_were_tampered_with(
    steady: httpx.Client, links: tuple[str, str], changes: dict[str, str | None]
) -> None:
    good = httpx.URL(links[0])
    assert steady.get(good).content == b"abc"
    params = dict(good.params) | changes
    told = {name: value for name, value in params.items() if value is not None}
    refused(steady.get(good.path, params=told), 400, 403)
    refused(steady.get(links[1], params=dict(good.params)), 403)


def test_whoever_calls_the_server_by_another_name_learns_nothing(steady: httpx.Client) -> None:
    for name in ("evil.example", "127.0.0.1.evil.example", "", "[::", "a b", "\xff"):
        refused(steady.get("/v1/files", headers={"Host": name.encode("latin-1")}), 400, 403)


def test_a_program_that_prints_traps_is_answered_as_json(steady: httpx.Client) -> None:
    code = "print('\\x00\\x1b[31m\\u202e\\ud800</script>')\nopen('a\\u202eb.txt', 'w').write('x')"
    reply = steady.post("/v1/execute", json={"code": code})
    assert reply.status_code == 200
    assert isinstance(reply.json()["stdout"], str)


def test_what_does_not_fit_where_it_is_kept_is_refused_and_the_rest_is_kept_on_postgresql(
    postgres_url: str, serve: Serve
) -> None:
    line = {"stage": "chat", "reply": "a\0b", "repeat": True}
    client = serve(line, database_url=postgres_url, pool_size=0, preimport="none")
    nul, talk = "\0" * 200, {"agent_type": "chat"}
    chat = talk | {"messages": [{"role": "user", "content": nul}], "user": nul}
    chat |= {"metadata": {nul[:64]: nul}}
    for path, body, status in (
        (CHAT, chat, 200),
        ("/v1/runs", chat, 202),
        ("/v1/responses", talk | {"input": nul, "user": nul}, 200),
        ("/v1/containers", {"name": "x" * 255}, 200),
    ):
        assert client.post(path, json=body).status_code == status, path
    [newest, *_] = client.get("/v1/sessions", params={"limit": 1}).json()["data"]
    assert newest["title"] == "\\x00" * 20
    session = f"/v1/sessions/{newest['id']}"
    long, most = "x" * 256, "at most 255 characters, not 256"
    for method, path, sent, field, told in (
        ("PATCH", session, {"title": nul}, "title", "NUL"),
        ("PATCH", session, {"title": "x" * 201}, "title", "of 201 characters"),
        ("POST", CHAT, chat | {"model": long}, "model", most),
        ("POST", "/v1/responses", {"input": "x", "model": long}, "model", most),
        ("POST", "/v1/containers", {"name": long}, "name", most),
        ("POST", "/v1/containers", {"name": nul}, "name", "NUL"),
    ):
        error = refused(client.request(method, path, json=sent))
        assert (error["param"], told in error["message"]) == (field, True), error
    refusal = client.post("/v1/runs", json=chat, headers={"Idempotency-Key": long})
    assert refused(refusal)["param"] == "idempotency-key"
