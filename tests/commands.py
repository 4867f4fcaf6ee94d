"""Running the real command in a process of its own, and seeing what it leaves behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from tests.warm import Forked

needs_sandbox = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="install bubblewrap: apt-get install bubblewrap"
)
PATIENCE_S = 120
"""How long a test waits for something that should happen at once."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value

    @property
    def error(self) -> str:
        """The one line on stderr."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        return lines[0]


def start(*args: str | Path, **options: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "backend.cli", *map(str, args)]
    options = {"stdin": subprocess.DEVNULL, **options}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def run(*args: str | Path, stdin: str | bytes | None = None, **environment: str) -> Done:
    """Run ``python-coder`` with these arguments in the test's folder and environment."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    with ExitStack() as streams, ThreadPoolExecutor(3) as threads:
        reads, writes = _pipe(streams)
        if given is None:
            reads = streams.enter_context(open(os.devnull, "rb"))
        out, its_out = _pipe(streams)
        err, its_err = _pipe(streams)
        its = (reads, its_out, its_err)
        command = Forked([str(each) for each in args], its, dict(os.environ) | environment)
        for each in its:
            each.close()
        fed = threads.submit(_feed, writes, given or b"")
        said = [threads.submit(each.read) for each in (out, err)]
        status = command.wait(PATIENCE_S)
        fed.result()
        done = Done(status=status, out=said[0].result().decode(), err=said[1].result().decode())
    assert "Traceback (most recent call last)" not in done.err or args[0] in ("run", "runs", "code")
    return done


def _pipe(streams: ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    reads, writes = os.pipe()
    return streams.enter_context(open(reads, "rb")), streams.enter_context(open(writes, "wb"))


def _feed(stream: IO[bytes], data: bytes) -> None:
    with suppress(BrokenPipeError), stream:
        stream.write(data)


class Descendants:
    """Every process that was ever seen below one."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._seen: set[psutil.Process] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            try:
                self._seen.update(self._root.children(recursive=True))
            except psutil.NoSuchProcess:
                return

    def left(self) -> list[psutil.Process]:
        """Those that are still running."""
        self._over.set()
        self._thread.join()
        _, alive = psutil.wait_procs(self._seen, timeout=10)
        return alive

    @property
    def count(self) -> int:
        return len(self._seen)


def files_below(folder: Path) -> list[Path]:
    """But for the audit trail, which is meant to stay."""
    return sorted(
        path
        for path in folder.rglob("*")
        if not path.is_dir() and path.parent != folder / "data" / "audit"
    )
