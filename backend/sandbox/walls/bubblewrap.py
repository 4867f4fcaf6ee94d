"""The command line of bubblewrap: the outermost walls, and what is to be seen within them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from backend.sandbox.walls.interpreter import Interpreter
from backend.sandbox.walls.limits import MIB

WORKSPACE = "/workspace"
RUNNER = "/opt/python-coder"
RUNS = f"{RUNNER}/runs"
KEPT = f"{RUNNER}/kept"
"""Where a session's keeper keeps copies of files; empty for everyone else."""
PACKAGES = f"{RUNNER}/packages"
"""Where installed packages are to be seen; nothing looks there before a program is walled in."""
CURRENT = "current"
"""In a folder of installed packages, the link to what is on the path of programs."""
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_NOBODY = "65534"
_PRIVATE = (WORKSPACE, "/tmp", "/dev/shm")
_DATA = "/mnt/data"
"""Where models that were trained on other interpreters look for files and leave them."""
_SMALL = 64 * MIB
"""Bytes the zygote may leave in each private place; every program gets its own over it."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """How to start the walled zygote."""

    argv: list[str]
    """What is executed; the rest is read from a descriptor."""
    options: bytes
    """Zero-separated options, for the descriptor that ``--args`` names."""
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Walls:
    """What is the same for every run of an executor."""

    bubblewrap: str
    interpreter: Interpreter
    runtime: Path
    """Our own files for the inside: the runner, a few of /etc, the prepared fonts."""
    runs: Path
    """Where runs' inputs are staged, for keepers to pass on."""
    as_root: bool
    """Started by the real root: the mounts are made with its rights, and the zygote gives them
    up. Otherwise the mounts are made in a user namespace."""
    allow_network: bool
    packages: Path | None = None
    """The folder of installed packages, which may grow; None where there is none."""
    has_namespaces: ClassVar[bool] = True

    @property
    def setup(self) -> dict[str, Any]:
        """What the zygote has to know besides."""
        return {"has_namespaces": True, "overlay": f"{PACKAGES}/{CURRENT}" if self.packages else ""}

    def command(self, *, control: int, options_fd: int, info_fd: int) -> Command:
        """The command for one zygote.

        Args:
            control: descriptor of its control channel, which it inherits.
            options_fd: descriptor from which bubblewrap reads ``options``.
            info_fd: descriptor to which bubblewrap writes the zygote's process id.
        """
        options = [
            *self._namespaces(info_fd),
            *_devices(),
            *_private(),
            *self._system(),
            *(part for folder in self.shields for part in ("--remount-ro", folder)),
            "--remount-ro", "/dev",
            "--remount-ro", "/",
            "--chdir", WORKSPACE,
            *_set_variables(environment(self.interpreter, RUNNER)),
        ]  # fmt: skip
        return Command(
            argv=[
                self.bubblewrap,
                "--args",
                str(options_fd),
                "--",
                *python_command(self.interpreter, RUNNER, control),
            ],
            options=b"".join(os.fsencode(option) + b"\0" for option in options),
        )

    def _namespaces(self, info_fd: int) -> list[str]:
        options = [
            "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
            # Not --die-with-parent: killed at the wrong moment, bubblewrap leaves a process that
            # waits for it for ever. The zygote ends, and with it bubblewrap, when we are gone.
            "--as-pid-1", "--new-session",
            "--hostname", "sandbox",
            "--info-fd", str(info_fd),
        ]  # fmt: skip
        if not self.allow_network:
            options.append("--unshare-net")
        if self.as_root:
            options += ["--cap-drop", "ALL"]
            for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_SYS_ADMIN"):
                options += ["--cap-add", capability]
        else:
            options += ["--unshare-user", "--uid", _NOBODY, "--gid", _NOBODY]
        return options

    @property
    def shields(self) -> list[str]:
        """Folders in a private one through which a virtual environment there is reached.

        Each is a file system of its own, read-only in the end: were they the program's, it could
        put a folder of its own in the place of the packages.
        """
        shown = set(self.interpreter.places)
        firsts = {
            f"{place}/{target.removeprefix(place).split('/')[1]}"
            for target in shown
            for place in _PRIVATE
            if target.startswith(f"{place}/")
        }
        return sorted(firsts - shown)

    def _system(self) -> list[str]:
        options = []
        for folder in self.shields:
            options += ["--perms", "0755", "--tmpfs", folder]
        shown = self.interpreter.places
        for folder in [*_parents([*shown, f"{RUNNER}/runner", "/etc/passwd", _DATA]), KEPT]:
            # bubblewrap would make them unreadable for anyone but their owner.
            options += ["--perms", "0755", "--dir", folder]
        for source, target in self.interpreter.binds:
            options += ["--ro-bind", source, target]
        for link, place in self.interpreter.links:
            options += ["--symlink", link, place]
        for path in sorted((self.runtime / "etc").iterdir()):
            if not (self.allow_network and path.name == "hosts"):
                options += ["--ro-bind", str(path), f"/etc/{path.name}"]
        if self.allow_network and os.path.exists("/etc/hosts"):
            options += ["--ro-bind", "/etc/hosts", "/etc/hosts"]
        for part in ("runner", "fonts"):
            options += ["--ro-bind", str(self.runtime / part), f"{RUNNER}/{part}"]
        options += ["--ro-bind", str(self.runs), RUNS]
        options += ["--ro-bind", str(self.packages), PACKAGES] if self.packages else []
        if not any(Path(target).is_relative_to(_DATA) for target in shown):
            options += ["--symlink", WORKSPACE, _DATA]
        return options


