"""One program, from the word that starts it to the last frame about it."""

from __future__ import annotations

import os
import resource
import select
import socket
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from . import artifacts, kernel, places, spaces, usage, wire

_TICK_MS = 20
_MOST_LOOKING = 4
"""Times as long as it has looked, it does not look again."""
_MOST_CLAIMED = 1 << 20
"""Bytes of one frame that a program may send."""
_READ_BYTES = 1 << 16


class Subject:
    """A program's process as its keeper sees it: an id, and a line over which it makes claims."""

    def __init__(self, pid: int, line: socket.socket, baseline: int | None = None) -> None:
        self.pid = pid
        self.line = line
        line.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.ended = os.pidfd_open(pid)
        self.baseline = usage.resident_bytes(pid) if baseline is None else baseline
        """Bytes of memory it was born with, which it shares with the process it comes from."""

    def tell(self, kind: bytes, payload: bytes = b"") -> None:
        """Say something to it, waiting until it has been taken."""
        self.line.setblocking(True)
        wire.send(self.line.fileno(), kind, payload)

    def hear(self) -> tuple[bytes, int]:
        """Some of what was said over its line, and by which process: a fork of it has it, too.

        Raises:
            BlockingIOError: nothing for now.
            ConnectionResetError: nobody has the other end any more.
        """
        return wire.hear(self.line, _READ_BYTES)


class Watch:
    """Looks after a running program until it has come to its end, or has to."""

    def __init__(
        self,
        control: int,
        setup: Mapping[str, Any],
        limits: Mapping[str, Any],
        bystanders: Collection[int] = (),
    ) -> None:
        self._control = control
        self._setup = setup
        self.limits = limits
        self._bystanders = bystanders
        """Processes that are there and are not the program's."""
        self._inbox = wire.Inbox(_MOST_CLAIMED)
        self.stopped = ""
        """Who stopped it, if anyone: ``host``, or the limit that it passed."""
        self.finished: int | None = None
        """Its exit status, when it has said that it is at its end."""
        self.threads = 0
        """How many threads it leaves running, when it is a session's."""
        self.claims: dict[bytes, bytes] = {}
        self.artifact_seconds: float = limits["artifact_seconds"]

    def until_over(self, subject: Subject) -> None:
        """Return when the program says that it has finished, has ended, or must be ended."""
        subject.line.setblocking(False)
        poll = select.poll()
        line = subject.line.fileno()
        for fd in (subject.ended, line, self._control):
            poll.register(fd, select.POLLIN)
        meter = usage.Meter(
            self.limits,
            subject.pid,
            subject.baseline,
            shares_network=self._setup["allow_network"] or not self._setup["has_namespaces"],
            bystanders=self._bystanders,
        )
        next_look = time.monotonic() + _TICK_MS / 1000
        while not self.stopped:
            ready = {fd for fd, _ in poll.poll(_TICK_MS)}
            if line in ready and not self._read_claims(subject):
                poll.unregister(line)
            if self._control in ready:
                self._obey()
            if self.finished is not None:
                return
            if subject.ended in ready:
                return
            if time.monotonic() >= next_look:
                reap_strangers(subject.pid)
                began = time.thread_time()
                self.stopped = self.stopped or meter.over()
                # Among many processes of others, or on a disk, looking takes its time.
                looked = 0.0 if os.getpid() == 1 else time.thread_time() - began
                next_look = time.monotonic() + max(_TICK_MS / 1000, _MOST_LOOKING * looked)

    def _obey(self) -> None:
        """The host has said stop, and how long reading artifacts may take; or it is gone."""
        kind, payload = wire.receive(self._control)
        if kind == wire.STOP:
            self.stopped = "host"
            self.artifact_seconds = min(self.artifact_seconds, int(payload) / 1000)
        elif kind == wire.FINISHED:
            self.finished = payload[0]

    def _read_claims(self, subject: Subject) -> bool:
        """Take some of what the program says of itself. False at its end.

        Once only: a program that writes for ever must not keep its keeper busy with reading.
        """
        try:
            data, sender = subject.hear()
        except (BlockingIOError, ConnectionResetError):
            return True
        if sender != subject.pid:
            return bool(data)  # of a process that it has made: not its own words
        for kind, payload in self._inbox.feed(data):
            if kind == wire.FINISHED and self.finished is None:
                self.finished, self.threads = (*payload[:2], 1, 0)[:2]
            elif kind in wire.CLAIMS and self.finished is None:
                self.claims[kind] = payload
        return bool(data)


class Run:
    """A program that has its process to itself, and gets it from the host directly."""

    def __init__(
        self,
        control: int,
        setup: Mapping[str, Any],
        inputs: places.Inputs,
        subject: Subject,
        header: Mapping[str, Any],
    ) -> None:
        self._control = control
        self._setup = setup
        self._inputs = inputs
        self._subject = subject
        self._header = header

    def to_the_end(self) -> None:
        """Make way for it, watch it, end it, report."""
        limits = self._header["limits"]
        self._inputs.place(self._header["inputs"])
        fit_shared_memory(self._setup, limits)
        wire.send(self._control, wire.STARTED)
        watch = Watch(self._control, self._setup, limits)
        watch.until_over(self._subject)
        wire.send_bytes(self._control, report(watch, _end_everything(self._subject, watch)))
        collector = artifacts.Collector(
            self._control, limits, watch.artifact_seconds, self._inputs.seen
        )
        collector.send_all(places.workspace())
        wire.send(self._control, wire.DONE)


def fit_shared_memory(setup: Mapping[str, Any], limits: Mapping[str, Any]) -> None:
    """Shared memory may be as large as all memory: a program that may have more gets more there."""
    if not setup["has_namespaces"]:
        return
    if limits["memory_bytes"] != setup["shared_bytes"]:
        size = limits["memory_bytes"]
        spaces.resize_private(places.SHARED_MEMORY, size, places.inodes(setup))


def report(watch: Watch, ended: str) -> bytes:
    """Frames that tell how the program ended, then what it says of itself."""
    frames = [wire.frame(kind, payload) for kind, payload in watch.claims.items()]
    return wire.frame(wire.ENDED, ended.encode()) + b"".join(frames)


def kill_all() -> None:
    """Kill every process in the namespace but this one, or every descendant where there is none.

    Raises:
        OSError: others would be killed, too.
    """
    if os.getpid() != 1 and kernel.may_signal(os.getppid()):
        raise OSError("signals are not held back: nothing is killed")
    with suppress(ProcessLookupError):
        os.kill(-1, 9)


def reap_strangers(*ours: int) -> None:
    """Collect orphans, but leave the program itself for the end."""
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or found.si_pid in ours:
            return
        os.waitpid(found.si_pid, 0)


def _end_everything(subject: Subject, watch: Watch) -> str:
    """Kill and reap all that is left. Returns what the ``ENDED`` frame says."""
    status = 0
    while True:
        kill_all()
        try:
            pid, its_status = os.waitpid(-1, 0)
        except ChildProcessError:
            break
        if pid == subject.pid:
            status = its_status
    if watch.finished is not None:
        status = watch.finished << 8  # it had come to its end; that it was killed then is our doing
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_us = int((used.ru_utime + used.ru_stime) * 1_000_000)
    return f"{status} {watch.stopped or '-'} {cpu_us}"
