"""Request ids, and what the server says of itself: complete for an operator, empty of user data."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.api.logs import logging_to_stderr
from backend.config.settings import load_settings
from backend.request_context import in_request
from tests.commands import PATIENCE_S, needs_sandbox, start
from tests.scripts import write_script

SECRET = "xyzzy"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("abc-123", True),
        ("1f0e:4/2+x=._", True),
        ("a" * 128, True),
        ("a" * 129, False),
        ("", False),
        ("two words", False),
        ('quote"', False),
        ("é", False),
    ],
    ids=["plain", "signs", "long", "too_long", "empty", "space", "quote", "letter"],
)
def test_a_sane_id_comes_back_and_any_other_is_replaced(
    steady: httpx.Client, sent: str, kept: bool
) -> None:
    reply = steady.get("/health", headers={"X-Request-Id": sent.encode("utf-8")})
    (told,) = reply.headers.get_list("x-request-id")
    assert told == sent if kept else re.fullmatch("req-[0-9a-f]{24}", told)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/nowhere", 404),
        ("PATCH", "/health", 405),
        ("POST", "/v1/chat/completions", 400),
        ("GET", "/v1/files/none", 404),
    ],
    ids=["fine", "no_path", "method", "body", "no_file"],
)
def test_every_answer_has_an_id(steady: httpx.Client, method: str, path: str, status: int) -> None:
    reply = steady.request(method, path)
    assert (reply.status_code, len(reply.headers.get_list("x-request-id"))) == (status, 1)
    refused = steady.request(
        method, path, headers={"Host": "elsewhere.example", "X-Request-Id": "a"}
    )
    assert (refused.status_code, refused.headers["x-request-id"]) == (403, "a")


@contextmanager
def server(tmp_path: Path, **environment: str) -> Iterator[tuple[str, list[str]]]:
    """The real command, with another process's stderr; its lines are there when it has ended."""
    line = {"stage": "chat", "reply": f"Yes, {SECRET}.", "repeat": True}
    script = write_script(tmp_path / "script.jsonl", line)
    lines: list[str] = []
    process = start(
        "serve",
        "--port",
        "0",
        "--json",
        env=dict(os.environ) | {"PYTHON_CODER_MODEL": f"scripted:{script}"} | environment,
    )
    try:
        assert process.stdout is not None
        document = ""
        for line_of_document in process.stdout:
            document += line_of_document.decode()
            if line_of_document == b"}\n":
                break
        yield json.loads(document)["url"], lines
    finally:
        process.terminate()
        _, err = process.communicate(timeout=PATIENCE_S)
        lines += err.decode().splitlines()


@pytest.mark.sandbox
@needs_sandbox
def test_json_lines_tell_what_happened_and_nothing_that_users_wrote(tmp_path: Path) -> None:
    with (
        server(tmp_path, PYTHON_CODER_LOG_FORMAT="json", PYTHON_CODER_LOG_LEVEL="info") as (
            url,
            lines,
        ),
        httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE_S) as client,
    ):
        ask = {"messages": [{"role": "user", "content": SECRET}], "agent_type": "chat"}
        chat = client.post("/v1/chat/completions", json=ask, headers={"X-Request-Id": "mine"})
        assert SECRET in chat.text
        with client.stream("POST", "/v1/chat/completions", json=ask | {"stream": True}) as stream:
            assert SECRET in stream.read().decode()
        code = f"open('{SECRET}.txt', 'w').write('{SECRET}'); print('{SECRET}')"
        ran = client.post("/v1/execute", json={"code": code}).json()
        made = ran["artifacts"][0]
        link = next(value for value in made.values() if "signature=" in str(value))
        assert client.get(str(link)).text == SECRET
        files = {"file": (f"{SECRET}.csv", b"a\n1\n")}
        assert client.post("/v1/files", files=files).status_code == 200
        client.get(f"/v1/files/{SECRET}", headers={"Authorization": f"Bearer {SECRET}"})
        client.get(f"/{SECRET}?{SECRET}={SECRET}")
    documents = [json.loads(line) for line in lines]
    assert SECRET not in "\n".join(lines)
    assert "signature" not in "\n".join(lines)
    assert documents[0]["message"].startswith("python-coder listens on http://127.0.0.1:")
    assert documents[-1]["message"] == "Told to stop: 0 requests get 20 seconds"
    requests = [each for each in documents if each["logger"] == "backend.access"]
    assert [(each["method"], each["path"], each["status"]) for each in requests] == [
        ("POST", "/v1/chat/completions", 200),
        ("POST", "/v1/chat/completions", 200),
        ("POST", "/v1/execute", 200),
        ("GET", "/v1/files/{file_id}/content", 200),
        ("POST", "/v1/files", 200),
        ("GET", "/v1/files/{file_id}", 404),
        ("GET", "other", 404),
    ]
    first = requests[0]
    assert (first["request_id"], first["owner"], first["level"]) == ("mine", "local", "info")
    assert first["bytes"] == len(chat.content)
    assert first["duration_ms"] > 0
    assert datetime.fromisoformat(first["time"]).tzinfo is not None