def python_command(interpreter: Interpreter, ours: str, control: int) -> list[str]:
    """How the interpreter becomes a zygote.

    Args:
        interpreter: the one for programs.
        ours: the folder in which our own files are to be seen.
        control: descriptor of the zygote's control channel.
    """
    runner = f"{ours}/runner"
    start = (
        f"import sys;sys.path[:0]=[{runner!r}];from inside.zygote import main;"
        f"sys.path[:]=[p for p in sys.path if p not in ('',{runner!r})];main()"
    )
    # Python 3.10 does not know -P, and what it would leave in the path is taken out there. What was
    # printed before a kill must be out of the process by then: -u.
    safe_path = ["-P"] if interpreter.version >= (3, 11) else []
    options = [*safe_path, "-s", "-B", "-u", "-X", "utf8"]
    return [interpreter.executable, *options, "-c", start, str(control)]


def _devices() -> list[str]:
    options = ["--proc", "/proc", "--perms", "0755", "--tmpfs", "/dev"]
    for device in _DEVICES:
        options += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        options += ["--symlink", f"/proc/self/fd{target}", f"/dev/{name}"]
    return options


def _private() -> list[str]:
    options = []
    for place in _PRIVATE:
        options += ["--perms", "1777", "--size", str(_SMALL), "--tmpfs", place]
    return options


def _parents(paths: Sequence[str]) -> list[str]:
    folders = {str(folder) for path in paths for folder in PurePosixPath(path).parents}
    return sorted(folders - {"/"})


def environment(interpreter: Interpreter, ours: str) -> dict[str, str]:
    """All variables that a zygote has; ``ours`` is where our own files are to be seen."""
    variables = {
        "PATH": f"{os.path.dirname(interpreter.executable)}:/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp",
        "TMPDIR": "/tmp",
        "USER": "nobody",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": "/tmp/.matplotlib",
        "PYTHON_CODER_FONTS": f"{ours}/fonts",
        # One for the zygote, which forks; programs get theirs at their start.
        **dict.fromkeys(THREAD_VARIABLES, "1"),
        # As a power of two of cycles: its threads would spin for tens of milliseconds before they
        # sleep, on a processor that others wait for.
        "OPENBLAS_THREAD_TIMEOUT": "12",
        # Arrow's allocator would start a thread of its own at import.
        "JE_ARROW_MALLOC_CONF": "background_thread:false",
    }
    if interpreter.added_packages:
        variables["PYTHONPATH"] = ":".join(interpreter.added_packages)
    return variables


def _set_variables(variables: dict[str, str]) -> list[str]:
    return [part for name, value in variables.items() for part in ("--setenv", name, value)]
