"""The first process of a run's own namespaces: small, trusted, out of reach for the program it keeps.

It mounts what is private to the run, forks the program's process, and waits with it for one program
to come. While that runs it watches what its processes use; when it ends or the host says stop, it
kills whatever is left, hands out the artifacts and reports. As pid 1 it takes everything with it
when it goes.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from . import apart, cells, kernel, program, rehearsal, run, spaces, speed, wire
from .blas import SetThreads
from .places import RUNS, WORKSPACE, Inputs, mount_private_places

_CONTROL = 3
_LINE = 4
_CLEAR = 64
"""Above this, no descriptor that is moved about is in another's way."""


def serve(
    setup: Mapping[str, Any],
    threads: Sequence[SetThreads],
    control: int,
    stdout: int,
    stderr: int,
    line: int,
) -> NoReturn:
    """Live as the keeper of one program, or of one session's; then exit."""
    is_alone = not setup["has_namespaces"]
    may_kill = False
    try:
        _settle(control, stdout, stderr, line)
        if is_alone:
            apart.become_keeper(setup["zygote"])
            may_kill = True
        _Keeper(setup, threads).keep()
    except wire.Gone:
        pass
    except BaseException as error:
        _report(f"{type(error).__name__}: {error}")
    finally:
        try:
            if may_kill:
                apart.end_all()
        finally:
            os._exit(0)


def _report(text: str) -> None:
    try:
        wire.send(_CONTROL, wire.FAILED, text.encode("utf-8", "backslashreplace"))
    except wire.Gone:
        return


def _settle(control: int, stdout: int, stderr: int, line: int) -> None:
    """Give the four descriptors their places, and close all others."""
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD, _CLEAR) for fd in (stdout, stderr, control, line)]
    for place, fd in zip((1, 2, _CONTROL, _LINE), moved, strict=True):
        os.dup2(fd, place, inheritable=place < _CONTROL)
    kernel.close_from(_LINE + 1)


class _Keeper:
    """One life: born, parked, used, gone."""

    def __init__(self, setup: Mapping[str, Any], threads: Sequence[SetThreads]) -> None:
        self._setup = setup
        self._threads = threads
        self._walls: list[str] = []

    def keep(self) -> None:
        has_namespaces = self._setup["has_namespaces"]
        inputs = _settle_in(self._setup) if has_namespaces else apart.settle(self._setup)
        wire.send(_CONTROL, wire.HELLO)
        wire.receive(_CONTROL)
        if self._setup["has_cgroup"] and has_namespaces:
            spaces.leave_cgroup_view()
        kernel.set_dumpable(False)
        subject = self._have_program()
        if self._setup["rehearses"]:
            rehearsal.keep()
        # Woken together with its program, it is not to take a processor away from it.
        speed.schedule(os.SCHED_BATCH, speed.KEEPER_TURN_NS)
        wire.send(_CONTROL, wire.READY, "\n".join([*_standing(), *self._walls]).encode())
        header = wire.receive_values(_CONTROL, wire.RUN)
        if header["is_session"]:
            cells.Session(
                _CONTROL, self._setup, inputs, subject, header, self._have_program
            ).to_the_end()
        else:
            run.Run(_CONTROL, self._setup, inputs, subject, header).to_the_end()

    def _have_program(self) -> run.Subject:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            program.park(self._setup, self._threads, theirs.detach(), _LINE)
        theirs.close()
        kind, said = wire.receive(ours.fileno())
        if kind == wire.FAILED:
            raise OSError(said.decode("utf-8", "replace"))
        self._walls = said.decode().splitlines()
        return run.Subject(pid, ours)


def _settle_in(setup: Mapping[str, Any]) -> Inputs:
    """Mount what is private to the run, and hide what is not the program's."""
    kernel.set_dumpable(True)  # else the maps belong to root and cannot be written
    spaces.map_user()
    mount_private_places(setup)
    inputs = Inputs(spaces.hide(RUNS))
    spaces.mount_proc()
    os.chdir(WORKSPACE)
    return inputs


def _standing() -> list[str]:
    names = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
    lines = [f"{name}={os.readlink(f'/proc/self/ns/{name}')}" for name in names]
    return [*lines, f"uid={os.getuid()}"]
