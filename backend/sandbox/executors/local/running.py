"""One program in a child that waits for it: sent, waited for or stopped, made a result."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress

from backend.sandbox.executors.local.child import Child
from backend.sandbox.executors.local.header import Header
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
    """The child died before its keeper began to watch: another one may run the program."""


async def run_once(
    child: Child, header: Header, limits: Limits, *, is_session: bool = False
) -> ExecutionResult:
    """Run the program that ``header`` describes.

    Args:
        child: what to run it in.
        header: the request, marshalled.
        limits: its limits.
        is_session: the child is to serve more programs after this one.

    Raises:
        SandboxUnavailable: it could not be run.
        DiedBefore: its keeper died before it began to watch; hardly anything of it can have run.
    """
    reader = child.reader
    reader.next_report()
    child.allow_memory(limits.group_bytes(is_session=is_session))
    began = time.monotonic()
    stopped = await _until_over(child, header, limits)
    duration = time.monotonic() - began
    if stopped == "timeout" and await child.count_processes() > limits.processes:
        # So many can leave their keeper no turn in which to say so.
        stopped = "processes"
    await _until_reported(child, limits, stopped, is_session=is_session)
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


async def _until_over(child: Child, header: Header, limits: Limits) -> StoppedBy | None:
    """Start the program and wait for its end. Returns why it is to be ended, if it is."""
    try:
        async with asyncio.timeout(limits.timeout_s) as patience:
            child.streams.listen(limits.output_bytes, lambda: _give_up(patience))
            child.line.listen(lambda: _give_up(patience))
            if header.program and not header.keeper_first:
                # First: the keeper, told before it, would take a processor for the little it does.
                await child.line.send(header.program)
            await child.send(wire.RUN, header.keeper)
            if header.keeper_first:
                await child.reader.read_start()
                if header.program:
                    await child.line.send(header.program)
            await child.reader.read_end()
    except TimeoutError:
        if child.line.finished is None:
            return "output" if child.streams.is_flooded else "timeout"
    return None


def _give_up(patience: asyncio.Timeout) -> None:
    with suppress(RuntimeError):  # it is over already
        patience.reschedule(0)


async def _until_reported(
    child: Child, limits: Limits, stopped: StoppedBy | None, *, is_session: bool
) -> None:
    """Wait for the rest of the report; of a program that is to be ended, bring the end about."""
    reader, line = child.reader, child.line
    reader.report.claims |= line.claims
    if line.finished is not None and stopped is None and not reader.report.ended:
        if not line.has_files:
            # Whatever it still does, it will not be long, and nobody will hear of it.
            return reader.report.conclude(line.finished)
        await child.send(wire.FINISHED, bytes([line.finished]))
    began = time.monotonic()
    seconds = limits.artifacts.seconds + 2
    if stopped is not None:
        seconds = _SESSION_GRACE_SECONDS if is_session else _SECONDS_WHEN_STOPPED
        await child.send(wire.STOP, b"%d" % _ARTIFACT_MS_WHEN_STOPPED)
        with suppress(TimeoutError):
            async with asyncio.timeout(_SESSION_GRACE_SECONDS if is_session else _GRACE_SECONDS):
                await reader.read_end()
        if not (reader.report.ended or reader.closed):
            child.kill()
    with suppress(TimeoutError):
        async with asyncio.timeout(max(0.0, began + seconds - time.monotonic())):
            await reader.read_report()
