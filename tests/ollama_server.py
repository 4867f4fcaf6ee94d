"""A scripted Ollama on a real socket, so that the real clients are exercised, with its faults.

Lines are those of the scripted model (``when reply tokens delay_s error done_reason repeat``;
the stage cannot be seen over HTTP), and beside them ``thinking`` and ``fault``. It also speaks
the OpenAI-compatible API under ``/v1``.
"""

from __future__ import annotations

import json
import queue
import re
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import pytest

Fault = Literal[
    "drop",  # the connection breaks off after the words
    "unfinished",  # the stream ends properly, but nothing says that the reply is over
    "garbage",  # a line that is no JSON, after the words
    "load",  # the model was loaded, nothing was generated
    "hold",  # nothing is sent before `release`
    "hold_midway",  # the words are sent, the end is not before `release`
]
PATIENCE_S = 30
"""How long a test waits for something that should happen at once."""


@dataclass(kw_only=True)
class Line:
    reply: str = ""
    thinking: str = ""
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    """Native ones, each with ``name`` and ``arguments``; with a text as arguments, as it is."""
    when: str = ""
    stage: str | None = None
    tokens: tuple[int, int] | None = None
    delay_s: float = 0
    error: str | None = None
    done_reason: str = "stop"
    fault: Fault | None = None
    repeat: bool = False


