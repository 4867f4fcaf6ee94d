"""The first process inside: small, trusted, and never reachable for the program it keeps.

It drops root, makes the namespace in which processes are counted, forks the program, watches what
the program's processes use, and when the program ends or the host says stop, kills whatever is
left, hands out the artifacts and reports. As pid 1 it takes everything with it when it goes.
"""

from __future__ import annotations

import os
import resource
import select
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NoReturn

from . import artifacts, kernel, program, usage, wire

_TICK_MS = 20
_WORKSPACE = "/workspace"
_MAX_CLAIMED = 1 << 20


def main() -> NoReturn:
    """Serve the one request that comes over the descriptor named in ``argv``; then exit."""
    control = int(sys.argv[1])
    try:
        _serve(control)
    except wire.Gone:
        pass
    except BaseException as error:
        _report(control, f"{type(error).__name__}: {error}")
    os._exit(0)


def _serve(control: int) -> None:
    # A handler for SIGINT is the only way in which the program could disturb its pid 1.
    program.ignore_interrupts()
    if os.getuid() == 0:
        kernel.drop_to_nobody()
        kernel.enter_user_namespace()
    kernel.die_with_parent()
    kernel.set_dumpable(False)
    wire.send(control, wire.READY, _standing().encode())
    header = wire.receive_header(control)
    _Run(control, header).to_the_end()


def _standing() -> str:
    names = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
    lines = [f"{name}={os.readlink(f'/proc/self/ns/{name}')}" for name in names]
    return "\n".join([*lines, f"uid={os.getuid()}", f"python={sys.version.split()[0]}"])


def _report(control: int, text: str) -> None:
    try:
        wire.send(control, wire.FAILED, text.encode("utf-8", "backslashreplace"))
    except wire.Gone:
        return


class _Run:
    """One program, from its fork to the last frame about it."""

    def __init__(self, control: int, header: Mapping[str, Any]) -> None:
        self._control = control
        self._header = header
        self._limits = header["limits"]
        self._claims = bytearray()
        """What came over the program's pipe: a line of walls, then what it says about itself."""
        self._started = False
        self._stopped = ""
        self._seconds: float = self._limits["artifact_seconds"]

    def to_the_end(self) -> None:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            program.run(self._header, writing)
        os.close(writing)
        os.set_blocking(reading, False)
        _let_go_of_the_streams()
        self._watch(child, reading)
        status, cpu_us, max_rss_kb = _end_everything(child)
        while self._read_claims(reading):
            pass
        if not self._started:
            return
        ended = f"{status} {self._stopped or '-'} {cpu_us} {max_rss_kb}"
        wire.send(self._control, wire.ENDED, ended.encode())
        value = bytes(self._claims[: self._limits["value_bytes"]])
        if value:
            wire.send(self._control, wire.VALUE, value)
        artifacts.Collector(self._control, self._limits, self._seconds).send_all(_WORKSPACE)
        wire.send(self._control, wire.DONE)

    def _watch(self, child: int, reading: int) -> None:
        """Until the program has ended, or has to."""
        ended = os.pidfd_open(child)
        poll = select.poll()
        for fd in (ended, reading, self._control):
            poll.register(fd, select.POLLIN)
        meter = usage.Meter(self._limits, has_own_network=not self._header["allow_network"])
        next_look = time.monotonic() + _TICK_MS / 1000
        while not self._stopped:
            ready = {fd for fd, _ in poll.poll(_TICK_MS)}
            if reading in ready and not self._read_claims(reading):
                poll.unregister(reading)
            if self._control in ready:
                self._obey()
            if ended in ready:
                break
            _reap_strangers(child)
            if time.monotonic() >= next_look:
                self._stopped = self._stopped or meter.over()
                next_look = time.monotonic() + _TICK_MS / 1000
        os.close(ended)

    def _obey(self) -> None:
        """The host has said stop, and how long reading artifacts may take; or it is gone."""
        word = os.read(self._control, 64)
        if not word:
            raise wire.Gone
        self._stopped = "host"
        self._seconds = min(self._seconds, int(word.split(b"\n")[0]) / 1000)

    def _read_claims(self, reading: int) -> bool:
        """Take some of what the program wrote so far. False at its end, and when there is no more.

        Once only: a program that writes for ever must not keep its keeper busy with reading.
        """
        try:
            chunk = os.read(reading, 1 << 16)
        except BlockingIOError:
            return False
        if len(self._claims) < _MAX_CLAIMED:
            self._claims += chunk
        if not self._started:
            self._note_walls()
        return bool(chunk)

    def _note_walls(self) -> None:
        """Pass on the first block, which was written before any code of the program ran."""
        walls, end, rest = bytes(self._claims).partition(b"\0")
        if not end:
            return
        failed = walls.startswith(b"!")
        wire.send(self._control, wire.FAILED if failed else wire.STARTED, walls.lstrip(b"!"))
        self._started = not failed
        self._claims = bytearray(rest)


def _let_go_of_the_streams() -> None:
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


def _reap_strangers(child: int) -> None:
    """Collect orphans, but leave the program itself for the end."""
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or found.si_pid == child:
            return
        os.waitpid(found.si_pid, 0)


def _end_everything(child: int) -> tuple[int, int, int]:
    """Kill and reap all that is left.

    Returns:
        The program's wait status, CPU microseconds of all, largest resident KiB of one.
    """
    status = 0
    while True:
        with suppress(ProcessLookupError):
            os.kill(-1, 9)
        try:
            pid, its_status, _ = os.wait4(-1, 0)
        except ChildProcessError:
            break
        if pid == child:
            status = its_status
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_us = int((used.ru_utime + used.ru_stime) * 1_000_000)
    return status, cpu_us, used.ru_maxrss
