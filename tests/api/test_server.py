from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from backend.api.run_stream import LEAVE
from backend.api.server import require_keys_beyond_loopback, serve
from backend.config.settings import load_settings
from backend.errors import SettingsError
from tests.api.test_presence import busy, gone, until
from tests.scripts import APPROVE, act, generate, write_script

OK = {"stage": "chat", "reply": "ok", "repeat": True}
ENDLESS = b'{"code": "while True: pass", "timeout_s": 300}'
START = (
    "import sys\n"
    "from backend.api.server import serve\n"
    "from backend.config.settings import load_settings\n"
    "serve(load_settings(), announce=lambda url, _: print(url, file=sys.stderr, flush=True))\n"
)

BY_COMMAND = (
    "import gc, sys\n"
    "from backend.cli import app, serve\n"
    "serve.print_line = lambda text: print(gc.isenabled(), text, file=sys.stderr, flush=True)\n"
    "app.run_command(['serve'])\n"
)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.org", ""])
async def test_without_keys_it_listens_for_this_machine_only(host: str) -> None:
    with pytest.raises(SettingsError, match=r"PYTHON_CODER_HOST.*python-coder keys create"):
        await require_keys_beyond_loopback(load_settings(host=host))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.0.0.9"])
async def test_loopback_has_many_names(host: str) -> None:
    await require_keys_beyond_loopback(load_settings(host=host))


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"PYTHON_CODER_PORT is {port}"):
            serve(load_settings(port=port), announce=print)


