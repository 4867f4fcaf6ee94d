"""What a process printed, also of one whose pipes were closed under its reader."""

from __future__ import annotations

import asyncio
import os

from backend.sandbox.executors.local.streams import Streams


async def test_what_was_read_before_a_close_is_told() -> None:
    streams = Streams()
    streams.listen(1000, lambda: None)
    os.write(streams.theirs[0], b"printed")
    await asyncio.sleep(0.05)
    streams.close()
    stdout, stderr = streams.finish()
    assert (stdout.finish().text, stderr.finish().text) == ("printed", "")
