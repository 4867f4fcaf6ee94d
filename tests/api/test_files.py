from __future__ import annotations

import base64
import socket
import threading
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from backend.tools.python_executor_engine import SUPPORTED_FILE_TYPES
from tests.api.conftest import Serve


def upload(client: httpx.Client, name: str, content: bytes, **fields: str) -> httpx.Response:
    return client.post("/v1/files", files={"file": (name, content)}, data=fields)


def blobs(tmp_path: Path) -> list[Path]:
    return [
        path
        for path in (tmp_path / "data" / "blobs").rglob("*")
        if path.is_file() and path.name != "lock"
    ]


def test_a_file_goes_in_and_comes_out_the_same(client: httpx.Client, tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    file = upload(client, "매출 2024.csv", content, purpose="assistants").json()
    assert (file["object"], file["filename"], file["bytes"], file["purpose"], file["status"]) == (
        "file",
        "매출 2024.csv",
        len(content),
        "assistants",
        "processed",
    )
    assert client.get(f"/v1/files/{file['id']}").json() == file
    reply = client.get(f"/v1/files/{file['id']}/content")
    assert reply.content == content
    assert reply.headers["content-type"].startswith("text/csv")
    assert "filename*=utf-8''%EB%A7%A4%EC%B6%9C%202024.csv" in reply.headers["content-disposition"]
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert client.delete(f"/v1/files/{file['id']}").json() == {
        "id": file["id"],
        "object": "file",
        "deleted": True,
    }
    assert client.get(f"/v1/files/{file['id']}").status_code == 404
    assert blobs(tmp_path) == []


@pytest.mark.parametrize("extension", sorted(SUPPORTED_FILE_TYPES))
def test_every_supported_type_is_taken(steady: httpx.Client, extension: str) -> None:
    file = upload(steady, f"a.{extension.upper()}", b"x")
    assert file.status_code == 200
    kind = steady.get(f"/v1/files/{file.json()['id']}/content").headers["content-type"]
    assert kind.partition(";")[0] == SUPPORTED_FILE_TYPES[extension]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.exe", b"MZ", "supported type"),
        ("noextension", b"x", "supported type"),
        ("empty.csv", b"", "empty"),
        ("../../..", b"x", "not a file name"),
    ],
)
def test_files_of_no_use_are_refused(
    client: httpx.Client, tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    reply = upload(client, name, content)
    assert reply.status_code == 400
    assert says in reply.json()["error"]["message"]
    assert client.get("/v1/files").json()["data"] == []
    assert blobs(tmp_path) == []


@pytest.mark.parametrize(
    "request_parts",
    [
        {"data": {"purpose": "assistants"}, "files": {"other": ("a.csv", b"x")}},
        {"files": [("file", ("a.csv", b"x")), ("file", ("b.csv", b"y"))]},
        {"data": {"purpose": "assistants"}},
        {"json": {"file": "x"}},
        {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
        {
            "content": b"x",
            "headers": {"Content-Type": "multipart/form-data; boundary=" + "b" * 1000},
        },
        {
            "data": {f"field {number}": "x" for number in range(1000)},
            "files": {"file": ("a.csv", b"x")},
        },
        {"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=b"}},
        {
            "content": b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"'
            b"\r\n\r\nhalf of it",
            "headers": {"Content-Type": "multipart/form-data; boundary=b"},
        },
        {"files": {"file": ("a.csv", b"x")}, "data": {"purpose": "x" * 20_000}},
        {"files": {"file": ("a.csv", b"x")}, "data": {"purpose": "No Purpose!"}},
    ],
    ids=[
        "other field",
        "two files",
        "no file",
        "json",
        "no boundary",
        "a boundary without end",
        "fields without end",
        "garbage",
        "cut off",
        "endless field",
        "purpose",
    ],
)
def test_broken_forms_are_refused_and_leave_nothing(
    client: httpx.Client, tmp_path: Path, request_parts: dict[str, Any]
) -> None:
    reply = client.post("/v1/files", **request_parts)
    assert reply.status_code == 400, reply.text
    assert client.get("/v1/files").json()["data"] == []
    unfinished = tmp_path / "data" / "blobs" / "incoming"
    assert not unfinished.exists() or list(unfinished.iterdir()) == []


def test_a_file_over_the_limit_is_refused_while_it_comes(serve: Serve, tmp_path: Path) -> None:
    client = serve({"stage": "chat", "reply": "ok"}, max_file_size_mb=1)
    assert upload(client, "fits.csv", b"x" * 2**20).status_code == 200
    kept = blobs(tmp_path)
    reply = upload(client, "big.csv", b"x" * (2**20 + 1))
    assert reply.status_code == 413
    assert "1 MiB" in reply.json()["error"]["message"]
    assert upload(client, "huge.csv", b"x" * 2**25).status_code == 413
    assert blobs(tmp_path) == kept


def test_an_upload_that_breaks_off_leaves_nothing(client: httpx.Client, tmp_path: Path) -> None:
    head = (
        "POST /v1/files HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9000000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    )
    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as raw:
        raw.sendall(head.encode() + b"x" * 3_000_000)
    for _ in range(100):
        if client.get("/v1/files").json()["data"] == [] and blobs(tmp_path) == []:
            break
    assert blobs(tmp_path) == []


def test_the_list_comes_in_pages(client: httpx.Client) -> None:
    added = [upload(client, f"{n}.csv", b"x").json()["id"] for n in range(3)]
    first = client.get("/v1/files", params={"limit": 2}).json()
    assert [file["id"] for file in first["data"]] == added[:0:-1]
    assert (first["has_more"], first["last_id"]) == (True, added[1])
    rest = client.get("/v1/files", params={"after": first["last_id"]}).json()
    assert [file["id"] for file in rest["data"]] == added[:1]
    assert rest["has_more"] is False


def png(name: str = "a.png") -> tuple[str, bytes]:
    return name, b"\x89PNG\r\n\x1a\n" + bytes(100)


def test_a_file_is_what_its_bytes_are_not_what_its_name_says(steady: httpx.Client) -> None:
    file = upload(steady, *png("table.csv")).json()
    assert (file["filename"], file["media_type"]) == ("table.csv", "image/png")
    reply = steady.get(f"/v1/files/{file['id']}/content")
    assert reply.headers["content-type"] == "image/png"
    page = upload(steady, "page.png", b"<html><script>alert(1)</script>").json()
    reply = steady.get(f"/v1/files/{page['id']}/content")
    assert reply.headers["content-type"] == "image/png"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["content-security-policy"].startswith("sandbox")


def test_a_file_ends_when_its_time_is_over(client: httpx.Client) -> None:
    lasting = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    file = upload(client, "a.csv", b"x", **lasting).json()
    assert file["expires_at"] == pytest.approx(file["created_at"] + 3600, abs=1)
    assert client.get(f"/v1/files/{file['id']}").json() == file
    link = client.post(f"/v1/files/{file['id']}/link").json()["url"]
    assert client.get(link).status_code == 200
    brief = upload(client, "b.csv", b"y", **{"expires_after[seconds]": "1"}).json()
    for _ in range(100):
        if client.get(f"/v1/files/{brief['id']}").status_code == 404:
            break
        threading.Event().wait(0.05)
    assert client.get(f"/v1/files/{brief['id']}").status_code == 404
    assert [each["id"] for each in client.get("/v1/files").json()["data"]] == [file["id"]]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"expires_after[seconds]": "0"}, "expires_after[seconds]"),
        ({"expires_after[seconds]": "soon"}, "expires_after[seconds]"),
        ({"expires_after[seconds]": "9" * 40}, "expires_after[seconds]"),
        ({"expires_after[anchor]": "birth"}, "expires_after[anchor]"),
        ({"expires_after[anchor]": "created_at"}, "expires_after[seconds]"),
        ({"purpose": "No Purpose!"}, "purpose"),
    ],
    ids=range(6),
)
def test_fields_beside_the_file_are_checked(
    steady: httpx.Client, fields: dict[str, str], param: str
) -> None:
    reply = upload(steady, "a.csv", b"x", **fields)
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert error["param"] == param
    if param == "purpose":
        assert "'No Purpose!', of 11 characters, is none. Use 1 to 64 of" in error["message"]


