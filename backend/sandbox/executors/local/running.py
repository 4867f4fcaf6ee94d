"""One program in a child that waits for it: sent, waited for or stopped, made a result."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress

from backend.sandbox.executors.local.child import Child
from backend.sandbox.executors.local.outcome import result_of
from backend.sandbox.inside import wire
from backend.sandbox.walls.limits import Limits
from backend.sandbox.walls.probe import explain
from backend.types import ExecutionResult, StoppedBy

_GRACE_SECONDS = 0.25
"""Between asking the keeper to stop and killing it."""
_SECONDS_WHEN_STOPPED = 0.4
"""Between asking it and the end of the run, artifacts included."""
_SESSION_GRACE_SECONDS = 5.0
"""The same for a session's keeper, with whom a session's state would go."""
_ARTIFACT_MS_WHEN_STOPPED = 300


class DiedBefore(Exception):
    """The child was dead before the program began: another one may run it."""


async def run_once(
    child: Child, header: bytes, limits: Limits, *, is_session: bool = False
) -> ExecutionResult:
    """Run the program that ``header`` describes.

    Args:
        child: what to run it in.
        header: the request, marshalled.
        limits: its limits.
        is_session: the child is to serve more programs after this one.

    Raises:
        SandboxUnavailable: it could not be run.
        DiedBefore: nothing of it was run.
    """
    reader = child.reader
    reader.next_report()
    child.allow_memory(limits.group_bytes(is_session=is_session))
    began = time.monotonic()
    child.streams.listen(limits.output_bytes, reader.happened.set)
    reading = asyncio.create_task(reader.read_report())
    try:
        await child.send(wire.RUN, header)
        stopped, seconds_left = await _until_over(child, limits, is_session)
        duration = time.monotonic() - began
        await asyncio.wait({reading}, timeout=seconds_left)
    finally:
        reading.cancel()
    stdout, stderr = child.streams.finish()
    report = reader.report
    if report.failure and not report.ended:
        raise explain(report.failure)
    if not report.started and stopped is None:
        raise DiedBefore
    if stopped is None and _was_out_of_memory(child):
        stopped = "memory"
    return result_of(report, stdout, stderr, stopped, duration, limits, child.isolation)


def _was_out_of_memory(child: Child) -> bool:
    """Whether the kernel ended a program that something killed, for want of memory."""
    report = child.reader.report
    if child.group is None or (report.ended and not os.WIFSIGNALED(report.status)):
        return False
    return child.group.oom_kills() > child.oom_kills


async def _until_over(
    child: Child, limits: Limits, is_session: bool
) -> tuple[StoppedBy | None, float]:
    """Wait for the program's end, or bring it about.

    Returns:
        Our reason, if it was ours, and the seconds that its artifacts may take.
    """
    reader = child.reader
    with suppress(TimeoutError):
        async with asyncio.timeout(limits.timeout_s):
            await reader.happened.wait()
    if reader.is_over:
        return None, limits.artifacts.seconds + 2
    asked = time.monotonic()
    reason: StoppedBy = "output" if child.streams.is_flooded else "timeout"
    await child.send(wire.STOP, b"%d" % _ARTIFACT_MS_WHEN_STOPPED)
    with suppress(TimeoutError):
        async with asyncio.timeout(_SESSION_GRACE_SECONDS if is_session else _GRACE_SECONDS):
            while not reader.is_over:
                reader.happened.clear()
                await reader.happened.wait()
    if not reader.is_over:
        child.kill()
    most = _SESSION_GRACE_SECONDS if is_session else _SECONDS_WHEN_STOPPED
    return reason, max(0.0, asked + most - time.monotonic())
