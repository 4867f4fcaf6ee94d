"""Imports what programs need, once, and has a child for each of them, which finds it imported.

It is the first process inside, never runs anyone's code, holds no secret, and has one thread: a
child of a process with more may find locks that nobody will ever open.
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import socket
import sys
import time
from collections.abc import Iterable
from typing import Any, NoReturn

from . import blas, family, fonts, keeper, kernel, program, rehearsal, spaces, speed, wire

_DESCRIPTORS = 4
"""A child is born with a control channel, a stdout, a stderr and its program's line."""
_GOING_S = 2.0
"""For threads that libraries started while they were imported, and that end by themselves."""


def main() -> NoReturn:
    """Serve over the descriptor named in ``argv`` until it is closed; then exit."""
    control = int(sys.argv[1])
    try:
        _serve(control)
    except wire.Gone:
        pass
    except BaseException as error:
        _report(control, f"{type(error).__name__}: {error}")
    os._exit(0)


def _report(control: int, text: str) -> None:
    try:
        wire.send(control, wire.FAILED, text.encode("utf-8", "backslashreplace"))
    except wire.Gone:
        return


def _serve(control: int) -> None:
    program.ignore_interrupts()
    if os.getuid() == 0:
        # Another than the one that bubblewrap made and covered parts of: only where all of a /proc
        # is to be seen may a child have one of its own.
        if os.getpid() == 1:
            spaces.mount_proc(writable=True)
        kernel.drop_to_nobody()
    if os.getpid() == 1:
        kernel.die_with_parent()
    else:
        kernel.adopt_orphans()  # of keepers that were killed
    kernel.set_dumpable(False)
    speed.schedule(os.SCHED_BATCH, speed.ZYGOTE_TURN_NS)
    setup = wire.receive_values(control, wire.SETUP)
    program.prepare()
    imported = list(_import(setup["modules"], control))
    rehearsal.play_long()
    _stay_alone()
    for name, text in fonts.made_here():
        wire.send(control, wire.FONTS, f"{name}\n{text}".encode())
    gc.collect()
    gc.freeze()  # a collection in a child would touch, and so copy, every page
    gc.disable()
    speed.use_large_pages()
    facts = {"python": sys.version.split()[0], "imported": ",".join(imported)}
    wire.send(control, wire.IMPORTED, _lines(facts))
    _Nursery(control, setup).keep()


def _lines(facts: dict[str, str]) -> bytes:
    return "\n".join(f"{name}={value}" for name, value in facts.items()).encode()


def _import(modules: Iterable[str], control: int) -> Iterable[str]:
    """Import what is there; a package that is broken is told to whoever imports it himself."""
    for name in modules:
        if _is_alone(control):
            raise wire.Gone
        try:
            importlib.import_module(name)
        except Exception:
            continue
        yield name


def _is_alone(control: int) -> bool:
    """Whether the host has gone meanwhile."""
    poll = select.poll()
    poll.register(control, 0)
    return bool(poll.poll(0))


def _stay_alone() -> None:
    threads = os.listdir("/proc/self/task")
    last = time.monotonic() + _GOING_S
    while len(threads) > 1 and time.monotonic() < last:
        time.sleep(0.01)  # one that was joined is listed until the kernel has buried it
        threads = os.listdir("/proc/self/task")
    if len(threads) > 1:
        names = sorted(_name_of(thread) for thread in threads if int(thread) != os.getpid())
        raise RuntimeError(
            f"importing left {len(threads) - 1} threads running ({', '.join(names)}); take the "
            "module that starts them out of PYTHON_CODE_PREIMPORT"
        )


def _name_of(thread: str) -> str:
    with open(f"/proc/self/task/{thread}/comm", encoding="utf-8", errors="replace") as comm:
        return comm.read().strip()


class _Nursery:
    """Has children when asked to, and collects them when they have ended."""

    def __init__(self, control: int, setup: dict[str, Any]) -> None:
        self._control = socket.socket(fileno=control)
        self._setup = {**setup, "zygote": os.getpid()}
        self._children: dict[int, int] = {}
        """Descriptor that tells of its end -> process id."""
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._flags = spaces.NEW_USERS | spaces.NEW_PIDS | spaces.NEW_MOUNTS
        self._flags |= spaces.NEW_IPC | spaces.NEW_HOSTNAME
        if not setup["allow_network"]:
            self._flags |= spaces.NEW_NETWORK
        self._threads = blas.thread_setters()

    def keep(self) -> None:
        """Until the host closes its end."""
        while True:
            for fd, _ in self._poll.poll():
                if fd in self._children:
                    self._bury(fd)
                else:
                    self._bear()

    def _bury(self, fd: int) -> None:
        self._poll.unregister(fd)
        os.close(fd)
        _, status = os.waitpid(self._children.pop(fd), 0)
        if status and not self._setup["has_namespaces"]:
            family.end_all_but(*self._children.values())

    def _fork(self) -> int:
        if self._setup["has_namespaces"]:
            return spaces.clone(self._flags)
        return os.fork()

    def _bear(self) -> None:
        word, fds, _, _ = socket.recv_fds(self._control, 1, _DESCRIPTORS)
        if not word:
            raise wire.Gone
        try:
            child = self._fork()
        except OSError as error:
            _report(fds[0], str(error))
            child = -1
        if child == 0:
            keeper.serve({**self._setup, "rehearses": word != wire.HURRY}, self._threads, *fds)
        for fd in fds:
            os.close(fd)
        if child > 0:
            ended = os.pidfd_open(child)
            self._children[ended] = child
            self._poll.register(ended, select.POLLIN)
