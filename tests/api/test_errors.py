from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend import errors
from backend.api.errors import FAILED_AFTER_RUN, RETRY_AFTER_S, error_response
from backend.request_context import in_request
from backend.store.database import LOCAL_OWNER

ROOT = Path(errors.__file__).parent
RETRIED = {408, 409, 429}


def kinds() -> list[type[errors.PythonCoderError]]:
    found, waiting = [], [errors.PythonCoderError]
    while waiting:
        kind = waiting.pop()
        found.append(kind)
        waiting += kind.__subclasses__()
    return found


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_every_error_has_the_envelope_and_its_own_status(
    kind: type[errors.PythonCoderError],
) -> None:
    with in_request(owner=LOCAL_OWNER):
        response = error_response(kind("It broke.", "Mend it."))
    body = json.loads(bytes(response.body))
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"] == "It broke. Mend it."
    assert response.status_code == kind.http_status
    if response.status_code == 503:
        assert response.headers["retry-after"] == str(RETRY_AFTER_S)


@pytest.mark.parametrize("kind", [*kinds(), RuntimeError], ids=lambda kind: kind.__name__)
def test_after_a_run_no_status_makes_a_client_try_again(kind: type[Exception]) -> None:
    response = error_response(kind("x"), after_run=True)
    assert response.status_code < 500
    assert response.status_code not in RETRIED
    if response.status_code == FAILED_AFTER_RUN:
        assert response.headers["x-should-retry"] == "false"
        assert "retry-after" not in response.headers


@pytest.mark.parametrize(
    "who",
    [{"owner": "owner-1", "key_id": "key-1"}, {"owner": LOCAL_OWNER, "key_id": "key-1"}, {}],
    ids=["a key", "the operator's data by a key", "a link"],
)
def test_where_things_are_kept_is_for_the_log_where_others_ask(
    who: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with in_request(**who):
        response = error_response(
            errors.StoreUnavailable("No room in '/srv/data'."), after_run=True
        )
    assert b"/srv/data" not in response.body
    assert json.loads(bytes(response.body))["error"]["code"] == "store_unavailable"
    assert "/srv/data" in caplog.text


def test_what_is_not_ours_tells_nothing_of_the_inside() -> None:
    response = error_response(KeyError("/secret/path"))
    assert response.status_code == 500
    assert b"secret" not in response.body


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/chat/completions", 405),
        ("PUT", "/v1/files", 405),
        ("GET", "/v1/files/", 404),
        ("GET", "/docs", 404),
        ("GET", "/v1/files?limit=0", 400),
        ("GET", "/v1/files?limit=x", 400),
        ("GET", "/v1/files?order=up", 400),
        ("GET", "/v1/files/file-1", 404),
        ("GET", "/v1/files?after=file-1", 404),
        ("GET", "/v1/sessions/nobody/messages", 404),
        ("GET", "/v1/sessions/*/messages", 400),
        ("DELETE", "/v1/sessions/nobody", 404),
        ("GET", "/v1/models/gpt-9", 404),
        ("GET", "/v1/models/scripted@fly", 400),
    ],
)
def test_every_refusal_has_the_envelope(
    steady: httpx.Client, method: str, path: str, status: int
) -> None:
    reply = steady.request(method, path)
    assert reply.status_code == status
    error = reply.json()["error"]
    assert error["message"]
    assert error["type"] == "invalid_request_error"
    if status == 405:
        allowed = {"/v1/chat/completions": "POST", "/v1/files": "GET, POST"}[path]
        assert reply.headers["allow"] == allowed
        assert error["message"].endswith(f"Use {allowed}.")


def unhelpful() -> Iterator[str]:
    """Errors of requests that are made without a word on what to do next."""
    caused = {kind.__name__ for kind in kinds() if issubclass(kind, errors.RequestError)}
    for room in ("api", "store"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                is_one = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
                if not is_one or node.func.id not in caused:
                    continue
                spread = any(isinstance(each, ast.Starred) for each in node.args)
                if len(node.args) < 2 and not spread:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}"


def test_every_refusal_says_what_to_do_next() -> None:
    assert list(unhelpful()) == []


