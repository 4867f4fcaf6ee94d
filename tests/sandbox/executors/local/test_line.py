"""The line to a program, at whose other end anything may be."""

from __future__ import annotations

import asyncio
import time

from backend.sandbox.executors.local.line import Line
from backend.sandbox.inside import wire


async def test_whoever_talks_without_end_is_not_listened_to() -> None:
    line = Line()
    theirs = line.theirs
    theirs.setblocking(False)
    theirs.sendall(wire.frame(wire.HELLO))
    assert line.meet()
    sent, until = 0, time.monotonic() + 20
    while sent < 64 << 20 and time.monotonic() < until:
        try:
            sent += theirs.send(wire.frame(wire.VALUE) * 1000)
        except BlockingIOError:
            await asyncio.sleep(0)
            if not asyncio.get_running_loop().remove_reader(line._socket):
                break
            asyncio.get_running_loop().add_reader(line._socket, line._take)
    line.close()
    assert sent < 64 << 20


async def test_what_is_said_in_time_is_heard() -> None:
    line = Line()
    line.theirs.sendall(wire.frame(wire.HELLO))
    assert line.meet()
    finished = asyncio.Event()
    line.listen(finished.set)
    line.theirs.sendall(wire.frame(wire.VALUE, b"1") + wire.frame(wire.FINISHED, b"\3\0"))
    async with asyncio.timeout(10):
        await finished.wait()
    assert (line.claims, line.finished, line.has_files) == ({wire.VALUE: b"1"}, 3, False)
    line.close()
