"""What a run has to itself in the file system, and how its inputs get there."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from typing import Any

from . import spaces, trees

WORKSPACE = "/workspace"
WORKSPACE_VARIABLE = "PYTHON_CODER_WORKSPACE"
"""Names the working directory where it cannot be in the usual place, for want of namespaces."""
SHARED_MEMORY = "/dev/shm"
WRITABLE = (WORKSPACE, "/tmp", SHARED_MEMORY)
RUNS = "/opt/python-coder/runs"
"""Where the host's staged inputs are to be seen: to keepers only."""
_BETWEEN_TWO_LOOKS = 10_000
"""Files that a program may have made before its keeper looks again."""


def workspace() -> str:
    """The program's working directory."""
    return os.environ.get(WORKSPACE_VARIABLE, WORKSPACE)


def temporary() -> str:
    """The program's folder for temporary files."""
    return os.environ["TMPDIR"] if WORKSPACE_VARIABLE in os.environ else "/tmp"


def mount_private_places(setup: Mapping[str, Any]) -> None:
    """Cover what the zygote wrote to with empty file systems of the run's own."""
    sizes = (setup["disk_bytes"], setup["disk_bytes"], setup["shared_bytes"])
    for place, size in zip(WRITABLE, sizes, strict=True):
        shields = [folder for folder in setup["shields"] if os.path.dirname(folder) == place]
        spaces.mount_private(place, size, inodes(setup), shields)


def inodes(setup: Mapping[str, Any]) -> int:
    """What the kernel allows at most: more than the limit, so that who passes it is told so."""
    return int(setup["inodes"]) + _BETWEEN_TWO_LOOKS


def is_input(path: str) -> bool:
    """It is not the program's own, but bound there."""
    return os.lstat(path).st_dev != os.lstat(WORKSPACE).st_dev


class Inputs:
    """Puts staged files where the program looks for them."""

    def __init__(self, staged: int) -> None:
        self._staged = staged
        """Descriptor of the folder of all runs' files, which nobody else reaches any more."""
        self.seen: dict[str, object] = {}
        """Name -> signature of inputs that could be taken for what the program has written."""

    def place(self, inputs: Sequence[tuple[str, str]]) -> None:
        """Bind each ``(name, place below the staging folder)`` into the working directory.

        They are read-only, and cannot be removed or replaced by the program. Whatever a session
        has in the place of one makes way for it; a file is covered.
        """
        for name, staged in inputs:
            target = f"{workspace()}/{name}"
            self._make_folders(name)
            self._make_way(target)
            if not os.path.lexists(target):
                os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
            spaces.bind(f"/proc/self/fd/{self._staged}/{staged}", target)

    def _make_way(self, target: str) -> None:
        if not os.path.lexists(target):
            return
        if is_input(target):
            spaces.unbind(target)  # its source may be gone, and then it cannot be covered
        elif not stat.S_ISREG(os.lstat(target).st_mode):
            trees.remove(target, WORKSPACE)

    def _make_folders(self, name: str) -> None:
        folder = workspace()
        for part in name.split("/")[:-1]:
            folder = f"{folder}/{part}"
            if os.path.islink(folder) or not os.path.isdir(folder):
                self._make_way(folder)
                os.mkdir(folder)
                # The program may write beside its inputs, in whichever folder they lie.
                os.chmod(folder, 0o1777)