def test_an_owner_keeps_so_much_and_no_more(serve: Serve, tmp_path: Path) -> None:
    client = serve({"stage": "chat", "reply": "ok"}, max_storage_mb=1)
    first = upload(client, "a.csv", b"x" * 700_000).json()["id"]
    kept = blobs(tmp_path)
    reply = upload(client, "b.csv", b"y" * 700_000)
    assert reply.status_code == 413
    assert "Delete some" in reply.json()["error"]["message"]
    assert blobs(tmp_path) == kept
    client.delete(f"/v1/files/{first}")
    assert upload(client, "b.csv", b"y" * 700_000).status_code == 200


def test_an_owner_keeps_no_more_by_whichever_way_it_comes(serve: Serve, tmp_path: Path) -> None:
    client = serve({"stage": "chat", "reply": "ok", "repeat": True}, max_storage_mb=1)
    known, new = (base64.b64encode(each * 700_000).decode() for each in (b"x", b"y"))
    container = client.post("/v1/containers", json={"name": "c"}).json()["id"]
    into = f"/v1/containers/{container}/files"
    first = client.post(into, files={"file": ("a.csv", b"x" * 700_000)}).json()["id"]
    kept, listed = blobs(tmp_path), client.get("/v1/files").json()["data"]

    def chat(*data: str) -> httpx.Response:
        parts = [{"type": "file", "file": {"filename": "b.csv", "file_data": d}} for d in data]
        content = [{"type": "text", "text": "Hello?"}, *parts]
        messages = [{"role": "user", "content": content}]
        body = {"messages": messages, "agent_type": "chat"}
        return client.post("/v1/chat/completions", json=body)

    part = {"type": "input_file", "filename": "b.csv", "file_data": new}
    said = [{"role": "user", "content": [{"type": "input_text", "text": "Hello?"}, part]}]
    for reply, param in (
        (client.post(into, files={"file": ("b.csv", b"y" * 700_000)}), "file"),
        (chat(new), "messages"),
        (chat(base64.b64encode(b"small").decode(), new), "messages"),
        (client.post("/v1/responses", json={"input": said}), "input"),
    ):
        error = reply.json()["error"]
        assert (reply.status_code, error["code"], error["param"]) == (413, "too_large", param)
        assert "Delete some" in error["message"]
    assert (blobs(tmp_path), client.get("/v1/files").json()["data"]) == (kept, listed)
    assert chat(known).status_code == 200, "what is kept already takes no more room"
    assert client.post(into, json={"file_id": first}).status_code == 200


