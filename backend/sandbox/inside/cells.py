"""The keeper of a session: programs one after another in one state, and states to go back to.

Before a program runs in what others left, the session's process forks, and its parent stays behind,
stopped: a point to go back to, when the program is killed or to be undone. Not after a program: most
sessions have no second one, and a fork costs more than a small program. Nor before the first one:
where nothing was left yet, a process that has never run one takes the other's place.
"""

from __future__ import annotations

import marshal
import os
import select
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from . import artifacts, kept, places, processes, run, spaces, usage, wire

_KEPT = "/opt/python-coder/kept"
_ANSWER_SECONDS = 3.0
"""For a process to fork. Nobody measures what it uses meanwhile."""
_END_SECONDS = 5.0
_MOST_SAID = 1 << 20
_MOST_DISCARDED = 64
"""Reads, of more than a socket holds."""
_POINTS = 2

HaveProgram = Callable[[], run.Subject]


@dataclass(frozen=True)
class _Point:
    """A stopped process, and the files that there were."""

    pid: int
    """0: there is none, because nothing had been run."""
    files: kept.Files
    is_whole: bool = True
    """The files can be put back."""


class _Lost(Exception):
    """There is no state any more to go on with."""


class Session:
    """One session, from its first program to its end."""

    def __init__(
        self,
        control: int,
        setup: Mapping[str, Any],
        inputs: places.Inputs,
        subject: run.Subject,
        header: Mapping[str, Any],
        have_program: HaveProgram,
    ) -> None:
        self._control = control
        self._setup = setup
        self._inputs = inputs
        self._active = subject
        self._token: bytes = header["token"]
        self._have_program = have_program
        self._is_due = False
        """A program has left something since the newest point."""
        self._is_ahead = False
        """It has threads, which a fork would lose: the newest point is not the state now."""
        self._shelf = _open_shelf(setup)
        self._points = [_Point(0, self._shelf.copy({}))]
        run.fit_shared_memory(setup, header["limits"])
        self._program = header["program"]
        subject.tell(wire.RUN, self._program)

    def to_the_end(self) -> None:
        """Serve until the host closes its end, or the state is lost."""
        try:
            wire.send(self._control, wire.DONE)
            while True:
                kind, payload = wire.receive(self._control)
                if kind == wire.RUN:
                    self._run(marshal.loads(payload))
                elif kind == wire.UNDO:
                    self._undo()
        except (_Lost, OSError) as lost:
            wire.send(self._control, wire.LOST, str(lost).encode("utf-8", "replace"))
            wire.send(self._control, wire.DONE)

    def _run(self, header: Mapping[str, Any]) -> None:
        if self._is_due and not self._is_ahead:
            self._keep_point()
        self._inputs.place(header["inputs"])
        is_cell = header["language"] == "python"
        subject = self._active if is_cell else self._have_program()
        if is_cell:
            processes.send_signal(subject.pid, signal.SIGCONT)
        subject.tell(wire.RUN, header["program"])
        wire.send(self._control, wire.STARTED)
        watch = run.Watch(self._control, self._setup, header["limits"], self._bystanders(subject))
        watch.until_over(subject)
        if is_cell and watch.finished is not None and not watch.stopped:
            status = watch.finished << 8
            self._end_all_but(self._active.pid)
        elif is_cell:
            return self._roll_back(watch)
        else:
            status = self._end_shell(subject)
        if watch.stopped:
            self._put_files_back()
            wire.send(self._control, wire.BACK)
            return self._report(watch, status, None)
        if watch.threads:
            wire.send(self._control, wire.STAYS, b"%d" % watch.threads)
        self._report(watch, status, self._points[-1].files)
        self._is_ahead = bool(watch.threads) if is_cell else self._is_ahead
        if self._is_ahead:
            processes.send_signal(self._active.pid, signal.SIGSTOP)
        self._is_due = True
        self._drop_points(1)

    def _bystanders(self, subject: run.Subject) -> set[int]:
        """Processes of the session that do not take part in running a program."""
        return {self._active.pid, *self._behind()} - {subject.pid}

    def _behind(self) -> set[int]:
        return {point.pid for point in self._points if point.pid}

    def _report(self, watch: run.Watch, status: int, known: kept.Files | None) -> None:
        """Tell how a program ended, and hand out the files that are new since ``known``, if any."""
        wire.send_bytes(self._control, run.report(watch, f"{status} {watch.stopped or '-'} 0"))
        if known is not None and artifacts.may_be_there(places.WORKSPACE):
            seen = {name: entry.signature for name, entry in known.items()}
            limits = watch.limits
            collector = artifacts.Collector(self._control, limits, watch.artifact_seconds, seen)
            collector.send_all(places.WORKSPACE)
        wire.send(self._control, wire.DONE)

    def _end_shell(self, subject: run.Subject) -> int:
        """End a bash program with all its processes. Returns its wait status."""
        # Nothing to one that has ended by itself.
        processes.send_signal(subject.pid, signal.SIGKILL)
        _, status = os.waitpid(subject.pid, 0)
        self._end_all_but(self._active.pid)
        os.close(subject.ended)
        subject.line.close()
        return status

    def _end_all_but(self, *spared: int) -> None:
        """End whatever a program has started; stop those that are spared, and the points.

        A program may have woken them, or go on after its end, in threads or by lying about it.
        """
        stopped = {*spared, *self._behind()}
        for pid in stopped:
            processes.stop(pid)
        until = time.monotonic() + _END_SECONDS
        while strangers := [
            pid for pid in usage.living() if pid not in {1, *stopped} and usage.is_running(pid)
        ]:
            for pid in strangers:
                processes.send_signal(pid, signal.SIGKILL)
            processes.reap()
            if time.monotonic() > until:
                raise _Lost("processes of its do not end")
            time.sleep(0.001)
        processes.reap()

    # --- going back

    def _keep_point(self) -> None:
        """Let the session's process stay behind as a point, and go on in a fork of it."""
        before = self._active
        processes.send_signal(before.pid, signal.SIGCONT)
        self._say(wire.frame(wire.KEEP))
        pid, _ = self._hear_kept(before.pid)
        self._go_on_with(pid, before)
        # What forks may have had something to do at that: it is of no program, and not watched.
        self._end_all_but(before.pid, self._active.pid)
        self._is_due = False
        self._drop_points(_POINTS - 1)
        try:
            files = self._shelf.copy(self._points[-1].files)
            self._points.append(_Point(before.pid, files))
        except kept.TooMuch as too_much:
            self._points.append(_Point(before.pid, too_much.files, is_whole=False))
            wire.send(self._control, wire.STAYS, b"files")
        processes.reap()

    def _drop_points(self, most: int) -> None:
        """Let go of the oldest, so that there are no more than ``most``."""
        while len(self._points) > most:
            dropped = self._points.pop(0)
            if dropped.pid:
                processes.send_signal(dropped.pid, signal.SIGKILL)
            self._shelf.forget(dropped.files, *(point.files for point in self._points))

    def _roll_back(self, watch: run.Watch) -> None:
        """Go on from the newest point, after a program whose process is not to go on."""
        try:
            status = self._wake(self._points[-1])
        except _Lost:
            said = run.report(watch, f"9 {watch.stopped or '-'} 0")
            wire.send_bytes(self._control, said)
            raise
        self._put_files_back()
        wire.send(self._control, wire.BACK)
        self._report(watch, status, None)

    def _undo(self) -> None:
        """Go back to the point before the last program."""
        left_something = self._is_due or self._is_ahead
        if len(self._points) < _POINTS and not left_something:
            return wire.send(self._control, wire.DONE)
        dropped = [] if left_something else [self._points.pop()]
        self._wake(self._points[-1])
        self._put_files_back()
        for point in dropped:
            self._shelf.forget(point.files, self._points[-1].files)
        wire.send(self._control, wire.BACK)
        return wire.send(self._control, wire.DONE)

    def _wake(self, point: _Point) -> int:
        """Go on in another fork of a point. Returns the wait status of the process before."""
        self._is_due = self._is_ahead = False
        if not point.pid:
            return self._begin_again()
        self._end_all_but()
        if not usage.is_running(point.pid):
            raise _Lost("the process that stayed behind to go back to has been killed")
        self._discard()
        processes.send_signal(point.pid, signal.SIGCONT)
        self._say(self._token)
        pid, status = self._hear_kept(point.pid)
        self._go_on_with(pid, self._active)
        self._end_all_but(pid)
        return status

    def _begin_again(self) -> int:
        """Go on in a process that has run nothing. Returns the wait status of the one before."""
        before, status = self._active, int(signal.SIGKILL)
        processes.send_signal(before.pid, signal.SIGKILL)
        with suppress(ChildProcessError):  # of a point: nobody asks how a fork of its ended
            _, status = os.waitpid(before.pid, 0)
        self._end_all_but()
        os.close(before.ended)
        before.line.close()
        self._active = self._have_program()
        self._active.tell(wire.RUN, self._program)
        return status

    def _go_on_with(self, pid: int, before: run.Subject) -> None:
        try:
            self._active = run.Subject(pid, before.line, before.baseline)
        except ProcessLookupError:
            raise _Lost("its process ended as it forked") from None
        os.close(before.ended)

    def _put_files_back(self) -> None:
        point = self._points[-1]
        if not point.is_whole:
            return wire.send(self._control, wire.STAYS, b"files")
        self._points[-1] = _Point(point.pid, self._shelf.put_back(point.files))

    def _say(self, data: bytes) -> None:
        """Write to whoever reads the line now, who may never do so."""
        line = self._active.line
        line.setblocking(True)
        line.settimeout(_ANSWER_SECONDS)
        try:
            line.sendall(data)
        except (TimeoutError, ConnectionError):
            raise _Lost("its process does not listen") from None

    def _hear_kept(self, behind: int) -> tuple[int, int]:
        """Who goes on where ``behind`` has stayed, and how the one before ended."""
        known = {behind, *self._behind()}
        self._active.line.setblocking(False)
        poll = select.poll()
        poll.register(self._active.line, select.POLLIN)
        inbox = wire.Inbox(_MOST_SAID)
        until = time.monotonic() + _ANSWER_SECONDS
        while (left := until - time.monotonic()) > 0:
            if not poll.poll(left * 1000):
                break
            data, sender = self._hear()
            for kind, payload in inbox.feed(data):
                if kind == wire.KEPT and sender not in known:
                    status = payload.removeprefix(b"%d " % sender)
                    if status != payload:
                        return sender, processes.wait_status(status)
        raise _Lost("its process does not answer")

    def _hear(self) -> tuple[bytes, int]:
        try:
            data, sender = self._active.hear()
        except BlockingIOError:
            return b"", 0
        except ConnectionResetError:
            data, sender = b"", 0
        if not data:
            raise _Lost("its process has closed the line")
        return data, sender

    def _discard(self) -> None:
        """Forget what was said by who is no more."""
        self._active.line.setblocking(False)
        for _ in range(_MOST_DISCARDED):
            if not self._hear()[0]:
                return


def _open_shelf(setup: Mapping[str, Any]) -> kept.Shelf:
    most = 2 * setup["disk_bytes"]
    spaces.mount_private(_KEPT, most, places.inodes(setup))
    shelf = os.open(_KEPT, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    spaces.hide(_KEPT)
    return kept.Shelf(places.WORKSPACE, shelf, setup["disk_bytes"])
