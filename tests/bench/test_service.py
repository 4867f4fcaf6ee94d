"""The load's own instruments: what is no good answer does not count as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bench.load import Reply, press, request
from bench.served import served
from bench.service import SCRIPT, chat, holds, idle_streams
from tests.commands import needs_sandbox

GOOD = b'data: {"choices": [{"delta": {"content": "fine"}}]}\n\ndata: [DONE]\n\n'
BAD = {
    "an error": (200, b'data: {"error": {"message": "no"}}\n\ndata: [DONE]\n\n', "no"),
    "cut off": (200, GOOD.partition(b"data: [DONE]")[0], "cut off"),
    "refused": (429, b"{}", "429"),
    "another answer": (200, GOOD.replace(b"fine", b"foul"), "without"),
}


@pytest.mark.parametrize("kind", BAD)
def test_only_whole_answers_count(kind: str) -> None:
    judge = holds("fine", stream=True)
    assert judge(Reply(status=200, headers=b"", body=GOOD)) == ""
    status, body, fault = BAD[kind]
    assert fault in judge(Reply(status=status, headers=b"", body=body))


@asynccontextmanager
async def playing(*answers: bytes) -> AsyncIterator[str]:
    """A server that answers each request with the next of these, and closes after an empty one."""
    left = list(answers)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while left:
            await reader.readuntil(b"\r\n\r\n")
            answer = left.pop(0)
            for at in range(0, len(answer), 7):  # in pieces, as a network may bring it
                writer.write(answer[at : at + 7])
                await writer.drain()
            if not answer:
                break
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_answers_of_both_kinds_are_read_and_lost_ones_are_counted() -> None:
    plain = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n"
    async with playing(plain, chunked, plain, b"", chunked) as url:
        load = await press(
            url,
            lambda number: request("GET", f"/{number}"),
            holds("fine", stream=False),
            at_once=1,
            count=5,
        )
    assert len(load.taken_s) == 4
    assert dict(load.faults) == {"The connection was closed.": 1}


@pytest.mark.sandbox
@needs_sandbox
async def test_the_service_carries_what_is_asked_of_it(tmp_path: Path) -> None:
    async with served(tmp_path, SCRIPT, {"PYTHON_CODE_PREIMPORT": "none"}) as server:
        for agent in ("react", "plan_execute"):
            good = holds("north    8", stream=True)
            load = await press(server.url, chat(agent, stream=True), good, at_once=4, count=8)
            assert (len(load.taken_s), dict(load.faults)) == (8, {})
        assert "100 open, /health answers" in await idle_streams(server, 100)
