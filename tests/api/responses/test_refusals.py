from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.responses.conftest import AUTO, ask


def auto(**more: Any) -> dict[str, Any]:
    return {"type": "code_interpreter", "container": {"type": "auto", **more}}


@pytest.mark.parametrize(
    ("body", "status", "param", "code"),
    [
        ({}, 400, "input", None),
        ({"input": ""}, 400, "input", None),
        ({"input": []}, 400, "input", None),
        ({"input": [{"role": "assistant", "content": "x"}]}, 400, "input", None),
        ({"input": [{"role": "user"}]}, 400, "input.0.content", None),
        (
            {"input": [{"type": "item_reference", "id": "msg_1"}]},
            400,
            "input.0.type",
            "unsupported_parameter",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            400,
            "input.0.content.0.type",
            "unsupported_parameter",
        ),
        (
            {
                "input": [
                    {
                        "role": "user",
                        "content": [{"type": "input_file", "file_url": "http://x/y.csv"}],
                    }
                ]
            },
            400,
            "input.0.content.0.file_url",
            "unsupported_parameter",
        ),
        (
            {"input": "x", "tools": [{"type": "web_search"}]},
            400,
            "tools.0.type",
            "unsupported_parameter",
        ),
        (
            {"input": "x", "tools": [{"type": "function", "name": "f", "parameters": {}}]},
            400,
            "tools.0.type",
            "unsupported_parameter",
        ),
        ({"input": "x", "tool_choice": "required"}, 400, "tool_choice", None),
        (
            {"input": "x", "tools": [AUTO], "tool_choice": {"type": "function", "name": "f"}},
            400,
            "tool_choice",
            "unsupported_parameter",
        ),
        ({"input": "x", "prompt": {"id": "p"}}, 400, "prompt", "unsupported_parameter"),
        ({"input": "x", "tools": [auto(file_ids=["file-0"])]}, 404, "file_ids", "not_found"),
        (
            {"input": "x", "tools": [auto(memory_limit="4g")]},
            400,
            "tools.0.container.memory_limit",
            None,
        ),
        (
            {"input": "x", "tools": [auto(network_policy={"type": "allowlist"})]},
            400,
            "tools.0.container.network_policy",
            "unsupported_parameter",
        ),
        (
            {"input": "x", "tools": [{"type": "code_interpreter", "container": "cntr_0"}]},
            404,
            "tools",
            "not_found",
        ),
        ({"input": "x", "previous_response_id": "resp_0"}, 404, "previous_response_id", None),
        ({"input": "x", "conversation": "conv_0"}, 404, "conversation", None),
        (
            {"input": "x", "conversation": "conv_0", "previous_response_id": "resp_0"},
            400,
            "conversation",
            None,
        ),
        ({"input": "x", "background": True, "store": False}, 400, "store", None),
        (
            {"input": "x", "background": True, "stream": True},
            400,
            "stream",
            "unsupported_parameter",
        ),
        ({"input": "x", "model": "gpt-9"}, 404, "model", "model_not_found"),
        ({"input": "x", "agent_type": "fly"}, 400, "agent_type", None),
        ({"input": "x", "temperature": 3}, 400, "temperature", None),
        ({"input": "x", "text": {"format": {"type": "xml"}}}, 400, "text.format", None),
        ({"input": "x", "metadata": {"k": 1}}, 400, "metadata.k", None),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_be_done_is_refused_with_its_field(
    http: httpx.Client, body: dict[str, Any], status: int, param: str, code: str | None
) -> None:
    reply = http.post("/v1/responses", json=body)
    assert reply.status_code == status, reply.text
    error = reply.json()["error"]
    assert error["param"] == param
    if code is not None:
        assert error["code"] == code


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/responses/resp_0"),
        ("DELETE", "/v1/responses/resp_0"),
        ("POST", "/v1/responses/resp_0/cancel"),
        ("GET", "/v1/responses/resp_0/input_items"),
        ("GET", "/v1/containers/cntr_0"),
        ("DELETE", "/v1/containers/cntr_0"),
        ("GET", "/v1/containers/cntr_0/files"),
        ("GET", "/v1/containers/cntr_0/files/file-0"),
        ("GET", "/v1/containers/cntr_0/files/file-0/content"),
        ("DELETE", "/v1/containers/cntr_0/files/file-0"),
        ("GET", "/v1/containers?after=cntr_0"),
    ],
    ids=lambda value: value,
)
def test_what_is_not_there_is_not_found(http: httpx.Client, method: str, path: str) -> None:
    reply = http.request(method, path)
    assert reply.status_code == 404
    assert reply.json()["error"]["code"] == "not_found"


def test_only_what_is_in_the_background_is_cancelled(http: httpx.Client) -> None:
    body = ask(http, "hello")
    reply = http.post(f"/v1/responses/{body['id']}/cancel")
    assert reply.status_code == 400
    assert "background" in reply.json()["error"]["message"]
