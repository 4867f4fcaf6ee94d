"""What a keeper does to the processes of its namespace."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from . import usage

_STOP_SECONDS = 1.0


def send_signal(pid: int, number: int) -> None:
    """Nothing happens when it is gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def stop(pid: int) -> None:
    """Stop a process, and see that it has stopped."""
    send_signal(pid, signal.SIGSTOP)
    until = time.monotonic() + _STOP_SECONDS
    while usage.state(pid) not in ("T", "Z", "") and time.monotonic() < until:
        time.sleep(0.0005)


def wait_status(said: bytes) -> int:
    """How a process ended, as a process says that may not be ours any more."""
    status = int(said) if len(said) < 6 and said.isdigit() else -1
    is_one = os.WIFEXITED(status) or os.WIFSIGNALED(status)
    return status if 0 <= status <= 0xFFFF and is_one else signal.SIGKILL


def reap() -> None:
    """Collect whoever has ended; nobody here is asked later how."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
