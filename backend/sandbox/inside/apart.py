"""What keeps runs apart where there are no namespaces: the keeper's part of it.

A keeper cannot be pid 1 here. It adopts whatever its program leaves behind, and it may send signals
to its own descendants only, by a rule of the kernel: to kill all that it may is to kill its program.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from . import family, kept, kernel, places, run

_FOLDERS = ("workspace", "tmp")


def become_keeper(zygote: int) -> None:
    """Adopt, end with the zygote, and be unable to signal anyone but descendants.

    Raises:
        OSError: the kernel does not do it; nothing of it may be left out.
    """
    kernel.adopt_orphans()
    kernel.die_with_parent(signal.SIGTERM)
    if os.getppid() != zygote:
        raise OSError("the zygote has ended")
    kernel.forbid_new_privileges()
    kernel.scope_signals()
    if kernel.may_signal(zygote):
        raise OSError("landlock lets signals out")
    signal.signal(signal.SIGTERM, _end)


def end_all() -> None:
    """Kill every descendant, and see that all have ended."""
    run.kill_all()
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return
        run.kill_all()


def _end(*_: object) -> NoReturn:
    end_all()
    os._exit(0)


def settle(setup: Mapping[str, Any]) -> Copies:
    """Make the run's own folders, and let this process and its program find them."""
    folder = f"{setup['scratch']}/{os.getpid()}"
    os.mkdir(folder, 0o700)
    workspace, temporary = (f"{folder}/{name}" for name in _FOLDERS)
    for place in (workspace, temporary):
        os.mkdir(place, 0o700)
    os.environ[places.WORKSPACE_VARIABLE] = workspace
    os.environ.update(HOME=temporary, TMPDIR=temporary, MPLCONFIGDIR=f"{temporary}/.matplotlib")
    os.chdir(workspace)
    return Copies(setup["runs"])


def bound_processes(setup: Mapping[str, Any]) -> None:
    """What the kernel counts is all that the user has, here: the watchdog is the one that counts."""
    most = family.threads_of(os.getuid()) + 2 * setup["processes"]
    kernel.set_rlimits({"RLIMIT_NPROC": most})


def own_proc_files() -> list[str]:
    """What a program may read of /proc: about its own first process."""
    pid = os.getpid()
    names = ("cmdline", "comm", "fd", "maps", "stat", "statm", "status")
    return [f"/proc/{pid}/{name}" for name in names]


class Copies(places.Inputs):
    """Copies staged files to where the program looks for them; the copies are the program's own."""

    def __init__(self, staging: str) -> None:
        super().__init__(-1)
        self._staging = staging

    def place(self, inputs: Sequence[tuple[str, str]]) -> None:
        """Copy each ``(name, place below the staging folder)`` into the working directory."""
        for name, staged in inputs:
            target = f"{places.workspace()}/{name}"
            self._make_folders(name)
            shutil.copyfile(f"{self._staging}/{staged}", target)
            os.chmod(target, 0o444)
            self.seen[name] = kept.signature(os.stat(target))
