"""Clients that mean harm, or do not know better: the server goes on answering the others."""

from __future__ import annotations

import json
import re
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tests.api.test_presence import busy, gone, until
from tests.api.test_server import ENDLESS, started

CONNECTIONS = 40
WORD = "x" * 50_000
START = (
    "import sys\n"
    "from backend.api.connections import Limits\n"
    "from backend.api.server import serve\n"
    "from backend.config.settings import load_settings\n"
    "serve(load_settings(), announce=lambda url, _: print(url, file=sys.stderr, flush=True),\n"
    f"    limits=Limits(connections={CONNECTIONS}, send_s=1, head_s=1, body_s=1))\n"
)
LINES: tuple[dict[str, Any], ...] = (
    {"stage": "chat", "when": "Speak at length", "reply": " ".join([WORD] * 20), "repeat": True},
    {"stage": "chat", "when": "Wait", "reply": "At last.", "delay_s": 600, "repeat": True},
    {"stage": "chat", "reply": "ok", "repeat": True},
)
GET = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
TIMEOUT_S = 60


class Hostile:
    """A server, how to reach it, and whether it is well."""

    def __init__(self, process: psutil.Process, url: str, client: httpx.Client) -> None:
        self.process = process
        self.client = client
        parts = urlsplit(url)
        self.address = (parts.hostname or "", parts.port or 0)

    @contextmanager
    def connection(self, *, small: bool = False) -> Iterator[socket.socket]:
        with socket.socket() as connection:
            if small:  # little fits into what the kernel keeps for us
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(TIMEOUT_S)
            connection.connect(self.address)
            yield connection

    def answers(self) -> bool:
        return self.client.get("/health").status_code == 200

    def talking(self) -> bool:
        return 'python_coder_queue_working{lane="talk"} 0.0' not in self.client.get("/metrics").text


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    folder = tmp_path_factory.mktemp("hostile")
    variables = {
        "PYTHON_CODER_DATA_DIR": str(folder / "data"),
        "PYTHON_CODE_EXECUTION_DIR": str(folder / "execution"),
        "PYTHON_CODER_MAX_TOKENS": "200000",
        "PYTHON_CODE_PREIMPORT": "none",
    }
    with (
        started(folder, *LINES, command=START, **variables) as (server, url),
        httpx.Client(base_url=url, timeout=TIMEOUT_S) as client,
    ):
        yield Hostile(psutil.Process(server.pid), url, client)


