"""A session's end of the line to its keeper: runs one cell after another in the same state.

Asked to, between two cells, the process forks: the child goes on as the session, and the parent stays
behind as it is, a state to go back to: its keeper stops it. Woken, it forks again.
"""

from __future__ import annotations

import marshal
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NoReturn

from . import rehearsal, script, wire
from .line import Line
from .places import workspace

# The program may put something else in their places.
_fork, _leave, _pid, _wait = os.fork, os._exit, os.getpid, os.waitpid
_set_timer = signal.setitimer


def serve(header: Mapping[str, Any], to_keeper: Line) -> NoReturn:
    """Run what comes over the line, until it is closed."""
    main = script.Main(header, to_keeper)
    number = 0
    try:
        while True:
            kind, payload = to_keeper.hear_any()
            if kind == wire.RUN:
                number += 1
                _run(main, marshal.loads(payload), number, to_keeper)
            elif kind == wire.KEEP:
                _stay_behind(to_keeper, header["token"])
                main.own_pid = _pid()
    except wire.Gone:
        pass
    finally:
        _leave(0)


def _run(main: script.Main, header: Mapping[str, Any], number: int, to_keeper: Line) -> None:
    sys.argv = [sys.argv[0], *header["argv"]]
    status = main.execute(header, f"{workspace()}/cell_{number}.py")
    main.claim_outputs(header, status)
    main.claim_names(header)
    main.hand_out()
    status = script.flush(status)
    if main.is_a_fork:
        _leave(status)
    to_keeper.say(wire.FINISHED, bytes([status & 0xFF, min(_threads(), 0xFF)]))


def _stay_behind(to_keeper: Line, token: bytes) -> None:
    """Fork, and return in the child.

    Says ``KEPT``: who goes on, and how the child before this one ended.
    """
    ended = 0
    for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        _set_timer(timer, 0)  # who stays behind must not be woken by it
    _collect_children()
    while True:
        child = _fork()
        if child == 0:
            rehearsal.play_on()
            return to_keeper.say(wire.KEPT, b"%d %d" % (_pid(), ended))
        _, ended = _wait(child, 0)
        # Woken: the child is no more, and what was said to it last is not for us.
        to_keeper.skip(token)


def _collect_children() -> None:
    """Those that have ended would stay until we do, and count as processes as long."""
    with suppress(ChildProcessError):
        while _wait(-1, os.WNOHANG)[0]:
            pass


def _threads() -> int:
    """How many threads of Python's go on in the background."""
    threading = sys.modules.get("threading")
    return 0 if threading is None else len(threading._active) - 1
