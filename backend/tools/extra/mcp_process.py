"""A server's process and the messages it exchanges with us over its standard input and output.

The MCP library has such a transport, too. This one keeps what the server says on stderr for the
reason of its end instead of printing it, passes over lines that are no messages without a word,
notices an end at once, leaves nothing of the server's behind, and lets it die with us.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCMessage
from pydantic import ValidationError

from backend.tools.extra.mcp_file import ProgramServer

Receive = MemoryObjectReceiveStream[SessionMessage | Exception]
Send = MemoryObjectSendStream[SessionMessage]

GRACE_S = 2.0
"""Seconds a server gets to end by itself, and again after it was asked to."""
_MOST_BYTES = 64 * 2**20
"""Of one message: pictures come as text."""
_SAID_BYTES = 2000
_LAST_WORDS_S = 0.5

_LAUNCHER = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[3:])
"""
"""Becomes the server after asking the kernel (PR_SET_PDEATHSIG) to end it when we end: a process
that is killed has no turn to do it itself, and what runs between fork and exec in a process with
threads must not be Python."""


class ServerGone(Exception):
    """The server's process has ended."""


class _Said:
    """The end of what a server says beside its messages: often the reason why it ended."""

    def __init__(self) -> None:
        self._bytes = b""

    def add(self, piece: bytes) -> None:
        self._bytes = (self._bytes + piece)[-_SAID_BYTES:]

    def last_words(self) -> str:
        lines = self._bytes.decode(errors="replace").strip().splitlines()
        return " ".join(" ".join(lines[-3:]).split())[-400:]


@asynccontextmanager
async def open_process(server: ProgramServer) -> AsyncIterator[tuple[Receive, Send]]:
    """Start a server and end it: streams of messages from it and to it.

    Raises:
        OSError: it cannot be started.
        ServerGone: it ended before we did; out of the body, within an exception group.
    """
    process = await _start(server)
    messages_in, receive = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    send, messages_out = anyio.create_memory_object_stream[SessionMessage](0)
    pipes = _Pipes(process, messages_in)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipes.drain)
            tasks.start_soon(pipes.read)
            tasks.start_soon(pipes.watch)
            tasks.start_soon(pipes.write, messages_out)
            try:
                yield receive, send
            finally:
                pipes.leaving = True
                with anyio.CancelScope(shield=True):
                    await _stop(process)
                tasks.cancel_scope.cancel()
    finally:
        _signal(process, signal.SIGKILL)
        process._transport.close()  # type: ignore[attr-defined]  # else it warns of itself later
        for stream in (messages_in, receive, send, messages_out):
            stream.close()


async def _start(server: ProgramServer) -> asyncio.subprocess.Process:
    env = {**get_default_environment(), **server.env}
    found = await asyncio.to_thread(_find_program, server, env.get("PATH"))
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), found]
    return await asyncio.create_subprocess_exec(
        *launcher,
        server.command,
        *server.args,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=env,
        cwd=server.cwd,
        start_new_session=True,
    )


def _find_program(server: ProgramServer, path: str | None) -> str:
    command = os.path.expanduser(server.command)
    if "/" in command:
        command = os.path.join(server.cwd or os.getcwd(), command)
    found = shutil.which(command, path=path)
    if found is None:
        raise FileNotFoundError(f"there is no program {server.command!r}")
    if server.cwd is not None and not server.cwd.is_dir():
        raise NotADirectoryError(f"there is no folder {str(server.cwd)!r}")
    return found


class _Pipes:
    """What goes through a server's pipes, and what its end means."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        messages: MemoryObjectSendStream[SessionMessage | Exception],
    ) -> None:
        self._process = process
        self._messages = messages
        self._said = _Said()
        self._read_all = asyncio.Event()
        self.leaving = False
        """We are about to end it: its end is no news."""

    async def drain(self) -> None:
        """Take in what it says of itself."""
        while piece := await _stream(self._process.stderr).read(65_536):
            self._said.add(piece)

    async def write(self, messages: MemoryObjectReceiveStream[SessionMessage]) -> None:
        """Send what is to be sent; whether the server still reads is told by its end."""
        pipe = _stream(self._process.stdin)
        with suppress(ConnectionError, RuntimeError):
            async for message in messages:
                text = message.message.model_dump_json(by_alias=True, exclude_none=True)
                pipe.write(text.encode() + b"\n")
                await pipe.drain()

    async def read(self) -> None:
        """Pass on its messages, up to the last."""
        pending = bytearray()
        while piece := await _stream(self._process.stdout).read(1 << 18):
            *lines, rest = piece.split(b"\n")
            for line in lines:
                pending += line
                await self._pass_on(bytes(pending))
                pending.clear()
            pending += rest
            if len(pending) > _MOST_BYTES:
                raise ServerGone(f"it sent a message of more than {_MOST_BYTES >> 20} MiB")
        self._read_all.set()
        # Requests under way learn of it, and no other is begun.
        self._messages.close()

    async def _pass_on(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            message = JSONRPCMessage.model_validate_json(line)
        except ValidationError:
            self._said.add(line[:_SAID_BYTES] + b"\n")
            return
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self._messages.send(SessionMessage(message))

    async def watch(self) -> None:
        """Say that it ended, unless we end it."""
        await _ended(self._process)
        if self.leaving:
            return
        # Its last answers may still be in the pipe; something it started may hold that open.
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._read_all.wait()
        words = self._said.last_words()
        how = f"its process ended with {self._process.returncode}"
        raise ServerGone(f"{how}, saying: {words}" if words else how)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Wait for its end; ``process.wait`` would wait for all who have its pipes (Python 3.11)."""
    if process.returncode is not None:
        return
    try:
        number = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(number, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(number)
        os.close(number)
    while process.returncode is None:  # noqa: ASYNC110 - set a moment later, by asyncio's watcher
        await asyncio.sleep(0.005)


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Let it end, ask it to, make it: as the protocol has it."""
    _stream(process.stdin).close()
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_S):
                return await _ended(process)
        _signal(process, number)
    await _ended(process)


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Tell the server and all it started: they are a group of their own."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _stream(pipe: Any) -> Any:
    assert pipe is not None
    return pipe
