from __future__ import annotations

import base64
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.tools.python_executor_engine import SUPPORTED_FILE_TYPES
from tests.api.conftest import Serve


def upload(client: httpx.Client, name: str, content: bytes, **fields: str) -> httpx.Response:
    return client.post("/v1/files", files={"file": (name, content)}, data=fields)


def blobs(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "data" / "blobs").rglob("*") if path.is_file()]


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
