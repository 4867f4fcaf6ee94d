"""Make the own v2 group one that hands its controllers down, without touching anybody else."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from backend.errors import SandboxUnavailable
from backend.sandbox.walls.cgroup_places import is_leaf, leaf_name, stat_fields, write_control

WANTED = ("memory", "pids")
"""Controllers; the first must be there, the second is taken where it is."""

DELEGATION = (
    "Run: systemd-run --user --scope -p Delegate=yes python-coder serve "
    "(a systemd service: put Delegate=yes in its unit)."
)
_ROUNDS = 10
"""Looks at who is left in the group: processes may fork while they are moved."""


def hand_down(own: Path, wanted: tuple[str, ...] = WANTED) -> Path:
    """Let groups below ours have controllers; gives the group to make them in.

    The kernel allows that only to a group without processes. If ours are the only ones in it, they
    are moved into a group of their own in it. There they stay: taking the controllers away again
    would lift the limits of another executor of this process, and the next one finds it all done.

    Args:
        own: the group of this process.
        wanted: controllers; must be there, but for ``pids``.

    Raises:
        SandboxUnavailable: a controller is missing, other processes are in the group, or it is
            not ours to change. Nothing is changed then.
        OSError: the group cannot be read.
    """
    base = own.parent if is_leaf(own) else own
    offered = _words(base / "cgroup.controllers")
    missing = [name for name in wanted if name not in offered and name != "pids"]
    if missing:
        raise _no_controller(base, missing[0])
    order = " ".join(f"+{name}" for name in wanted if name in offered)
    try:
        write_control(base / "cgroup.subtree_control", order)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        _make_room(base, order)
    return base


def _no_controller(base: Path, name: str) -> SandboxUnavailable:
    remedy = DELEGATION
    with suppress(OSError):
        top = Path("/sys/fs/cgroup")
        if name not in _words(top / "cgroup.controllers"):
            remedy = f"Boot with cgroup_enable={name}; in a container, hand {name} to it."
    return SandboxUnavailable(f"The cgroup {base} is not given the {name} controller.", remedy)


def _make_room(base: Path, order: str) -> None:
    """Move all of ``base``, if all are ours, into a leaf; then give the order, or move back."""
    _refuse_strangers(base)
    leaf = base / leaf_name()
    leaf.mkdir(exist_ok=True)
    try:
        for _ in range(_ROUNDS):
            members = _members(base)
            if not members:
                break
            _refuse_strangers(base)
            _move(members, leaf)
        write_control(base / "cgroup.subtree_control", order)
    except BaseException:
        _move(_members(leaf), base)
        with suppress(OSError):
            leaf.rmdir()
        raise


def _refuse_strangers(base: Path) -> None:
    strangers = [pid for pid in _members(base) if not _is_family(pid)]
    if strangers:
        named = ", ".join(_described(pid) for pid in strangers[:3])
        raise SandboxUnavailable(
            f"Other processes are in the cgroup {base}: {named}"
            f"{', ...' if len(strangers) > 3 else ''}.",
            f"Let python-coder be alone in one. {DELEGATION}",
        )


def _is_family(pid: int) -> bool:
    """Whether it is this process or descends from it, or is gone."""
    above = pid
    try:
        while above not in (0, 1, os.getpid()):
            above = int(stat_fields(above)[1])
    except OSError:
        return not Path(f"/proc/{pid}").exists()
    return above == os.getpid()


def _described(pid: int) -> str:
    if pid == 0:
        return "one of another container"
    try:
        return f"{Path(f'/proc/{pid}/comm').read_text(encoding='utf-8').strip()!r} (pid {pid})"
    except (OSError, UnicodeDecodeError):
        return f"pid {pid}"


def _members(group: Path) -> list[int]:
    return [int(pid) for pid in _words(group / "cgroup.procs")]


def _move(pids: Iterable[int], group: Path) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            write_control(group / "cgroup.procs", str(pid))


def _words(path: Path) -> list[str]:
    return path.read_text(encoding="ascii").split()
