"""A process that has imported the whole house and forks for each command, which then starts at once.

What a forked command does is what one that was started does: its own process with its own
arguments, environment, folder and streams. Only what a start itself does is not repeated, which is
a second and a half of imports; what a command imports is tested with commands that were started.
"""

from __future__ import annotations

import atexit
import functools
import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Any, NoReturn, TextIO

_STREAMS = 3
_MOST_BYTES = 1 << 20
_WORD = 4
_MOST_DESCRIPTORS = 256


@functools.cache
def _server() -> socket.socket:
    """The way to the forking process, one for each test process, with which it ends.

    It is nobody's child: tests count what is left below them.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", "tests.warm", str(theirs.fileno())]
        root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        subprocess.run(command, pass_fds=[theirs.fileno()], cwd=root, check=True)
    return ours


class Forked:
    """A command that runs in the folder of this process."""

    def __init__(
        self,
        arguments: Sequence[str],
        streams: Sequence[IO[bytes]],
        environment: Mapping[str, str],
    ) -> None:
        self._told, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        said = json.dumps([list(arguments), os.getcwd(), dict(environment)]).encode()
        with theirs:
            socket.send_fds(_server(), [said], [each.fileno() for each in (*streams, theirs)])
        self._pid = self._hear()

    def wait(self, timeout_s: float) -> int:
        """Its exit status, as ``subprocess`` tells it; after so many seconds it is killed."""
        with self._told:
            self._told.settimeout(timeout_s)
            try:
                return self._hear()
            except TimeoutError:
                os.kill(self._pid, signal.SIGKILL)
                raise

    def _hear(self) -> int:
        said = self._told.recv(_WORD)
        assert said, "the process that forks for commands has ended"
        return int.from_bytes(said, "little", signed=True)


def _import_everything() -> None:
    import importlib
    import pkgutil

    import backend

    for module in pkgutil.walk_packages(backend.__path__, "backend."):
        if "__main__" not in module.name and ".sandbox.inside" not in module.name:
            importlib.import_module(module.name)


class _Server:
    """Forks when it is asked to, and tells how what was forked has ended."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, tuple[int, socket.socket]] = {}
        """Descriptor that tells of its end -> process id, and whom to tell."""
        self._ready = selectors.DefaultSelector()
        self._ready.register(control, selectors.EVENT_READ)

    def serve(self) -> None:
        """Until the other end is closed."""
        while True:
            for key, _ in self._ready.select():
                if key.fd in self._children:
                    self._bury(key.fd)
                    continue
                said, fds, _, _ = socket.recv_fds(self._control, _MOST_BYTES, _STREAMS + 1)
                if not said:
                    return
                self._fork(said, fds)

    def _fork(self, said: bytes, fds: list[int]) -> None:
        pid = os.fork()
        if pid == 0:
            self._let_go()
            _become(json.loads(said), fds)
        told = socket.socket(fileno=fds.pop())
        _tell(told, pid)
        for fd in fds:
            os.close(fd)
        ended = os.pidfd_open(pid)
        self._children[ended] = pid, told
        self._ready.register(ended, selectors.EVENT_READ)

    def _bury(self, ended: int) -> None:
        pid, told = self._children.pop(ended)
        self._ready.unregister(ended)
        os.close(ended)
        with told:
            _tell(told, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    def _let_go(self) -> None:
        self._ready.close()
        for _, told in self._children.values():
            told.close()
        self._control.close()


def _tell(told: socket.socket, number: int) -> None:
    with suppress(BrokenPipeError):  # whoever asked has gone
        told.send(number.to_bytes(_WORD, "little", signed=True))


def _become(said: tuple[list[str], str, dict[str, str]], fds: Sequence[int]) -> NoReturn:
    """Take over what the command is to have, and leave all that is the server's behind."""
    arguments, folder, environment = said
    for place, fd in enumerate(fds[:_STREAMS]):
        os.dup2(fd, place)
    os.closerange(_STREAMS, _MOST_DESCRIPTORS)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdin = sys.__stdin__ = _text(0, "r")
    sys.stdout = sys.__stdout__ = _text(1, "w")
    sys.stderr = sys.__stderr__ = _text(2, "w", errors="backslashreplace", buffering=1)
    sys.argv = ["python-coder", *arguments]
    raise _Command


def _text(fd: int, mode: str, **options: Any) -> TextIO:
    """A standard stream; what the server's own has read ahead is not the command's."""
    stream: TextIO = open(fd, mode, encoding="utf-8", closefd=False, **options)  # noqa: SIM115
    return stream


class _Command(BaseException):
    """The process is a command's from now on."""


def main() -> None:
    if os.fork():
        os._exit(0)
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the tests'
    _import_everything()
    gc.freeze()
    try:
        _Server(control).serve()
    except _Command:
        pass
    else:
        return
    _end(_status_of_command())


def _status_of_command() -> int:
    from backend.cli.app import run_command

    return run_command(sys.argv[1:])


def _end(status: int) -> NoReturn:
    """What the interpreter does at its end, but for taking thousands of modules apart."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(BrokenPipeError):
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
