"""Running the real command in a process of its own, and seeing what it leaves behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

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
    process = start(
        *args,
        stdin=subprocess.PIPE if given is not None else subprocess.DEVNULL,
        env=dict(os.environ) | environment,
    )
    out, err = process.communicate(given, timeout=PATIENCE_S)
    done = Done(status=process.returncode, out=out.decode(), err=err.decode())
    assert "Traceback (most recent call last)" not in done.err or args[0] in ("run", "runs", "code")
    return done


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
