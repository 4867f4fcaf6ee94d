"""Where a run's input files wait: a folder of its own, locked while we live, swept when we died.

    <execution_dir>/<random>/lock         held by the executor for as long as it is open
    <execution_dir>/<random>/runtime/     our own files for the inside
    <execution_dir>/<random>/runs/<id>/   copies of one run's inputs, removed with the run
    <execution_dir>/<random>/scratch/<id>/   what one run writes, where it has no mounts of its own

A lock dies with its process, so a folder whose lock can be taken belongs to nobody any more.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from backend.errors import NotFound, RequestError, SandboxUnavailable, TooLarge
from backend.sandbox.removal import remove_tree
from backend.sandbox.walls.limits import MIB

MAX_FILES = 500
MAX_FOLDERS = 1000
MAX_DEPTH = 16
_PREFIX = "run-"


def check_name(name: str) -> str:
    """A file's name inside, or an error that says what is wrong with it.

    Raises:
        RequestError: absolute, with ``..``, a control character, too long, or not encodable.
    """
    fault = _fault_of(name)
    if fault:
        raise RequestError(
            f"The file name {name!r} {fault}.",
            "Use a relative name with forward slashes, such as data/table.csv.",
            param="files",
        )
    return name


def _fault_of(name: str) -> str:
    parts = name.split("/")
    try:
        encoded = [part.encode() for part in parts]
    except UnicodeEncodeError:
        return "cannot be written as UTF-8"
    faults = {
        "is empty or has an empty part": not all(parts),
        "goes through '.' or '..'": any(part in (".", "..") for part in parts),
        "has a control character": any(ord(sign) < 32 or ord(sign) == 127 for sign in name),
        "has a part longer than 255 bytes": any(len(part) > 255 for part in encoded),
        f"lies more than {MAX_DEPTH} folders deep": len(parts) > MAX_DEPTH,
    }
    return next((fault for fault, is_so in faults.items() if is_so), "")


def check_names(names: Mapping[str, object]) -> None:
    """Every name by itself, and that no file is the folder of another.

    Raises:
        RequestError: see ``check_name``; or two names that cannot both exist; or too many.
    """
    if len(names) > MAX_FILES:
        raise RequestError(
            f"{len(names)} files were given.", f"Give at most {MAX_FILES}.", param="files"
        )
    folders: dict[str, str] = {}
    for name in names:
        parts = check_name(name).split("/")
        folders.update({"/".join(parts[:end]): name for end in range(1, len(parts))})
    for folder in folders.keys() & names.keys():
        raise RequestError(
            f"{folder!r} is a file, and {folders[folder]!r} needs it to be a folder.",
            "Rename one of them.",
            param="files",
        )
    if len(folders) > MAX_FOLDERS:
        raise RequestError(
            f"The files lie in {len(folders)} folders.",
            f"Use at most {MAX_FOLDERS}.",
            param="files",
        )


class Workspaces:
    """The executor's folder on the host, and the runs' folders in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def runtime(self) -> Path:
        """Our own files for the inside."""
        return self.folder / "runtime"

    @property
    def scratch(self) -> Path:
        """Where runs without mounts of their own write, a folder a run."""
        return self.folder / "scratch"

    @property
    def runs(self) -> Path:
        """Where inputs are staged, a folder a run."""
        return self.folder / "runs"

    @contextmanager
    def stage(
        self, files: Mapping[str, str | Path], max_file_size_mb: int
    ) -> Iterator[dict[str, str]]:
        """Copy a run's inputs; they are gone when the context ends.

        Yields:
            Name inside -> the copy's place below ``runs``, mode 0444. Copies are numbered, so that
            no name of a file ever has to exist on the host.

        Raises:
            NotFound: a path that does not exist.
            RequestError: a path that is no regular file or cannot be read.
            TooLarge: a file over ``max_file_size_mb`` MiB.
        """
        if not files:
            yield {}
            return
        place = Path(tempfile.mkdtemp(dir=self.runs))
        try:
            # For the keeper, who is nobody; nobody else gets as far as here.
            place.chmod(0o711)
            staged = {}
            for number, (name, path) in enumerate(files.items()):
                _copy(name, Path(path), place / str(number), max_file_size_mb)
                staged[name] = f"{place.name}/{number}"
            yield staged
        finally:
            shutil.rmtree(place, ignore_errors=True)


@contextmanager
def open_workspaces(execution_dir: Path) -> Iterator[Workspaces]:
    """Make a locked folder below ``execution_dir``, after sweeping what dead servers left.

    Raises:
        SandboxUnavailable: the folder cannot be made or written.
    """
    try:
        execution_dir.mkdir(parents=True, exist_ok=True)
        with _alone_in(root := execution_dir.resolve()):
            sweep(root)
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
            lock = _take_lock(folder)
        for name in ("runs", "runtime"):
            (folder / name).mkdir()
            (folder / name).chmod(0o711)
    except OSError as error:
        raise SandboxUnavailable(
            f"The execution folder {str(execution_dir)!r} cannot be used: {error.strerror}.",
            "Make it writable, or set PYTHON_CODE_EXECUTION_DIR to a folder that is.",
        ) from error
    try:
        yield Workspaces(folder)
    finally:
        remove_tree(folder)
        if lock is not None:
            os.close(lock)


def sweep(root: Path) -> int:
    """Remove the folders whose owners are dead. Returns how many."""
    removed = 0
    for folder in root.glob(f"{_PREFIX}*"):
        if folder.is_symlink() or not folder.is_dir():
            continue
        lock = _take_lock(folder)
        if lock is not None:
            remove_tree(folder)
            os.close(lock)
            removed += 1
    return removed


@contextmanager
def _alone_in(root: Path) -> Iterator[None]:
    """Keep other servers from sweeping a folder between its making and its locking."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _take_lock(folder: Path) -> int | None:
    """The lock of a folder, or None when someone alive holds it."""
    with suppress(FileNotFoundError):
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return None
        return lock
    return None


def _copy(name: str, path: Path, target: Path, max_file_size_mb: int) -> None:
    with _open_input(name, path) as source, open(target, "xb") as copy:
        limit = max_file_size_mb * MIB
        copied = 0
        while chunk := source.read(MIB):
            copied += len(chunk)
            if copied > limit:
                raise TooLarge(
                    f"The file {name!r} is larger than {max_file_size_mb} MB.",
                    "Send a smaller one, or raise PYTHON_CODE_MAX_FILE_SIZE.",
                    param="files",
                )
            copy.write(chunk)
    target.chmod(0o444)


def _open_input(name: str, path: Path) -> BinaryIO:
    try:
        # Without O_NONBLOCK the opening of a pipe would wait for a writer.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(
            f"The file given as {name!r} does not exist.", "Correct its path.", param="files"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RequestError(
            f"The file given as {name!r} cannot be read: {reason}.",
            "Give a file that this user may read.",
            param="files",
        ) from None
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        os.close(fd)
        kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise RequestError(
            f"What is given as {name!r} is {kind}.", "Name the file itself.", param="files"
        )
    return open(fd, "rb")