USER = {"role": "user", "content": "hi"}
DATA_FILE = {"file_data": "YQ==", "filename": "a.exe"}
A_FILE = {"type": "file", "file": {"file_data": "YQ==", "filename": "a.csv"}}


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        pytest.param({}, 400, "messages", id="no messages"),
        pytest.param(
            {"messages": [{"role": "user", "content": [A_FILE] * 101}]},
            400,
            "messages",
            id="too many files",
        ),
        pytest.param({"messages": []}, 400, "messages", id="empty messages"),
        pytest.param({"messages": [{"role": "user"}]}, 400, "messages", id="no content"),
        pytest.param({"messages": [{"content": "x"}]}, 400, "messages.0.role", id="no role"),
        pytest.param(
            {"messages": [{"role": "king", "content": "x"}]}, 400, "messages.0.role", id="role"
        ),
        pytest.param({"messages": [{"role": "user", "content": " "}]}, 400, "messages", id="blank"),
        pytest.param({"messages": [USER], "n": 2}, 400, "n", id="n"),
        pytest.param({"messages": [USER], "n": 0}, 400, "n", id="n zero"),
        pytest.param(
            {"messages": [USER], "tools": [{"type": "function"}]}, 400, "tools", id="tools"
        ),
        pytest.param({"messages": [USER], "functions": [{}]}, 400, "functions", id="functions"),
        pytest.param(
            {"messages": [USER], "function_call": {"name": "f"}},
            400,
            "function_call",
            id="function_call",
        ),
        pytest.param(
            {"messages": [USER], "tool_choice": "required"}, 400, "tool_choice", id="tool choice"
        ),
        pytest.param(
            {"messages": [USER], "response_format": {"type": "xml"}},
            400,
            "response_format.type",
            id="form",
        ),
        pytest.param({"messages": [USER], "temperature": 3}, 400, "temperature", id="temperature"),
        pytest.param({"messages": [USER], "max_tokens": 0}, 400, "max_tokens", id="max_tokens"),
        pytest.param({"messages": [USER], "agent_type": "fly"}, 400, "agent_type", id="agent"),
        pytest.param(
            {"messages": [USER], "metadata": {"agent_type": "fly"}},
            400,
            "metadata.agent_type",
            id="agent in metadata",
        ),
        pytest.param({"messages": [USER], "model": "scripted@fly"}, 400, "model", id="suffix"),
        pytest.param({"messages": [USER], "model": "gpt-9"}, 404, "model", id="model"),
        pytest.param(
            {"messages": [USER], "model": "scripted:/etc/passwd"}, 404, "model", id="script"
        ),
        pytest.param({"messages": [USER], "file_ids": ["file-9"]}, 404, "file_ids", id="file"),
        pytest.param({"messages": [USER], "session_id": "none"}, 404, "session_id", id="session"),
        pytest.param({"messages": [USER], "session_id": "*"}, 400, "session_id", id="star"),
        pytest.param(
            {"messages": [USER], "metadata": {"session_id": "none"}},
            404,
            "metadata.session_id",
            id="session in metadata",
        ),
        pytest.param({"messages": [USER], "session_id": "../x"}, 400, "session_id", id="dots"),
        pytest.param(
            {"messages": [USER], "metadata": {str(n): "x" for n in range(17)}},
            400,
            "metadata",
            id="metadata",
        ),
        pytest.param({"messages": [USER], "approve": "often"}, 400, "approve", id="approve"),
        pytest.param(
            {"messages": [{"role": "user", "content": "x" * 10_000_000}]},
            413,
            "messages",
            id="10 MB question",
        ),
        pytest.param(
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "x"},
                            {"type": "file", "file": DATA_FILE},
                        ],
                    }
                ]
            },
            400,
            "file",
            id="type of an inline file",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            400,
            "messages.0.content.0",
            id="audio",
        ),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_bad_chat_requests_are_refused_before_any_work(
    steady: httpx.Client, body: dict[str, Any], status: int, param: str, stream: bool
) -> None:
    reply = steady.post("/v1/chat/completions", json=body | {"stream": stream})
    assert reply.status_code == status, reply.text[:500]
    error = reply.json()["error"]
    assert error["message"]
    assert error["param"] == param
    assert steady.get("/v1/sessions").json()["data"] == []
    assert steady.get("/v1/files").json()["data"] == []


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000], ids=range(7)
)
def test_what_is_no_json_object_is_a_bad_request(steady: httpx.Client, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    reply = steady.post("/v1/chat/completions", content=content, headers=headers)
    assert reply.status_code == 400
    assert reply.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/execute", {"code": "1", "timeout": 3}),
        ("POST", "/v1/keys", {"name": "n", "expires_in": 30}),
        ("POST", "/v1/runs/run-1/approve", {"cod": "print(1)"}),
        ("POST", "/v1/runs/run-1/reject", {"why": "no"}),
        ("PATCH", "/v1/sessions/s", {"title": "t", "name": "n"}),
        ("POST", "/v1/files/file-1/link", {"lifetime": 3}),
    ],
)
def test_a_slip_in_a_field_of_our_own_is_refused(
    steady: httpx.Client, method: str, path: str, body: dict[str, Any]
) -> None:
    answer = steady.request(method, path, json=body)
    slip = list(body)[-1]
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "unsupported_parameter")
    assert (error["param"], slip in error["message"]) == (slip, True)