def formatted(log_format: str, log_level: str = "warning") -> tuple[str, str]:
    """What is logged of a fault, and the fault's message."""
    message = f"no column {SECRET}"
    stream = io.StringIO()
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(sys, "stderr", stream)
        settings = load_settings(log_format=log_format, log_level=log_level)
        stack.enter_context(logging_to_stderr(settings))
        stack.enter_context(in_request(request_id="r-1", owner="alice", run_id="run-1"))
        try:
            raise KeyError(message) from ValueError(message)
        except KeyError:
            logging.getLogger("backend.api").exception("A request failed")
        logging.getLogger("backend.api").debug("Not told")
    return stream.getvalue(), message


def test_a_fault_is_one_line_without_its_message() -> None:
    line, message = formatted("json")
    document: dict[str, Any] = json.loads(line)
    known = {key: document[key] for key in ("level", "logger", "request_id", "owner", "run_id")}
    assert known == {
        "level": "error",
        "logger": "backend.api",
        "request_id": "r-1",
        "owner": "alice",
        "run_id": "run-1",
    }
    assert document["exception"]["type"] == "builtins.KeyError"
    assert document["exception"]["cause"] == "builtins.ValueError"
    assert re.search(r"test_logs\.py:\d+ formatted$", document["exception"]["stack"][-1])
    assert message not in line


def test_who_asks_for_everything_gets_the_message() -> None:
    lines, message = formatted("json", "debug")
    assert message in json.loads(lines.splitlines()[0])["exception"]["message"]


def test_text_has_the_id_and_the_stack() -> None:
    text, _ = formatted("text")
    assert re.match(r"\S+ \S+ error backend\.api \[r-1\]: A request failed\n", text)
    assert "KeyError" in text.splitlines()[-1]


def test_what_any_library_says_is_a_line_of_the_same_make() -> None:
    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        with logging_to_stderr(load_settings(log_format="json")):
            logging.getLogger("psycopg.pool").warning("error connecting:\n%s", "refused")
            logging.getLogger("psycopg.pool").info("Not told")
            with warnings.catch_warnings():
                warnings.simplefilter("always")
                warnings.warn("It is old.", stacklevel=1)
    said, warned = (json.loads(line)["message"] for line in stream.getvalue().splitlines())
    assert said == "error connecting:\nrefused"
    assert "It is old." in warned


@pytest.mark.parametrize("name", ["backend", None])
def test_logging_is_as_it_was_afterwards(name: str | None) -> None:
    logger = logging.getLogger(name)
    before = (logger.level, logger.propagate, list(logger.handlers))
    formatted("json")
    assert (logger.level, logger.propagate, list(logger.handlers)) == before
