"""Walls without namespaces, for machines that forbid them: tier C, which has to be asked for.

Programs see the host's file system and processes, and the kernel refuses them to open what is not
theirs. What opens nothing is not refused: whether a file is there, how large it is, who owns it.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from backend.errors import SandboxUnavailable
from backend.sandbox.walls.bubblewrap import CURRENT, Command, environment, python_command
from backend.sandbox.walls.interpreter import Interpreter

_SYS_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_VERSION = 1
_LEAST_ABI = 6
"""From this one on signals can be held back."""
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


@dataclass(frozen=True, kw_only=True)
class Landlocked:
    """What is the same for every run of an executor that has no namespaces."""

    interpreter: Interpreter
    runtime: Path
    """Our own files: the runner, the prepared fonts."""
    runs: Path
    """Where runs' inputs are staged; no program may read there."""
    scratch: Path
    """Where runs have their own folders, one each."""
    allow_network: bool
    packages: Path | None = None
    """The folder of installed packages, which may grow; None where there is none."""
    has_namespaces: ClassVar[bool] = False
    shields: ClassVar[list[str]] = []

    def command(self, *, control: int, options_fd: int, info_fd: int) -> Command:
        """The command for one zygote; see ``Walls.command``. The descriptors stay unused."""
        del options_fd, info_fd
        own = str(self.scratch)
        variables = environment(self.interpreter, str(self.runtime))
        variables.update(HOME=own, TMPDIR=own, MPLCONFIGDIR=f"{own}/.matplotlib")
        return Command(
            argv=python_command(self.interpreter, str(self.runtime), control),
            options=b"",
            environment=variables,
        )

    @property
    def setup(self) -> dict[str, object]:
        """What the zygote has to know besides."""
        shown = [source for source, _ in self.interpreter.binds]
        packages = [str(self.packages)] if self.packages else []
        return {
            "has_namespaces": False,
            "overlay": str(self.packages / CURRENT) if self.packages else "",
            "scratch": str(self.scratch),
            "runs": str(self.runs),
            "readable": [
                *shown,
                *packages,
                *(str(self.runtime / part) for part in ("runner", "fonts")),
            ],
            "devices": list(_DEVICES),
        }

    def require(self) -> None:
        """See that this machine has what it takes.

        Raises:
            SandboxUnavailable: it has not.
        """
        abi = landlock_abi()
        if abi < _LEAST_ABI:
            raise SandboxUnavailable(
                f"Tier C needs Landlock ABI {_LEAST_ABI}, and this kernel has "
                f"{f'ABI {abi}' if abi else 'no Landlock'}.",
                "Use a kernel >= 6.12 with 'landlock' in its lsm= list, or install bubblewrap and "
                "allow user namespaces.",
            )
        if os.geteuid() != 0:
            return
        packages = [str(self.packages)] if self.packages else []
        needed = [self.interpreter.executable, *self.interpreter.packages, str(self.runtime)]
        for path in (*needed, *packages):
            closed = _closed_to_others(path)
            if closed:
                raise SandboxUnavailable(
                    f"Programs run as nobody, who cannot reach {path!r}: {closed!r} is closed.",
                    "Put it elsewhere (PYTHON_CODE_INTERPRETER, PYTHON_CODE_EXECUTION_DIR, "
                    "PYTHON_CODER_DATA_DIR), or "
                    f"run: chmod o+x {closed}",
                )


def landlock_abi() -> int:
    """The version of Landlock this kernel has; 0 for none."""
    libc = ctypes.CDLL(None, use_errno=True)
    return max(0, int(libc.syscall(_SYS_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION)))


def _closed_to_others(path: str) -> str:
    """The first folder on the way that lets only its owner and group through; or ''."""
    real = Path(os.path.realpath(path))
    for folder in reversed(real.parents):
        if not folder.stat().st_mode & 0o001:
            return str(folder)
    return ""