@dataclass(kw_only=True)
class Recorded:
    """A request as it came."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    client_left: threading.Event = field(default_factory=threading.Event)


class OllamaServer:
    """Lines in, requests out."""

    def __init__(self, models: tuple[str, ...] = ("gpt-oss:20b",)) -> None:
        self.models = list(models)
        self.requests: list[Recorded] = []
        self.refuses_schemas = False
        """As a compatible server without structured output."""
        self.models_with_tools: set[str] = set()
        """They can call tools, and ``/api/show`` says so; the others refuse questions with tools."""
        self.show_status = 200
        self.list_status = 200
        self.accepts_any_name = False
        """As llama.cpp, which has one model, whatever it is called."""
        self.told_of_models: dict[str, Any] = {}
        """What the compatible API's list says of each model beside its name."""
        self.released = threading.Event()
        self.closing = threading.Event()
        self._lines: list[Line] = []
        self._lock = threading.Lock()
        self._arrived: queue.Queue[Recorded] = queue.Queue()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def add(self, *lines: Line | dict[str, Any]) -> None:
        self._lines += [line if isinstance(line, Line) else Line(**line) for line in lines]

    def replace(self, *lines: Line | dict[str, Any]) -> None:
        """Have these lines, and none of the others."""
        with self._lock:
            self._lines.clear()
        self.add(*lines)

    def release(self) -> None:
        """Let held replies go on."""
        self.released.set()

    def next_request(self) -> Recorded:
        """Wait for the next chat request that nobody has asked for yet."""
        return self._arrived.get(timeout=PATIENCE_S)

    @property
    def chats(self) -> list[Recorded]:
        return [request for request in self.requests if "chat" in request.path]

    @property
    def shows(self) -> list[Recorded]:
        return [request for request in self.requests if request.path == "/api/show"]

    def record(self, request: Recorded) -> None:
        self.requests.append(request)
        if "chat" in request.path:
            self._arrived.put(request)

    def take(self, prompt: str) -> Line | None:
        with self._lock:
            for line in self._lines:
                if re.search(line.when, prompt):
                    if not line.repeat:
                        self._lines.remove(line)
                    return line
        return None

    @contextmanager
    def serving(self) -> Iterator[OllamaServer]:
        # A short poll only makes the server's own end prompt.
        thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.closing.set()
            self._http.shutdown()
            self._http.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: OllamaServer

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._note({})
        listing = [{"name": name, "model": name} for name in self.server_of.models]
        listed = [{**_openai_model(m), **self.server_of.told_of_models} for m in listing]
        routes: dict[str, Any] = {
            "/api/tags": {"models": listing},
            "/api/ps": {"models": listing[:1]},
            "/api/version": {"version": "0.12.0"},
            "/v1/models": {"object": "list", "data": listed},
        }
        if self.path == "/v1/models" and self.server_of.list_status != 200:
            self._error(self.server_of.list_status, "cannot tell")
        elif self.path in routes:
            self._answer(200, routes[self.path])
        else:
            self._answer(404, "404 page not found")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = self._note(body)
        if self.path == "/api/show":
            self._show(body["model"])
        elif self.path in ("/api/chat", "/v1/chat/completions"):
            self._chat(request)
        else:
            self._answer(404, "404 page not found")

    def _show(self, model: str) -> None:
        server = self.server_of
        if server.show_status != 200:
            return self._error(server.show_status, "cannot tell")
        if model not in server.models:
            return self._error(404, f"model '{model}' not found")
        tools = ["tools"] if model in server.models_with_tools else []
        capabilities = ["completion", *tools]
        return self._answer(200, {"capabilities": capabilities, "details": {}, "model_info": {}})

    def _note(self, body: dict[str, Any]) -> Recorded:
        request = Recorded(
            path=self.path,
            body=body,
            headers={name.lower(): value for name, value in self.headers.items()},
        )
        self.server_of.record(request)
        return request

    def _chat(self, request: Recorded) -> None:
        body, server = request.body, self.server_of
        if body["model"] not in server.models and not server.accepts_any_name:
            return self._error(404, f"model '{body['model']}' not found")
        if body.get("tools") and body["model"] not in server.models_with_tools:
            return self._error(400, f"{body['model']} does not support tools")
        if server.refuses_schemas and "response_format" in body:
            return self._error(400, "unknown field response_format")
        prompt = "\n".join(message["content"] for message in body["messages"])
        line = server.take(prompt)
        if line is None:
            return self._error(500, f"no line left for a prompt that ends {prompt[-200:]!r}")
        if line.delay_s and server.closing.wait(line.delay_s):
            return None
        status = re.match(r"(\d{3})\s+(.*)", line.error or "")
        if status is not None:
            return self._error(int(status[1]), status[2])
        try:
            self._reply(request, line, prompt)
        except OSError:
            request.client_left.set()
            self.close_connection = True

    def _reply(self, request: Recorded, line: Line, prompt: str) -> None:
        if line.fault == "hold" and not self._hold(request):
            return
        dialect = _Ndjson(self) if self.path == "/api/chat" else _Sse(self)
        self.send_response(200)
        self.send_header("Content-Type", dialect.media_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        tokens = line.tokens or (len(prompt.split()), len(line.reply.split()))
        if line.fault == "load":
            dialect.end("load", (0, 0))
        else:
            self._say(dialect, line)
            if line.fault == "hold_midway" and not self._hold(request):
                return
            if line.fault == "drop":
                self.close_connection = True
                return
            if line.fault == "garbage":
                self.send_chunk("<html>not what you expect\n")
            if line.error is not None:
                dialect.error(line.error)
            elif line.fault != "unfinished":
                dialect.end(line.done_reason, tokens)
        self.send_chunk("")

    def _say(self, dialect: _Ndjson | _Sse, line: Line) -> None:
        for word in re.findall(r"\S+\s*|\s+", line.thinking):
            dialect.thinking(word)
        for word in re.findall(r"\S+\s*|\s+", line.reply):
            dialect.word(word)
        for number, call in enumerate(line.tool_calls):
            dialect.call(number, call, cut=line.fault == "drop")

    def _hold(self, request: Recorded) -> bool:
        """Wait for `release`; False when the client left, or the server ends, before it."""
        while not self.server_of.released.is_set():
            if self.server_of.closing.is_set():
                return False
            readable, _, _ = select.select([self.connection], [], [], 0.01)
            if readable and self.connection.recv(1, socket.MSG_PEEK) == b"":
                request.client_left.set()
                self.close_connection = True
                return False
        return True

    def send_chunk(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _error(self, status: int, message: str) -> None:
        openai = self.path.startswith("/v1")
        self._answer(status, {"error": {"message": message} if openai else message})

    def _answer(self, status: int, body: Any) -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class _Ndjson:
    """Ollama's own streaming: a JSON document a line."""

    media_type = "application/x-ndjson"

    def __init__(self, handler: _Handler) -> None:
        self._send = handler.send_chunk

    def _part(self, message: dict[str, Any], **more: Any) -> None:
        part = {
            "model": "m",
            "created_at": "2025-01-01T00:00:00Z",
            "message": {"role": "assistant", "content": "", **message},
            "done": False,
            **more,
        }
        self._send(json.dumps(part) + "\n")

    def word(self, text: str) -> None:
        self._part({"content": text})

    def thinking(self, text: str) -> None:
        self._part({"thinking": text})

    def call(self, number: int, call: dict[str, Any], *, cut: bool) -> None:
        """Ollama sends a call when it is whole."""
        if not cut:
            function = {"name": call["name"], "arguments": call["arguments"]}
            self._part({"tool_calls": [{"function": function}]})

    def error(self, message: str) -> None:
        self._send(json.dumps({"error": message}) + "\n")

    def end(self, reason: str, tokens: tuple[int, int]) -> None:
        counts = {"prompt_eval_count": tokens[0], "eval_count": tokens[1]}
        self._part({}, done=True, done_reason=reason, total_duration=1, **counts)


class _Sse:
    """The compatible API's streaming: server-sent events."""

    media_type = "text/event-stream"

    def __init__(self, handler: _Handler) -> None:
        self._send = handler.send_chunk
        self._called = False

    def _event(self, choices: list[dict[str, Any]], **more: Any) -> None:
        chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        self._send(f"data: {json.dumps({**chunk, 'choices': choices, **more})}\n\n")

    def _delta(self, delta: dict[str, Any], reason: str | None = None) -> None:
        self._event([{"index": 0, "delta": delta, "finish_reason": reason}])

    def word(self, text: str) -> None:
        self._delta({"role": "assistant", "content": text})

    def thinking(self, text: str) -> None:
        self._delta({"role": "assistant", "reasoning_content": text})

    def call(self, number: int, call: dict[str, Any], *, cut: bool) -> None:
        """In three pieces, the last of which is missing where the stream breaks off."""
        self._called = True
        given = call["arguments"]
        text = given if isinstance(given, str) else json.dumps(given)
        half = len(text) // 2
        index, id_ = call.get("index", number), f"call_{number}"
        again = {"name": call["name"]} if call.get("repeats_name") else {}
        pieces: list[dict[str, Any]] = [
            {"id": id_, "type": "function", "function": {"name": call["name"], "arguments": ""}},
            {"function": {**again, "arguments": text[:half]}},
            {"function": {**again, "arguments": text[half:]}},
        ]
        for part, piece in enumerate(pieces[: 2 if cut else 3]):
            if call.get("ids") == "each":
                piece["id"] = f"{id_}_{part}"
            if index is not None:
                piece["index"] = index
            self._delta({"role": "assistant", "tool_calls": [piece]})

    def error(self, message: str) -> None:
        self._send(f"data: {json.dumps({'error': {'message': message}})}\n\n")

    def end(self, reason: str, tokens: tuple[int, int]) -> None:
        self._delta({}, "tool_calls" if self._called and reason == "stop" else reason)
        usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
        self._event([], usage={**usage, "total_tokens": sum(tokens)})
        self._send("data: [DONE]\n\n")


def _openai_model(entry: dict[str, str]) -> dict[str, Any]:
    return {"id": entry["name"], "object": "model", "created": 1, "owned_by": "library"}


def _handler(server: OllamaServer) -> Callable[..., _Handler]:
    return type("Handler", (_Handler,), {"server_of": server})


@pytest.fixture
def ollama_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OllamaServer]:
    """A running server that the settings name: OLLAMA_HOST, and OPENAI_BASE_URL with a key."""
    with OllamaServer().serving() as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        yield server
