"""Namespaces, and the file systems that a process mounts in one of its own.

Each function either does what it says or raises OSError.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable

# Not CDLL: a call that makes a second process must not let go of the interpreter's lock.
_LIBC = ctypes.PyDLL(None, use_errno=True)

_SYS_CLONE = {"x86_64": 56, "aarch64": 220}.get(os.uname().machine, -1)
_SIGCHLD = 17

NEW_MOUNTS = 0x00020000
NEW_CGROUPS = 0x02000000
NEW_HOSTNAME = 0x04000000
NEW_IPC = 0x08000000
NEW_USERS = 0x10000000
NEW_PIDS = 0x20000000
NEW_NETWORK = 0x40000000

_READ_ONLY, _NO_SUID, _NO_DEVICES, _NO_EXECUTION, _REMOUNT = 1, 2, 4, 8, 32
_BIND, _RECURSIVE = 4096, 16384
_DETACH, _NOT_A_LINK = 2, 8


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def clone(flags: int) -> int:
    """Fork, with the child in new namespaces. Returns 0 in the child, its process id in the parent.

    The calling process must have one thread: handlers of C libraries at fork are not called.
    """
    python = ctypes.pythonapi
    python.PyOS_BeforeFork()
    pid = _LIBC.syscall(_SYS_CLONE, ctypes.c_ulong(flags | _SIGCHLD), 0, 0, 0, 0)
    if pid == 0:
        python.PyOS_AfterFork_Child()
    else:
        python.PyOS_AfterFork_Parent()
    return _check(pid, "clone")


def map_user() -> None:
    """Give the caller's uid and gid their own numbers in its new user namespace."""
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{os.getuid()} {os.geteuid()} 1"),
        ("gid_map", f"{os.getgid()} {os.getegid()} 1"),
    ):
        fd = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(fd, text.encode())
        os.close(fd)


def leave_cgroup_view() -> None:
    """See the own cgroup as the root of them all."""
    _check(_LIBC.unshare(NEW_CGROUPS), "unshare(CLONE_NEWCGROUP)")


def _mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    result = _LIBC.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )
    _check(result, f"mount({target})")


def mount_proc(*, writable: bool = False) -> None:
    """A /proc that shows the processes of the caller's own namespace."""
    flags = _NO_SUID | _NO_DEVICES | _NO_EXECUTION | (0 if writable else _READ_ONLY)
    _mount("proc", "/proc", "proc", flags)


def mount_private(place: str, size: int, inodes: int, shields: Iterable[str] = ()) -> None:
    """An empty file system in memory over ``place``, of at most so many bytes and entries.

    Args:
        place: an existing folder.
        size: bytes.
        inodes: files and folders, its root among them.
        shields: folders directly in ``place`` that stay to be seen, as they are.
    """
    kept = [(folder, os.open(folder, os.O_PATH | os.O_CLOEXEC)) for folder in shields]
    options = f"size={size},nr_inodes={inodes},mode=1777"
    _mount("tmpfs", place, "tmpfs", _NO_SUID | _NO_DEVICES, options)
    for folder, fd in kept:
        os.mkdir(folder, 0o755)
        # With all that is mounted below it: a part of it alone may not be shown.
        _mount(f"/proc/self/fd/{fd}", folder, None, _BIND | _RECURSIVE)
        os.close(fd)


def resize_private(place: str, size: int, inodes: int) -> None:
    """Change the bounds of what ``mount_private`` made."""
    options = f"size={size},nr_inodes={inodes}"
    _mount("tmpfs", place, None, _REMOUNT | _NO_SUID | _NO_DEVICES, options)


def bind(source: str, target: str) -> None:
    """Show a file in another place, writable only where it is so already."""
    _mount(source, target, None, _BIND)


def unbind(target: str) -> None:
    """Take away what ``bind`` put there last; who has it open keeps it."""
    _check(_LIBC.umount2(os.fsencode(target), _DETACH | _NOT_A_LINK), f"umount2({target})")


def hide(folder: str) -> int:
    """Cover a folder with an empty one. Returns a descriptor through which it is still reached."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    _mount("tmpfs", folder, "tmpfs", _READ_ONLY | _NO_SUID | _NO_DEVICES, "size=4k,mode=755")
    return fd
