"""The line to a program, at whose other end anything may be."""

from __future__ import annotations

import asyncio

from backend.sandbox.executors.local.line import Line
from backend.sandbox.inside import wire


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
