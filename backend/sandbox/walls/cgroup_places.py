"""Where this process stands among the control groups, and what earlier ones of us left there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_OURS = re.compile(r"python-coder-(?:server-)?(?P<pid>[0-9]+)-(?P<start>[0-9]+)(?:-[0-9]+)?")
_OCTAL = re.compile(r"\\([0-7]{3})")
_NO_LONGER_RUNNING = ("Z", "X")


@dataclass(frozen=True, kw_only=True)
class Place:
    """A group of the hierarchy that counts memory."""

    version: Literal[1, 2]
    group: Path
    """Its folder, as seen from here."""


def own_place() -> Place | None:
    """The group this process is in; None where no hierarchy that counts memory is to be seen."""
    try:
        membership = Path("/proc/self/cgroup").read_text(encoding="utf-8")
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    return place_from(membership, mounts)


def place_from(membership: str, mounts: str) -> Place | None:
    """The same from the texts of ``/proc/self/cgroup`` and ``/proc/self/mountinfo``.

    Memory is counted by v1 wherever a v1 hierarchy has it; v2 has it only on the other machines.
    """
    paths: dict[int, str] = {}
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            paths[2] = path
        elif "memory" in controllers.split(","):
            paths[1] = path
    version: Literal[1, 2] = 1 if 1 in paths else 2
    found = None
    for kind, options, root, point in _mounts(mounts):
        is_it = kind == "cgroup" and "memory" in options if version == 1 else kind == "cgroup2"
        if is_it and (below := _below(root, paths.get(version, ""))) is not None:
            # Of several mounts at one place, the last one is seen.
            found = Place(version=version, group=Path(point) / below)
    return found


def _mounts(text: str) -> Iterator[tuple[str, list[str], str, str]]:
    """File system, its options, the folder of it that is shown, and where."""
    for line in text.splitlines():
        mount, _, source = line.partition(" - ")
        kind, _, options = source.split(" ", 2)
        root, point = (_OCTAL.sub(_byte, part) for part in mount.split(" ")[3:5])
        yield kind, options.split(","), root, point


def _byte(escaped: re.Match[str]) -> str:
    return chr(int(escaped[1], 8))


def _below(root: str, path: str) -> str | None:
    """``path`` as seen from ``root``; None when it cannot be seen from there."""
    if ".." in path.split("/") or ".." in root.split("/"):
        return None
    if path != root and not path.startswith(root.rstrip("/") + "/"):
        return None
    return path.removeprefix(root).lstrip("/")


def group_name(serial: int) -> str:
    """The name of a group that holds the groups of one executor of this process."""
    return f"python-coder-{os.getpid()}-{_start_time(os.getpid())}-{serial}"


def leaf_name() -> str:
    """The name of the group that this process itself moves into."""
    return f"python-coder-server-{os.getpid()}-{_start_time(os.getpid())}"


def is_leaf(group: Path) -> bool:
    """Whether it is one that a server of ours moved into."""
    return group.name.startswith("python-coder-server-") and bool(_OURS.fullmatch(group.name))


def sweep(base: Path) -> None:
    """Remove the groups below ``base`` whose owner is dead.

    One in which a process is just dying stays, for the next sweep.
    """
    with suppress(OSError):
        for group in base.iterdir():
            named = _OURS.fullmatch(group.name)
            if named and not _is_alive(int(named["pid"]), named["start"]):
                remove_tree(group)


def remove_tree(group: Path) -> bool:
    """Remove a group and those directly in it, as far as they are empty; True when it is gone."""
    with suppress(OSError):
        for child in group.iterdir():
            if child.is_dir():
                with suppress(OSError):
                    child.rmdir()
        group.rmdir()
    return not group.exists()


def _is_alive(pid: int, start: str) -> bool:
    try:
        return _start_time(pid) == start
    except OSError:
        # Other users' processes may be hidden in /proc.
        return not _is_gone(pid)


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        return False
    return False


def _start_time(pid: int) -> str:
    """When it began, in ticks since the machine did; '' when it runs no longer."""
    fields = stat_fields(pid)
    return "" if fields[0] in _NO_LONGER_RUNNING else fields[19]


def stat_fields(pid: int) -> list[str]:
    """What ``/proc/<pid>/stat`` says after the name: state, parent, ...

    Raises:
        OSError: there is no such process, or it is hidden.
    """
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    # The name is the program's choice and may contain anything.
    return text[text.rindex(")") + 2 :].split()


def write_control(path: Path, text: str) -> None:
    """Write to a file the kernel made; never makes one of that name.

    Raises:
        OSError: the kernel's answer, with the file's name.
    """
    # The flag changes nothing here; who watches an event loop for blocking calls goes by it.
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        os.write(fd, text.encode())
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        os.close(fd)
