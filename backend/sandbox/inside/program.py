"""Becomes the program: builds the last walls around itself, then runs the code as ``__main__``.

Everything from ``_execute`` on shares a process with untrusted code. Nothing that is said from
there is believed outside: the exit status, the limits and the artifacts are taken by the keeper.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from types import CodeType, ModuleType
from typing import Any, NoReturn

from . import figures, hooks, kernel, source

_CLAIMS = 3
_WRITABLE = ("/workspace", "/tmp", "/dev/shm")
_HIDDEN_VALUE = "<value>"
"""Where the last expression's value waits; no program can write such a name."""
_CANNOT_EXECUTE = 126
"""What shells exit with when a program cannot be started."""

# The program may put something else in their places.
_leave = os._exit
_write = os.write


def ignore_interrupts() -> None:
    """Python's own SIGINT handler away: for pid 1, a signal without a handler does not exist."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run(header: Mapping[str, Any], claims: int) -> NoReturn:
    """Wall this process in, then run the program; never returns."""
    status = 1
    try:
        walls = _wall_in(header, claims)
        os.write(_CLAIMS, "\n".join(walls).encode() + b"\0")
    except BaseException as error:
        os.write(claims, f"!{error}".encode() + b"\0")
        os._exit(1)
    try:
        if header["language"] == "bash":
            _become_bash(header)
        status = _execute(header, os.getpid())
    except BaseException as error:
        _complain(error)
    finally:
        _leave(status)


def _complain(error: BaseException) -> None:
    """Say in one line what went wrong on the way out, if that is possible at all."""
    with suppress(BaseException):
        _write(2, f"{type(error).__name__}: {error}\n".encode("utf-8", "backslashreplace"))


def _wall_in(header: Mapping[str, Any], claims: int) -> list[str]:
    if claims != _CLAIMS:
        os.dup2(claims, _CLAIMS, inheritable=False)
    kernel.close_from(_CLAIMS + 1)
    os.setpgid(0, 0)  # what is done to the program's group is not done to its keeper
    kernel.set_rlimits(header["limits"]["rlimits"])
    # The keeper counts this process's memory, and the program may look at itself.
    kernel.set_dumpable(True)
    kernel.drop_capabilities()
    walls = ["rlimits", "no capabilities", "no new privileges"]
    abi = kernel.landlock_abi()
    if abi:
        kernel.restrict_files(abi, _WRITABLE, allow_network=header["allow_network"])
        walls.append(f"landlock abi {abi}")
    kernel.filter_calls(header["filter"])
    walls.append("seccomp")
    return walls


def _become_bash(header: Mapping[str, Any]) -> NoReturn:
    script = source.write("/tmp/main.sh", header["code"])
    environment = dict(os.environ)
    environment.update(header["environment"])
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execve(header["shell"], ["bash", script, *header["argv"]], environment)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        _write(2, f"bash could not be started: {reason}\n".encode("utf-8", "backslashreplace"))
        _leave(_CANNOT_EXECUTE)


def _execute(header: Mapping[str, Any], own_pid: int) -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    name = source.name_for(header["inputs"])
    hooks.install({**figures.HOOKS, **source.hooks(name, header["code"])})
    module = _main_module(header, name)
    status = _run_code(header, module, name, own_pid)
    return _wind_up(status, own_pid)


def _main_module(header: Mapping[str, Any], name: str) -> ModuleType:
    sys.path[:] = ["/workspace", *sys.path]
    sys.argv = [os.path.basename(name), *header["argv"]]
    module = ModuleType("__main__")
    module.__file__ = name
    module.__dict__["__builtins__"] = sys.modules["builtins"]
    module.__dict__.update(header["variables"])
    sys.modules["__main__"] = module
    return module


def _run_code(header: Mapping[str, Any], module: ModuleType, name: str, own_pid: int) -> int:
    try:
        code = source.compile_program(header["code"], name, _HIDDEN_VALUE)
        _exec(code, module)
        if os.getpid() == own_pid:
            _claim_value(module, header["limits"]["value_bytes"])
    except SystemExit as leaving:
        return _exit_status(leaving.code)
    except BaseException as error:
        _show(error)
        return 1
    return 0


def _exec(code: CodeType, module: ModuleType) -> None:
    exec(code, module.__dict__)


def _claim_value(module: ModuleType, most: int) -> None:
    """Tell the keeper what the last expression was, as a notebook would show it."""
    value = module.__dict__.pop(_HIDDEN_VALUE, None)
    if value is None:
        return
    text = repr(value).encode("utf-8", "backslashreplace")
    rest = memoryview(text)[:most]
    while rest:
        rest = rest[os.write(_CLAIMS, rest) :]


def _exit_status(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return int.__and__(code, 0xFF)  # a subclass may have made something else of &
    sys.stdout.flush()
    print(code, file=sys.stderr)
    return 1


def _show(error: BaseException) -> None:
    """Print a traceback that begins with the program's own first line."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__name__") == __name__:
        trace = trace.tb_next
    if trace is not None and trace.tb_frame.f_globals is source.__dict__:
        trace = None  # the program could not be compiled: none of its lines has run
    error.__traceback__ = trace
    if sys.excepthook is not sys.__excepthook__:
        sys.excepthook(type(error), error, trace)
        return
    import traceback

    sys.stdout.flush()
    traceback.print_exception(error)


def _wind_up(status: int, own_pid: int) -> int:
    """What an interpreter does at its end, without taking every module apart."""
    for step in (_wait_for_threads, figures.save_open, _call_exit_functions):
        if os.getpid() != own_pid and step is figures.save_open:
            continue  # a fork of the program's own: the figures are its parent's
        try:
            step()
        except SystemExit:
            continue
        except BaseException as error:
            _show(error)
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except Exception:
            status = status or 120  # as the interpreter itself does
    kernel.flush_c_streams()
    return status


def _wait_for_threads() -> None:
    threading = sys.modules.get("threading")
    if threading is not None:
        threading._shutdown()


def _call_exit_functions() -> None:
    import atexit

    atexit._run_exitfuncs()