def all_of(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    received = bytearray()
    try:
        while piece := connection.recv(2**20):
            received += piece
    except ConnectionResetError:
        pass
    return bytes(received)


def post(path: str, body: bytes, *more: str) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", *more, "", ""]).encode() + body


def chat(words: str) -> bytes:
    messages = [{"role": "user", "content": words}]
    body = {"messages": messages, "agent_type": "chat", "stream": True}
    return post("/v1/chat/completions", json.dumps(body).encode())


REFUSED = {
    "a head that does not end": (b"POST /v1/execute HTTP/1.1\r\nHost: 127.0", 408),
    "a body that does not come": (post("/v1/execute", b"")[:-5] + b"999\r\n\r\n{", 408),
    "a long header": (GET[:-4] + b"\r\nX-Long: " + b"a" * 300_000 + b"\r\n\r\n", 431),
    "a head of many pieces": (GET[:-4] + b"\r\nX-More: 1" * 20_000, 431),
    "a long path": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 431),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x7f" * 100, 400),
    "another protocol": (b"SSH-2.0-OpenSSH_9.2\r\n", 400),
    "a path that is none": (b"GET \xff\xfe HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400),
    "two lengths": (GET[:-4] + b"\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_served_is_answered_and_closed(hostile: Hostile, kind: str) -> None:
    sent, status = REFUSED[kind]
    with hostile.connection() as connection:
        connection.sendall(sent)
        head, _, body = all_of(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), head
    error = json.loads(body)["error"]
    assert error["type"] == "invalid_request_error"
    assert re.search(r"\. Send ", error["message"]), "what to do next"
    assert hostile.answers()


def test_who_says_nothing_is_not_kept(hostile: Hostile) -> None:
    with hostile.connection() as connection:
        assert all_of(connection) == b""


def test_a_body_byte_by_byte_is_not_waited_for(hostile: Hostile) -> None:
    with hostile.connection() as connection:
        connection.sendall(post("/v1/execute", b"")[:-5] + b"9999\r\n\r\n{")
        for _ in range(600):
            if select.select([connection], [], [], 0.1)[0]:
                break
            connection.sendall(b" ")
        assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_requests_may_come_before_the_first_is_answered_but_not_any_number(
    hostile: Hostile,
) -> None:
    last = GET[:-4] + b"\r\nConnection: close\r\n\r\n"
    with hostile.connection() as connection:
        connection.sendall(GET * 3 + last)
        assert all_of(connection).count(b"HTTP/1.1 200 OK") == 4
    with hostile.connection() as connection:
        connection.sendall(chat("Wait") + GET * 1000)
        assert b"HTTP/1.1 400 " in all_of(connection)
    until(lambda: not hostile.talking())
    assert hostile.answers()


def test_a_client_that_goes_ends_its_program_whatever_it_sent_behind(hostile: Hostile) -> None:
    with hostile.connection() as connection:
        connection.sendall(post("/v1/execute", ENDLESS) + GET)
        running = until(lambda: busy(hostile.process))
    until(lambda: gone(running))


def test_a_reader_that_stops_is_let_go_and_costs_no_memory(hostile: Hostile) -> None:
    assert hostile.answers()
    answers_bytes = 4 * 20 * len(WORD)
    sizes = []
    for _ in range(14):
        with ExitStack() as stack:
            readers = [stack.enter_context(hostile.connection(small=True)) for _ in range(4)]
            for reader in readers:
                reader.sendall(chat("Speak at length"))
                assert reader.recv(12) == b"HTTP/1.1 200"
            until(lambda: not hostile.talking())
            received = [len(all_of(reader)) for reader in readers]
        assert max(received) < 20 * len(WORD)
        sizes.append(hostile.process.memory_info().rss)
    # Up to 20 MB of garbage waits to be collected, goes and comes again. What is kept adds up.
    assert sizes[-1] - sizes[1] < 12 * answers_bytes / 2, sizes
    assert hostile.answers()


def test_connections_that_only_stand_open_do_not_keep_others_out(hostile: Hostile) -> None:
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(hostile.connection())
        with hostile.connection() as one_more:
            one_more.sendall(GET[:-4] + b"\r\nConnection: close\r\n\r\n")
            health = all_of(one_more)
        with hostile.connection() as another:
            another.sendall(post("/v1/execute", b'{"code": "1"}'))
            refused = all_of(another)
        # What is told depends on how many have been closed again by now.
        assert health[:12] in {b"HTTP/1.1 200", b""}
        assert refused[:12] in {b"HTTP/1.1 200", b"HTTP/1.1 503", b""}

        def served() -> bool:
            with httpx.Client(base_url=hostile.client.base_url, timeout=TIMEOUT_S) as client:
                try:
                    return client.post("/v1/execute", json={"code": "1"}).status_code == 200
                except httpx.TransportError:
                    return False

        assert until(served)


def test_beyond_the_limit_one_is_told_so_and_health_is_told_still(hostile: Hostile) -> None:
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            held = stack.enter_context(hostile.connection())
            held.sendall(chat("Wait"))
        until(lambda: working(hostile) >= CONNECTIONS - 2)
        with hostile.connection() as one_more:
            one_more.sendall(GET[:-4] + b"\r\nConnection: close\r\n\r\n")
            assert all_of(one_more).startswith(b"HTTP/1.1 200 ")
        with hostile.connection() as another:
            another.sendall(chat("Wait"))
            head, _, body = all_of(another).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: " in head.lower()
        assert "PYTHON_CODER_MAX_CONNECTIONS" in json.loads(body)["error"]["message"]
    until(lambda: not hostile.talking())


def working(hostile: Hostile) -> int:
    text = hostile.client.get("/metrics").text
    line = next(each for each in text.splitlines() if 'queue_working{lane="talk"}' in each)
    return int(float(line.rpartition(" ")[2]))
