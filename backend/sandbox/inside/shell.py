"""Becomes a Bash program, which has been read to its end before any of it runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NoReturn

from . import source
from .places import workspace

_CANNOT_EXECUTE = 126
"""What shells exit with when a program cannot be started."""
_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ)
"""Python ignores them; a shell's commands are to die of them."""
_REMOVED = 'command -p rm -f -- "$0"; '
"""Before its first line: Bash has it open by then, and nobody who lists the files finds it."""
_MOST_NAMES = 1000

# The program may put something else in their places.
_leave, _write = os._exit, os.write


def become(header: Mapping[str, Any]) -> NoReturn:
    """Replace this process by Bash; never returns.

    The script lies in the working directory, because scripts look for their files beside
    themselves. One that is no Bash ends with status 2 and what Bash says of it, and nothing of it
    has run then.
    """
    environment = {**os.environ, **header["environment"]}
    code = header["code"].replace("\r\n", "\n")
    path = ""
    try:
        path = _new_script()
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        source.write(path, code)
        status = _read_through(header["shell"], path, "extglob" in code, environment)
        if status:
            os.unlink(path)
            _leave(status)
        source.write(path, _REMOVED + code)
        os.execve(header["shell"], ["bash", path, *header["argv"]], environment)
    except (OSError, ValueError) as error:
        with suppress(OSError):
            os.unlink(path)
        reason = getattr(error, "strerror", None) or error
        _write(2, f"bash could not be started: {reason}\n".encode("utf-8", "backslashreplace"))
    _leave(_CANNOT_EXECUTE)


def _new_script() -> str:
    """A new file in the working directory, under a name that no other file has."""
    names = ("main", "__main__", *(f"__main{number}__" for number in range(_MOST_NAMES)))
    for name in names:
        path = f"{workspace()}/{name}.sh"
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o700))
            return path
    raise FileExistsError("every name is taken")


def _read_through(shell: str, path: str, extended: bool, environment: Mapping[str, str]) -> int:
    """The status of a Bash that reads the whole script and runs nothing of it."""
    # The script itself may switch these patterns on, which it is not run to do.
    options = ["-O", "extglob"] if extended else []
    argv = ["bash", "-n", *options, path]
    variables = {name: text for name, text in environment.items() if name != "BASH_ENV"}
    _, status = os.waitpid(os.posix_spawn(shell, argv, variables), 0)
    return max(0, os.waitstatus_to_exitcode(status))
