"""Whoever goes ends the work on what they asked."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.responses.conftest import AUTO
from tests.api.test_presence import until
from tests.commands import needs_sandbox

pytestmark = [pytest.mark.sandbox, needs_sandbox]

ASKED: dict[str, Any] = {"input": "Wait for omega", "tools": [AUTO], "tool_choice": "required"}


def status(http: httpx.Client) -> Any:
    run = http.get("/v1/runs", params={"limit": 1}).json()["data"][0]
    return run["request"] == ASKED["input"] and run["status"]


def test_a_client_that_leaves_a_stream_ends_its_program(http: httpx.Client) -> None:
    with http.stream("POST", "/v1/responses", json=ASKED | {"stream": True}) as reply:
        for line in reply.iter_lines():
            if line == "event: response.code_interpreter_call.interpreting":
                break
        assert status(http) == "running"
    until(lambda: status(http) == "cancelled")


def test_a_client_that_does_not_wait_ends_its_program(http: httpx.Client) -> None:
    with pytest.raises(httpx.ReadTimeout):
        http.post("/v1/responses", json=ASKED | {"store": True}, timeout=2)
    until(lambda: status(http) == "cancelled")
