"""The command line of bubblewrap: the outermost walls, and what is to be seen within them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from backend.sandbox.walls.interpreter import Interpreter
from backend.sandbox.walls.limits import MIB, Limits

WORKSPACE = "/workspace"
RUNNER = "/opt/python-coder"
_DEVICES = ("null", "zero", "full", "random", "urandom")
_NOBODY = "65534"
_PRIVATE = (WORKSPACE, "/tmp", "/dev/shm")
_DATA = "/mnt/data"
"""Where models that were trained on other interpreters look for files and leave them."""
_START = (
    f"import sys;sys.path.insert(0,'{RUNNER}/runner');"
    "from inside.keeper import main;sys.path.pop(0);main()"
)


@dataclass(frozen=True, kw_only=True)
class Command:
    """How to start one walled process."""

    argv: list[str]
    """What is executed; the rest is read from a descriptor."""
    options: bytes
    """Zero-separated options, for the descriptor that ``--args`` names."""


@dataclass(frozen=True, kw_only=True)
class Walls:
    """What is the same for every run of an executor."""

    bubblewrap: str
    interpreter: Interpreter
    runtime: Path
    """Our own files for the inside: the runner, a few of /etc, the prepared fonts."""
    as_root: bool
    """Started by the real root: the mounts are made with its rights, and the keeper gives them
    up. Otherwise the mounts are made in a user namespace."""
    allow_network: bool

    def command(
        self,
        *,
        limits: Limits,
        inputs: Mapping[str, Path],
        control: int,
        options_fd: int,
        info_fd: int,
    ) -> Command:
        """The command for one run.

        Args:
            limits: sizes of the private file systems.
            inputs: validated name inside -> staged file.
            control: descriptor of the keeper's control channel, which it inherits.
            options_fd: descriptor from which bubblewrap reads ``options``.
            info_fd: descriptor to which bubblewrap writes the keeper's process id.
        """
        options = [
            *self._namespaces(info_fd),
            *_devices(),
            *_private(limits),
            *self._system(),
            *_inputs(inputs),
            *(part for folder in self._shields() for part in ("--remount-ro", folder)),
            "--remount-ro", "/dev",
            "--remount-ro", "/",
            "--chdir", WORKSPACE,
            *_environment(self.interpreter),
        ]  # fmt: skip
        return Command(
            argv=[
                self.bubblewrap,
                "--args",
                str(options_fd),
                "--",
                self.interpreter.executable,
                "-P",
                "-s",
                "-B",
                # What was printed before a kill must be out of the process by then.
                "-u",
                "-X",
                "utf8",
                "-c",
                _START,
                str(control),
            ],
            options=b"".join(os.fsencode(option) + b"\0" for option in options),
        )

    def _namespaces(self, info_fd: int) -> list[str]:
        options = [
            "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
            # Not --die-with-parent: killed at the wrong moment, bubblewrap leaves a process that
            # waits for it for ever. The keeper ends, and with it bubblewrap, when we are gone.
            "--as-pid-1", "--new-session",
            "--hostname", "sandbox",
            "--info-fd", str(info_fd),
        ]  # fmt: skip
        if not self.allow_network:
            options.append("--unshare-net")
        if self.as_root:
            options += ["--cap-drop", "ALL"]
            for capability in ("CAP_SETUID", "CAP_SETGID"):
                options += ["--cap-add", capability]
        else:
            options += ["--unshare-user", "--uid", _NOBODY, "--gid", _NOBODY]
        return options

    def _shields(self) -> list[str]:
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
        for folder in self._shields():
            options += ["--perms", "0755", "--tmpfs", folder]
        shown = self.interpreter.places
        for folder in _parents([*shown, f"{RUNNER}/runner", "/etc/passwd", _DATA]):
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
        if not any(Path(target).is_relative_to(_DATA) for target in shown):
            options += ["--symlink", WORKSPACE, _DATA]
        return options


def _devices() -> list[str]:
    options = ["--proc", "/proc", "--perms", "0755", "--tmpfs", "/dev"]
    for device in _DEVICES:
        options += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        options += ["--symlink", f"/proc/self/fd{target}", f"/dev/{name}"]
    return options


def _private(limits: Limits) -> list[str]:
    sizes = (limits.disk_mb, limits.disk_mb, limits.memory_mb)
    options = []
    for place, megabytes in zip(_PRIVATE, sizes, strict=True):
        options += ["--perms", "1777", "--size", str(megabytes * MIB), "--tmpfs", place]
    return options


def _inputs(inputs: Mapping[str, Path]) -> list[str]:
    options: list[str] = []
    for folder in sorted({folder for name in inputs for folder in _folders_of(name)}):
        # The program may write beside its inputs, in whichever folder they lie.
        options += ["--perms", "1777", "--dir", f"{WORKSPACE}/{folder}"]
    for name, staged in inputs.items():
        options += ["--ro-bind", str(staged), f"{WORKSPACE}/{name}"]
    return options


def _parents(paths: Sequence[str]) -> list[str]:
    folders = {str(folder) for path in paths for folder in PurePosixPath(path).parents}
    return sorted(folders - {"/"})


def _folders_of(name: str) -> Sequence[str]:
    return [str(folder) for folder in PurePosixPath(name).parents if str(folder) != "."]


def _environment(interpreter: Interpreter) -> list[str]:
    # Each BLAS thread reserves buffers, and more threads than processors are slower.
    threads = str(min(os.cpu_count() or 1, 4))
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
        "PYTHON_CODER_FONTS": f"{RUNNER}/fonts",
        "OPENBLAS_NUM_THREADS": threads,
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "NUMEXPR_MAX_THREADS": threads,
    }
    if interpreter.added_packages:
        variables["PYTHONPATH"] = ":".join(interpreter.added_packages)
    return [part for name, value in variables.items() for part in ("--setenv", name, value)]