@pytest.fixture(scope="module")
def thousand(steady: httpx.Client) -> str:
    """The path of a file of a thousand bytes."""
    return f"/v1/files/{upload(steady, 'b.csv', bytes(range(250)) * 4).json()['id']}/content"


WHOLE = bytes(range(250)) * 4


@pytest.mark.parametrize(
    ("wanted", "status", "content", "told"),
    [
        ("bytes=0-9", 206, WHOLE[:10], "bytes 0-9/1000"),
        ("bytes=990-", 206, WHOLE[990:], "bytes 990-999/1000"),
        ("bytes=-10", 206, WHOLE[-10:], "bytes 990-999/1000"),
        ("bytes=0-99999", 206, WHOLE, "bytes 0-999/1000"),
        ("bytes=-99999", 206, WHOLE, "bytes 0-999/1000"),
        ("bytes=1000-", 416, None, "bytes */1000"),
        ("bytes=5000-6000", 416, None, "bytes */1000"),
        ("bytes=-0", 416, None, "bytes */1000"),
        ("bytes=9-1", 200, WHOLE, None),
        ("bytes=0-1,5-6", 200, WHOLE, None),
        ("bytes=" + ",".join(["0-"] * 1000), 200, WHOLE, None),
        ("bytes=" + "9" * 400 + "-", 200, WHOLE, None),
        ("bytes=-", 200, WHOLE, None),
        ("lines=1-2", 200, WHOLE, None),
        ("", 200, WHOLE, None),
        ("bytes=\u0661-".encode(), 200, WHOLE, None),
    ],
    ids=range(16),
)
def test_a_part_of_a_file(
    steady: httpx.Client,
    thousand: str,
    wanted: str | bytes,
    status: int,
    content: bytes | None,
    told: str | None,
) -> None:
    reply = steady.get(thousand, headers=[(b"range", wanted)])  # type: ignore[list-item]
    assert reply.status_code == status
    assert reply.headers.get("content-range") == told
    if content is not None:
        assert reply.content == content
    else:
        assert reply.json()["error"]["type"] == "invalid_request_error"


def test_what_a_client_has_is_not_sent_again(steady: httpx.Client, thousand: str) -> None:
    first = steady.get(thousand)
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = steady.get(thousand, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert steady.get(thousand, headers={"If-None-Match": '"other"'}).content == WHOLE
    part = {"Range": "bytes=0-1"}
    assert steady.get(thousand, headers=part | {"If-Range": tag}).status_code == 206
    assert steady.get(thousand, headers=part | {"If-Range": '"other"'}).status_code == 200
    head = steady.head(thousand)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "1000")


def test_an_owner_makes_links_for_as_long_as_they_should_last(
    steady: httpx.Client, thousand: str
) -> None:
    place = thousand.removesuffix("/content") + "/link"
    link = steady.post(place, json={"lifetime_s": 60}).json()
    assert steady.get(link["url"]).content == WHOLE
    assert parse_qs(urlsplit(link["url"]).query)["expires"] == [str(link["expires_at"])]
    for lifetime in (0, -1, 10**12, "long", None, 1.5):
        assert steady.post(place, json={"lifetime_s": lifetime}).status_code == 400
    assert steady.post("/v1/files/file-1/link").status_code == 404


def test_pages_and_drawings_are_shown_without_scripts(client: httpx.Client) -> None:
    page = b"<script>alert(1)</script>"
    file = upload(client, "page.html", page).json()
    reply = client.get(f"/v1/files/{file['id']}/content")
    assert reply.headers["content-security-policy"].startswith("sandbox")
    assert reply.content == page


def test_a_signed_link_opens_its_file_and_no_other(client: httpx.Client) -> None:
    code = "open('a.txt', 'w').write('hello')"
    artifact = client.post("/v1/execute", json={"code": code}).json()["artifacts"][0]
    assert base64.b64decode(artifact["content"]) == b"hello"
    assert client.get(artifact["url"]).content == b"hello"
    broken = artifact["url"][:-1] + ("0" if artifact["url"][-1] != "0" else "1")
    assert client.get(broken).status_code == 403
    other = upload(client, "b.txt", b"other").json()["id"]
    assert client.get(artifact["url"].replace(artifact["id"], other)).status_code == 403
    client.delete(f"/v1/files/{artifact['id']}")
    assert client.get(artifact["url"]).status_code == 404
