"""What must not be reached, and tells when it was: files, listeners, a process, the packages."""

from __future__ import annotations

import hashlib
import os
import shutil
import site
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

import psutil

DISTRIBUTIONS = "/usr/bin:/usr/local/bin"
"""Where the interpreter of the distribution lies."""


class Canaries:
    """Reachable for the test's own process, all of them; ``untouched`` says that none was."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.secret = f"secret-{os.urandom(8).hex()}"
        self.folder = folder
        self.file = folder / "canary.txt"
        self.file.write_text(self.secret, encoding="utf-8")
        self.file.chmod(0o666)
        self.abstract = f"\0canary-{os.urandom(8).hex()}"
        self.path = folder / "canary.sock"
        self._listeners = {
            "ipv4": socket.create_server(("127.0.0.1", 0)),
            "udp": socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
            "abstract": socket.socket(socket.AF_UNIX),
            "path": socket.socket(socket.AF_UNIX),
        }
        with suppress(OSError):  # a machine without IPv6
            self._listeners["ipv6"] = socket.create_server(("::1", 0), family=socket.AF_INET6)
        self._listeners["udp"].bind(("127.0.0.1", 0))
        for name, address in (("abstract", self.abstract), ("path", str(self.path))):
            self._listeners[name].bind(address)
            self._listeners[name].listen()
        self.path.chmod(0o777)
        for listener in self._listeners.values():
            stack.enter_context(listener)
            listener.setblocking(False)
        self.process = _somebody_who_sleeps(stack)
        _let_interpreters_settle()
        self._before = self._state()

    def fill(self, code: str) -> str:
        """Put the canaries' addresses into a program."""
        ports = {
            name: self._listeners[name].getsockname()[1]
            for name in ("ipv4", "ipv6", "udp")
            if name in self._listeners
        }
        tokens = {
            "@FILE@": str(self.file),
            "@FOLDER@": str(self.folder),
            "@ABSTRACT@": self.abstract[1:],
            "@PATH@": str(self.path),
            "@PID@": str(self.process.pid),
            "@SERVER@": str(os.getpid()),
            "@PORT4@": str(ports["ipv4"]),
            "@PORT6@": str(ports.get("ipv6", 0)),
            "@UDP@": str(ports["udp"]),
        }
        for token, value in tokens.items():
            code = code.replace(token, value)
        return code

    def visits(self) -> list[str]:
        """Which listeners were reached since one last asked; forgets them."""
        return [name for name, listener in self._listeners.items() if _was_reached(listener)]

    def untouched(self) -> None:
        """Fail if anything was reached, read or changed."""
        assert self.visits() == []
        assert self._state() == self._before

    def _state(self) -> dict[str, object]:
        process = psutil.Process(self.process.pid)
        alive = process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
        return {
            "tree": checksum(self.folder),
            "process": (alive, process.nice(), process.cpu_affinity()),
            "packages": packages_stamp(),
        }


@contextmanager
def open_canaries(folder: Path) -> Iterator[Canaries]:
    with ExitStack() as stack:
        yield Canaries(folder, stack)


def _somebody_who_sleeps(stack: ExitStack) -> subprocess.Popen[bytes]:
    """A process of the very uid that programs have."""
    user = 65534 if os.getuid() == 0 else None
    process = subprocess.Popen(["sleep", "3600"], user=user, cwd="/", env={})
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


@cache
def _let_interpreters_settle() -> None:
    """Let what a machine's interpreters do with our packages at their start be done already.

    Start-up files of an interpreter may write to packages that it finds, once: those of a company
    that has its own authority add it to the list of certificates. Tests that start another
    interpreter with our packages would look like a program that changed them.
    """
    packages = ":".join(site.getsitepackages())
    ours = shutil.which("python3", path=f"{sys.base_exec_prefix}/bin")
    for python in filter(None, {ours, shutil.which("python3", path=DISTRIBUTIONS)}):
        subprocess.run([python, "-c", ""], env={"PYTHONPATH": packages}, check=True, timeout=60)


def _was_reached(listener: socket.socket) -> bool:
    with suppress(BlockingIOError):
        if listener.type == socket.SOCK_DGRAM:
            listener.recv(1)
        else:
            listener.accept()[0].close()
        return True
    return False


def checksum(folder: Path) -> str:
    """Names, modes and contents of a tree."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        digest.update(f"{path} {path.lstat().st_mode:o}".encode())
        if path.is_file() and not path.is_symlink():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def packages_stamp() -> str:
    """When and how each file of the interpreter's library and of the packages last changed.

    Not the compiled ones, which anyone makes who imports them.
    """
    digest = hashlib.sha256()
    for root in sorted({sysconfig.get_path("stdlib"), *site.getsitepackages()}):
        for folder, below, names in os.walk(root):
            below[:] = sorted(set(below) - {"__pycache__"})
            for name in sorted(names):
                found = os.lstat(os.path.join(folder, name))
                digest.update(
                    f"{folder} {name} {found.st_mode} {found.st_size} {found.st_mtime_ns}".encode()
                )
    return digest.hexdigest()
