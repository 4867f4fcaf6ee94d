"""The folder of installed packages: programs see it read-only, and it grows in whole steps.

    <data_dir>/packages/<abi>-<interpreter>/lock       held by whoever installs
    <data_dir>/packages/<abi>-<interpreter>/staging-*  what is being installed; nobody imports it
    <data_dir>/packages/<abi>-<interpreter>/shown/N    what was installed, as of the Nth time
    <data_dir>/packages/<abi>-<interpreter>/shown/current -> N

Programs are shown ``shown`` and import from ``current``: one rename puts another folder there for
all of them, also for those that run. A folder holds all that the one before it held, the files
themselves being the same, so nothing that a program has begun to import goes away.
"""

from __future__ import annotations

import fcntl
import filecmp
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from backend.config.install_list import normalised
from backend.errors import SandboxUnavailable
from backend.sandbox.packages.names import import_names
from backend.sandbox.removal import remove_tree
from backend.sandbox.walls.bubblewrap import CURRENT
from backend.sandbox.walls.interpreter import Interpreter

_STAGING = "staging-"
_NEXT = ".next"
_KEPT = 2
"""Steps, the last one counted: a program may know a file by the name it had before."""
_NEVER_SHOWN = re.compile(r"bin|.*\.pth|.*\.egg-link|(?:site|user)customize\.py", re.IGNORECASE)
"""Scripts, and what a Python would run at its start if the folder were a site's."""


class Conflict(Exception):
    """A package has a file that another one has already; nothing of it is shown."""


class Overlay:
    """One interpreter's folder of installed packages. Its methods block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def opened(cls, data_dir: Path, interpreter: Interpreter) -> Overlay:
        """The folder for an interpreter, made where it is not there yet.

        Raises:
            SandboxUnavailable: it cannot be made.
        """
        overlay = cls(folder_for(data_dir, interpreter))
        try:
            overlay.shown.mkdir(parents=True, exist_ok=True)
            # Programs are nobody where the host's root made it.
            overlay.shown.chmod(0o755)
            if not overlay.current.is_dir():
                overlay._begin()
        except OSError as error:
            raise SandboxUnavailable(
                f"The folder for packages {str(overlay.shown)!r} cannot be used: {error.strerror}.",
                "Make it writable, set PYTHON_CODER_DATA_DIR to a folder that is, or unset "
                "PYTHON_CODE_ALLOW_INSTALL.",
            ) from error
        return overlay

    @property
    def shown(self) -> Path:
        """What programs see."""
        return self._folder / "shown"

    @property
    def current(self) -> Path:
        """What they import from."""
        return self.shown / CURRENT

    def names(self) -> frozenset[str]:
        """The modules and packages that can be imported from it."""
        return import_names([self.current])

    def distributions(self) -> Mapping[str, str]:
        """What is installed in it: normalised name -> version."""
        return distributions_in([self.current])

    def size(self) -> int:
        """Bytes of everything that can be imported."""
        return tree_size(self.current)

    def try_lock(self) -> int | None:
        """The right to install, as a descriptor to be closed; None while someone else has it.

        The kernel takes it back from a process that has died.
        """
        fd = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        return fd

    def new_staging(self) -> Path:
        """An empty folder to install into. Only for who has the lock."""
        return Path(tempfile.mkdtemp(prefix=_STAGING, dir=self._folder))

    def sweep(self) -> None:
        """Remove what installations that were cut short left behind. Only for who has the lock."""
        for left in self._folder.glob(f"{_STAGING}*"):
            remove_tree(left)
        with suppress(OSError):
            (self.shown / _NEXT).unlink()
        now = self._number()
        for step in self.shown.iterdir():
            if step.name.isdigit() and not now - _KEPT < int(step.name) <= now:
                remove_tree(step)

    def publish(self, staging: Path, parts: list[Path]) -> None:
        """Show what lies in ``parts``, with all that is shown already. Only for who has the lock.

        Args:
            staging: the folder to put it together in.
            parts: folders of packages, cleaned.

        Raises:
            Conflict: one of them would change a file of another.
        """
        whole = staging / "whole"
        whole.mkdir()
        for part in (self.current.resolve(), *parts):
            _merge(part, whole)
        _open_to_all(whole)
        number = self._number() + 1
        # Importers tell by this time that a folder has changed.
        changed_at = max(whole.stat().st_mtime_ns, self.current.stat().st_mtime_ns + 10**9)
        os.utime(whole, ns=(changed_at, changed_at))
        whole.rename(self.shown / str(number))
        self._point_at(number)

    def _begin(self) -> None:
        number = max(
            (int(step.name) for step in self.shown.iterdir() if step.name.isdigit()), default=-1
        )
        if number < 0:
            number = 0
            (self.shown / "0").mkdir(exist_ok=True)
            (self.shown / "0").chmod(0o755)
        with suppress(FileExistsError):
            (self.shown / CURRENT).symlink_to(str(number))

    def _number(self) -> int:
        return int(os.readlink(self.current))

    def _point_at(self, number: int) -> None:
        following = self.shown / _NEXT
        following.symlink_to(str(number))
        following.rename(self.current)


def folder_for(data_dir: Path, interpreter: Interpreter) -> Path:
    """Where an interpreter's packages are: its binary interface and its path name the folder."""
    path = hashlib.sha256(interpreter.executable.encode("utf-8", "surrogateescape")).hexdigest()
    abi = re.sub(r"[^\w.-]", "_", interpreter.abi) or "{}.{}".format(*interpreter.version)
    return data_dir.absolute() / "packages" / f"{abi}-{path[:12]}"


def distributions_in(folders: Iterable[str | Path]) -> Mapping[str, str]:
    """The distributions in folders of packages: normalised name -> version."""
    found: dict[str, str] = {}
    for each in metadata.distributions(path=[str(folder) for folder in folders]):
        # What an uninstallation left behind has no metadata; what there is may be no text.
        with suppress(TypeError, KeyError, ValueError, OSError, metadata.PackageNotFoundError):
            name, version = each.metadata["Name"], each.version
            if name and version:
                found.setdefault(normalised(name), version)
    return found


def clean(folder: Path) -> None:
    """Take out what no import needs and what might lead elsewhere: a package is foreign data."""
    for entry in list(folder.iterdir()):
        if _NEVER_SHOWN.fullmatch(entry.name):
            remove_tree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(place, name)
            mode = os.lstat(path).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                os.unlink(path)
        folders[:] = [name for name in folders if os.path.isdir(os.path.join(place, name))]


def tree_size(folder: Path) -> int:
    """Bytes of the files in a folder that may change meanwhile."""
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            with suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total


def _merge(source: Path, target: Path) -> None:
    """Put the files of one folder into another, as the same files where the disk allows it."""
    for place, _, files in os.walk(source):
        here = target / os.path.relpath(place, source)
        here.mkdir(exist_ok=True)
        for name in files:
            _put(Path(place, name), here / name)


def _put(file: Path, place: Path) -> None:
    if place.exists():
        if not filecmp.cmp(file, place, shallow=False):
            raise Conflict(place.name)
        return
    try:
        os.link(file, place)
    except OSError:
        shutil.copy2(file, place)


def _open_to_all(folder: Path) -> None:
    """Nobody may read it, in the literal sense; and nobody may write."""
    for place, _, files in os.walk(folder):
        os.chmod(place, 0o755)
        for name in files:
            path = os.path.join(place, name)
            os.chmod(path, 0o755 if os.stat(path).st_mode & 0o100 else 0o644)
