"""The table, a row at a time; what the real clients raise is shown in test_models."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import httpx2
import ollama
import openai
import pytest

from backend.errors import (
    BadReply,
    ContextExceeded,
    ModelError,
    ModelNotFound,
    ModelUnavailable,
    PythonCoderError,
    RequestError,
)
from backend.llm.failures import SaidError, ServerFailure, StreamEndedEarly, translate
from backend.llm.wire import Server

SERVER = Server(provider="ollama", address="http://model.test:11434", timeout_s=60)
REQUEST = httpx2.Request("POST", "http://model.test/v1")


def chained(outer: Exception, cause: Exception) -> Exception:
    outer.__cause__ = cause
    return outer


def openai_status(status: int, body: object) -> openai.APIStatusError:
    response = httpx2.Response(status, request=REQUEST)
    return openai.APIStatusError("Error code", response=response, body=body)


def json_error() -> Exception:
    try:
        json.loads("<html>")
    except ValueError as error:
        return error
    raise AssertionError


TABLE: dict[str, tuple[Exception, type[PythonCoderError], str, bool]] = {
    "refused": (httpx.ConnectError("refused"), ModelUnavailable, "ollama serve", False),
    "refused, by ollama": (ConnectionError("Failed"), ModelUnavailable, "OLLAMA_HOST", False),
    "no answer to connect": (httpx.ConnectTimeout(""), ModelUnavailable, "OLLAMA_HOST", False),
    "reset while connecting": (
        chained(httpx.ConnectError("tls"), ConnectionResetError()),
        ModelUnavailable,
        "OLLAMA_HOST",
        False,
    ),
    "not a URL": (httpx.UnsupportedProtocol("htp://"), ModelUnavailable, "OLLAMA_HOST", False),
    "read": (httpx.ReadTimeout(""), ModelUnavailable, "PYTHON_CODER_MODEL_TIMEOUT", False),
    "read, by openai": (
        openai.APITimeoutError(REQUEST),
        ModelUnavailable,
        "PYTHON_CODER_MODEL_TIMEOUT",
        False,
    ),
    "any other time-out": (TimeoutError(), ModelUnavailable, "MODEL_TIMEOUT", False),
    "peer closed": (httpx.RemoteProtocolError("peer closed"), BadReply, "log", True),
    "read error": (httpx.ReadError("reset"), BadReply, "log", True),
    "reset": (ConnectionResetError("reset"), BadReply, "log", True),
    "peer closed, by openai": (
        chained(openai.APIConnectionError(request=REQUEST), httpx.RemoteProtocolError("closed")),
        BadReply,
        "log",
        True,
    ),
    "refused, by openai": (
        openai.APIConnectionError(request=REQUEST),
        ModelUnavailable,
        "OLLAMA_HOST",
        False,
    ),
    "ended early": (StreamEndedEarly("the stream ended"), BadReply, "log", True),
    "runner died": (ollama.ResponseError("unexpected EOF"), BadReply, "log", True),
    "tool call": (
        ollama.ResponseError("error parsing tool call: raw='x'", 500),
        BadReply,
        "Ask again",
        True,
    ),
    "memory": (
        ollama.ResponseError("model requires more system memory (9 GiB)", 500),
        ModelError,
        "smaller model",
        False,
    ),
    "context": (
        openai_status(400, {"message": "maximum context length is 4096"}),
        ContextExceeded,
        "PYTHON_CODER_NUM_CTX",
        False,
    ),
    "no tools": (
        ollama.ResponseError("x does not support tools", 400),
        ModelError,
        "another model",
        False,
    ),
    "no key": (ollama.ResponseError("unauthorized", 401), ModelUnavailable, "API_KEY", False),
    "not there": (
        ollama.ResponseError('{"error": "model \'m:1b\' not found"}', 404),
        ModelNotFound,
        "`ollama pull m:1b`",
        False,
    ),
    "no such path": (
        openai_status(404, {"detail": "Not Found"}),
        ModelUnavailable,
        "OLLAMA_HOST",
        False,
    ),
    "gateway": (openai_status(502, "<html>"), ModelUnavailable, "OLLAMA_HOST", False),
    "gateway is tired": (openai_status(504, None), ModelUnavailable, "MODEL_TIMEOUT", False),
    "busy": (ollama.ResponseError("server busy", 503), ModelUnavailable, "later", False),
    "too many": (openai_status(429, {"message": "slow down"}), ModelUnavailable, "later", False),
    "not JSON": (json_error(), BadReply, "address", True),
    "loaded": (ValueError("No data received from stream."), BadReply, "Ask again", True),
    "loaded, as a stream": (
        ValueError("No generation chunks were returned"),
        BadReply,
        "Ask again",
        True,
    ),
    "anything": (KeyError("message"), ModelError, "log", False),
    "anything said": (SaidError("I am a teapot", 418), ModelError, "log", False),
}


@pytest.mark.parametrize("case", TABLE.values(), ids=TABLE)
def test_a_foreign_error_becomes_one_that_says_who_must_act(
    case: tuple[Exception, type[PythonCoderError], str, bool],
) -> None:
    raised, kind, remedy, retry = case
    failure = translate(raised, model="m:1b", server=SERVER)
    assert type(failure.error) is kind
    assert failure.retry is retry
    assert remedy in failure.error.remedy
    assert "http://model.test:11434" in str(failure.error)
    assert "\n" not in str(failure)


@pytest.mark.parametrize(
    ("address", "installed", "says"),
    [
        ("http://127.0.0.1:11434", False, True),
        ("http://127.0.0.1:11434", True, False),
        ("http://model.test:11434", False, False),
    ],
    ids=["nowhere", "here but not running", "on another machine"],
)
def test_who_has_no_ollama_is_told_where_it_is_to_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, installed: bool, says: bool
) -> None:
    if installed:
        (tmp_path / "ollama").write_text("#!/bin/sh\n")
        (tmp_path / "ollama").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    server = Server(provider="ollama", address=address, timeout_s=60)
    error = translate(httpx.ConnectError("refused"), model="m:1b", server=server).error
    assert "`ollama serve`, or set OLLAMA_HOST." in str(error)
    assert ("https://ollama.com" in str(error)) is says


def test_errors_of_the_house_pass_as_they_are() -> None:
    error = RequestError("No.", "Ask differently.")
    assert translate(error, model="m", server=SERVER).error is error
    failure = ServerFailure(error, retry=True)
    assert translate(failure, model="m", server=SERVER) is failure


def test_a_servers_words_do_not_name_its_address_to_anybody() -> None:
    error = SaidError(f"upstream {SERVER.address}/v1/chat timed out", 500)
    failed = translate(error, model="m:1b", server=SERVER).error
    assert "upstream its address/v1/chat timed out" in failed.words
    assert SERVER.address in str(failed)


def test_a_servers_long_words_are_cut() -> None:
    error = SaidError("one\nlong page " * 200, 500)
    assert len(str(translate(error, model="m", server=SERVER))) < 600
