"""When nobody waits any more, what was running has ended."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from starlette.requests import ClientDisconnect

from backend.api.presence import while_connected
from tests.api.conftest import Serve
from tests.scripts import APPROVE, act, generate

ENDLESS = "while True: pass"
BUSY_S = 0.8
"""Processor seconds by which the endless program is told from whatever only starts."""
PATIENCE_S = 30.0


def until(condition: Callable[[], Any]) -> Any:
    ticks = threading.Event()
    for _ in range(int(PATIENCE_S / 0.1)):
        if value := condition():
            return value
        ticks.wait(0.1)
    raise AssertionError("it did not happen")


def busy(parent: psutil.Process) -> set[psutil.Process]:
    """The processes below one that have been computing for a while."""
    found = set()
    for process in parent.children(recursive=True):
        try:
            if process.cpu_times().user > BUSY_S:
                found.add(process)
        except psutil.NoSuchProcess:
            continue
    return found


def gone(processes: set[psutil.Process]) -> bool:
    """One may end between being looked for and being asked."""

    def runs(process: psutil.Process) -> bool:
        try:
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    return not any(runs(process) for process in processes)


REQUESTS = {
    "execute": ("/v1/execute", {"code": ENDLESS, "timeout_s": 300}),
    "chat": ("/v1/chat/completions", {"agent_type": "react"}),
    "chat stream": ("/v1/chat/completions", {"agent_type": "react", "stream": True}),
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_client_that_goes_ends_its_program(serve: Serve, kind: str) -> None:
    client = serve(
        act("python_coder", "loop"), generate(ENDLESS), APPROVE, timeout_s=300, max_retries=0
    )
    path, body = REQUESTS[kind]
    if kind != "execute":
        body = body | {"messages": [{"role": "user", "content": "Compute for ever"}]}
    address = (client.base_url.host, client.base_url.port or 80)
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection(address) as connection:
        connection.sendall(head.encode() + content)
        running = until(lambda: busy(psutil.Process()))
    until(lambda: gone(running))
    assert client.get("/v1/sessions").json()["data"] == []
    assert client.get("/health").json()["status"] == "ok"


async def test_work_is_done_while_somebody_waits() -> None:
    async def receive() -> Any:
        await asyncio.Event().wait()

    async def work() -> int:
        return 7

    assert await while_connected(receive, work()) == 7


async def test_work_has_cleaned_up_when_the_client_has_gone() -> None:
    ended = []

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    with pytest.raises(ClientDisconnect):
        await while_connected(receive, work())
    assert ended == [True]


async def test_a_client_that_cannot_be_heard_is_gone() -> None:
    async def receive() -> Any:
        raise OSError("the connection broke")

    with pytest.raises(ClientDisconnect):
        await while_connected(receive, asyncio.Event().wait())


@pytest.mark.parametrize("answer", ["an error", "a result"])
async def test_what_work_says_to_nobody_is_not_told(answer: str) -> None:
    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def work() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if answer == "an error":
                raise ValueError("while clearing away") from None
        return answer

    with pytest.raises(ClientDisconnect):
        await while_connected(receive, work())