@contextmanager
def started(
    folder: Path, *lines: dict[str, Any], command: str = START, **variables: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own, and its address."""
    folder.mkdir(exist_ok=True)
    script = write_script(folder / "script.jsonl", *(lines or (OK,)))
    environment = os.environ | {
        "PYTHON_CODER_MODEL": f"scripted:{script}",
        "PYTHON_CODER_PORT": "0",
        **variables,
    }
    arguments = [sys.executable, "-c", command]
    with subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            yield server, server.stderr.readline().strip()
        finally:
            server.kill()


def ended(server: subprocess.Popen[str]) -> None:
    """It has ended as it should, and said nothing more."""
    _, errors = server.communicate(timeout=60)
    assert errors == ""
    assert server.returncode == 0


def refuses(url: str) -> bool:
    """Nobody listens there any more."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0)).close()
    except ConnectionRefusedError:
        return True
    return False


def in_talk(client: httpx.Client) -> int:
    """How many plain chats the server is busy with."""
    text = client.get("/metrics").text
    found = re.search(r'^python_coder_queue_working\{lane="talk"\} (\d+)', text, re.MULTILINE)
    assert found is not None, text
    return int(found[1])


@contextmanager
def executing(url: str) -> Iterator[socket.socket]:
    """A connection over which an endless program has been sent."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as connection:
        connection.sendall(
            b"POST /v1/execute HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Type: application/json\r\n"
            b"Content-Length: " + str(len(ENDLESS)).encode() + b"\r\n\r\n" + ENDLESS
        )
        yield connection


def test_a_server_that_is_interrupted_takes_everything_with_it_at_once(tmp_path: Path) -> None:
    with started(tmp_path, PYTHON_CODER_DRAIN="600") as (server, url), executing(url) as connection:
        running = until(lambda: busy(psutil.Process(server.pid)))
        server.send_signal(signal.SIGINT)
        told = b"".join(iter(lambda: connection.recv(65536), b""))
        ended(server)
        until(lambda: gone(running))
    # Its program has run: nobody is told to run it once more.
    assert told.startswith(b"HTTP/1.1 424 ")
    assert b"x-should-retry: false" in told.lower()
    assert b"The server was stopped" in told


@pytest.mark.parametrize(
    ("path", "asked", "runs"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "compute"}]}, "Run"),
        ("/v1/responses", {"input": "compute"}, "interpreting"),
    ],
    ids=["chat", "responses"],
)
def test_an_answer_that_is_cut_off_after_a_run_is_not_asked_for_again(
    tmp_path: Path, path: str, asked: dict[str, Any], runs: str
) -> None:
    endless = generate("while True:\n    pass", repeat=True)
    lines = (act("python_coder", "wait", repeat=True), endless, APPROVE)
    asked = asked | {"agent_type": "react"}
    with (
        started(tmp_path, *lines, PYTHON_CODER_DRAIN="600") as (server, url),
        httpx.Client(base_url=url, timeout=60) as client,
        ThreadPoolExecutor() as pool,
    ):
        waiting = pool.submit(client.post, path, json=asked)
        running = until(lambda: busy(psutil.Process(server.pid)))
        with client.stream("POST", path, json=asked | {"stream": True}) as stream:
            told = stream.iter_lines()
            next(line for line in told if runs in line)
            server.send_signal(signal.SIGINT)
            *_, last = (line for line in told if line.startswith("data: {"))
        answer = waiting.result()
        ended(server)
        until(lambda: gone(running))
    assert answer.status_code == 424
    assert answer.headers["X-Should-Retry"] == "false"
    cut = json.loads(last[6:])
    why = cut["response"]["error"] if path == "/v1/responses" else cut["error"]
    assert why["message"] == answer.json()["error"]["message"]


def test_garbage_is_collected_once_a_server_has_started(tmp_path: Path) -> None:
    with started(tmp_path, command=BY_COMMAND) as (_, said):
        assert said.startswith("True python-coder listens on http://")


def test_what_is_under_way_is_finished_before_a_server_ends(tmp_path: Path) -> None:
    slow = {"stage": "chat", "reply": "Here it is.", "delay_s": 1.5, "repeat": True}
    ask = {"messages": [{"role": "user", "content": "hi"}], "agent_type": "chat"}
    with (
        started(tmp_path, slow) as (server, url),
        httpx.Client(base_url=url, timeout=60) as client,
        ThreadPoolExecutor() as pool,
    ):
        parts = urlsplit(url)
        address = (parts.hostname or "", parts.port or 0)
        with socket.create_connection(address) as idle:
            asked = [
                pool.submit(client.post, "/v1/chat/completions", json=ask | {"stream": stream})
                for stream in (False, True)
            ]
            until(lambda: in_talk(client) == 2)
            server.send_signal(signal.SIGTERM)
            assert idle.recv(1) == b""  # closed at once
            until(lambda: refuses(url))
            answers = [each.result() for each in asked]
        ended(server)
    assert [each.status_code for each in answers] == [200, 200]
    assert answers[0].json()["choices"][0]["message"]["content"] == "Here it is."
    assert answers[1].text.endswith("data: [DONE]\n\n")


def test_what_does_not_end_in_time_is_told_so(tmp_path: Path) -> None:
    slow = {"stage": "chat", "reply": "Never.", "delay_s": 600, "repeat": True}
    ask = {"messages": [{"role": "user", "content": "hi"}], "agent_type": "chat"}
    variables = {"PYTHON_CODER_DRAIN": "600", "PYTHON_CODER_STREAM_KEEP_ALIVE": "0.1"}
    with (
        started(tmp_path, slow, **variables) as (server, url),
        httpx.Client(base_url=url, timeout=60) as client,
        ThreadPoolExecutor() as pool,
        client.stream("POST", "/v1/chat/completions", json=ask | {"stream": True}) as stream,
        ExitStack() as stack,
    ):
        asked = {"input": "hi", "agent_type": "chat", "stream": True}
        in_events = stack.enter_context(client.stream("POST", "/v1/responses", json=asked))
        stack.enter_context(executing(url))
        running = until(lambda: busy(psutil.Process(server.pid)))
        waiting = pool.submit(client.post, "/v1/chat/completions", json=ask)
        lines = (line for line in stream.iter_lines() if line.startswith("data:"))
        next(lines)
        run = client.post("/v1/runs", json=ask).json()["id"]
        talk = {"input": "hi", "agent_type": "chat", "background": True}
        response = client.post("/v1/responses", json=talk).json()["id"]
        followed = [
            stack.enter_context(client.stream("GET", path))
            for path in (f"/v1/runs/{run}/events", f"/v1/responses/{response}?stream=true")
        ]
        until(lambda: in_talk(client) == 5)
        server.send_signal(signal.SIGTERM)
        until(lambda: refuses(url))
        # What goes on without this server holds nobody here.
        assert [each.read().endswith(LEAVE.encode()) for each in followed] == [True, True]
        server.send_signal(signal.SIGTERM)  # a second one does not wait
        answer = waiting.result()
        *_, error, end = list(lines)
        *_, last = in_events.read().decode().strip().split("\n\n")
        ended(server)
        until(lambda: gone(running))
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert "The server was stopped" in answer.json()["error"]["message"]
    assert "The server was stopped" in json.loads(error[6:])["error"]["message"]
    assert end == "data: [DONE]"
    kind, data = last.split("\n")
    assert kind == "event: response.failed"
    assert "The server was stopped" in json.loads(data[6:])["response"]["error"]["message"]


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_two_servers_work_side_by_side_on_one_store(
    tmp_path: Path, request: pytest.FixtureRequest, store: str
) -> None:
    variables = {"PYTHON_CODER_DATA_DIR": str(tmp_path / "data")}
    if store == "postgresql":
        variables["DATABASE_URL"] = request.getfixturevalue("postgres_url")
    with ExitStack() as stack:
        servers = [
            stack.enter_context(started(tmp_path / name, **variables)) for name in ("one", "two")
        ]
        clients = [
            stack.enter_context(httpx.Client(base_url=url, timeout=60)) for _, url in servers
        ]
        pool = stack.enter_context(ThreadPoolExecutor(8))

        def converse(number: int) -> None:
            """A conversation whose every turn is answered by the other server."""
            session = f"both-{number}"
            for turn in range(4):
                answer = clients[turn % 2].post(
                    "/v1/chat/completions",
                    json={
                        "agent_type": "chat",
                        "messages": [{"role": "user", "content": f"turn {turn}"}],
                    },
                    headers={"X-Session-Id": session},
                )
                assert answer.status_code == 200, answer.text
            for client in clients:
                kept = client.get(f"/v1/sessions/{session}/messages").json()["data"]
                said = [each["content"] for each in kept if each["role"] == "user"]
                assert said == [f"turn {turn}" for turn in range(4)]

        list(pool.map(converse, range(8)))
        files = {"file": ("table.csv", b"a,b\n1,2\n", "text/csv")}
        sent = clients[0].post("/v1/files", files=files, data={"purpose": "user_data"}).json()
        assert clients[1].get(f"/v1/files/{sent['id']}/content").content == b"a,b\n1,2\n"
        for server, _ in servers:
            server.send_signal(signal.SIGTERM)
        for server, _ in servers:
            ended(server)
