"""Becomes the program: builds the last walls around itself, waits for the code, then runs it."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from . import (
    apart,
    figures,
    hooks,
    kernel,
    line,
    notebook,
    places,
    rehearsal,
    script,
    shell,
    speed,
    wire,
)
from .blas import SetThreads

_KEEPER = 4
"""The descriptor of the line to the keeper, as long as it is not known whose the program is."""
_NICENESS = 5
"""Of programs: among a hundred that do nothing but fork, their keeper has to get its turns."""

# The program may put something else in their places.
_leave = os._exit
_write = os.write


def ignore_interrupts() -> None:
    """Python's own SIGINT handler away: for pid 1, a signal without a handler does not exist."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def prepare() -> None:
    """What every program needs to know of its libraries, before any of them is imported."""
    hooks.install(figures.HOOKS)


def park(
    setup: Mapping[str, Any], threads: Sequence[SetThreads], to_keeper: int, to_host: int
) -> NoReturn:
    """Wall this process in, wait for a program, become it; never returns.

    Args:
        setup: what is the same for every run.
        threads: what sets the number of threads of each library for linear algebra.
        to_keeper: descriptor over which a session's keeper sends programs.
        to_host: descriptor over which the host sends the one program of a run.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    tempfile = sys.modules.get("tempfile")
    if tempfile is not None:
        vars(tempfile)["tempdir"] = None  # the zygote may have looked for its own
    try:
        walls = _wall_in(setup, to_keeper, to_host)
        if setup["rehearses"]:
            rehearsal.play()
        rehearsal.reseed()
        if setup["overlay"]:
            # Not before: what lies there is anybody's code, and is found where nothing else is.
            sys.path.append(setup["overlay"])
        _use_all_processors(setup["threads"], threads)
        speed.schedule(os.SCHED_OTHER, speed.PROGRAM_TURN_NS)
        wire.send(line.NUMBER, wire.HELLO)
        wire.send(_KEEPER, wire.READY, "\n".join(walls).encode())
    except BaseException as error:
        with suppress(BaseException):
            text = f"{type(error).__name__}: {error}"
            wire.send(_KEEPER, wire.FAILED, text.encode("utf-8", "backslashreplace"))
        _leave(1)
    status = 1
    try:
        status = _become()
    except BaseException as error:
        _complain(error)
    finally:
        _leave(status)


def _become() -> int:
    try:
        out, header = _hear()
    except wire.Gone:
        return 1
    kernel.set_rlimits(header["rlimits"])
    if header["language"] == "bash":
        shell.become(header)
    if header["language"] == "session":
        notebook.serve(header, out)
    main = script.Main(header, out)
    status = main.run(header)
    if not main.is_a_fork:
        script.finish(out, status)
        out.rest()
    return status


def _hear() -> tuple[line.Line, dict[str, Any]]:
    """Wait for what to run; over which line it comes, that one is the program's line from then on."""
    poll = select.poll()
    for number in (line.NUMBER, _KEEPER):
        poll.register(number, select.POLLIN)
    if _KEEPER in dict(poll.poll()):
        os.dup2(_KEEPER, line.NUMBER, inheritable=False)
    os.close(_KEEPER)
    out = line.Line()
    return out, out.hear(wire.RUN)


def _complain(error: BaseException) -> None:
    """Say in one line what went wrong on the way out, if that is possible at all."""
    with suppress(BaseException):
        _write(2, f"{type(error).__name__}: {error}\n".encode("utf-8", "backslashreplace"))


def _wall_in(setup: Mapping[str, Any], to_keeper: int, to_host: int) -> list[str]:
    os.dup2(to_host, line.NUMBER, inheritable=False)
    os.dup2(to_keeper, _KEEPER, inheritable=False)
    kernel.close_from(_KEEPER + 1)
    os.nice(_NICENESS)
    os.setpgid(0, 0)  # what is done to the program's group is not done to its keeper
    # The keeper counts this process's memory, and the program may look at itself.
    kernel.set_dumpable(True)
    if not setup["has_namespaces"]:
        kernel.die_with_parent()  # the filter keeps the program from taking it back
        apart.bound_processes(setup)
    kernel.set_rlimits(setup["rlimits"])
    kernel.drop_capabilities()
    walls = ["rlimits", "no capabilities", "no new privileges"]
    abi = kernel.landlock_abi()
    if not setup["has_namespaces"]:
        kernel.confine_files(
            abi,
            readable=[*setup["readable"], *apart.own_proc_files()],
            devices=setup["devices"],
            writable=(places.workspace(), places.temporary()),
            allow_network=setup["allow_network"],
        )
        walls.append(f"landlock abi {abi}: own files, own signals")
    elif abi:
        kernel.restrict_files(abi, places.WRITABLE, allow_network=setup["allow_network"])
        walls.append(f"landlock abi {abi}")
    kernel.filter_calls(setup["filter"])
    walls.append("seccomp")
    return walls


def _use_all_processors(number: int, setters: Sequence[SetThreads]) -> None:
    """Now that it is walled in: threads that are there already would stay outside."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(number)
    if number > 1:
        for set_threads in setters:
            set_threads(number)
