"""The system calls that the standard library does not offer, and the walls made of them.

Each function either does what it says or raises OSError: nothing is skipped in silence.
"""

from __future__ import annotations

import ctypes
import os
import resource
import stat
from collections.abc import Iterable, Mapping

_LIBC = ctypes.CDLL(None, use_errno=True)

NOBODY = 65534

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_SECCOMP = 22
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63

_SYS_KCMP = {"x86_64": 312, "aarch64": 272}.get(os.uname().machine, -1)
_KCMP_VM = 1

# The same numbers on x86_64 and aarch64.
_SYS_CLOSE_RANGE = 436
_SYS_LANDLOCK_CREATE_RULESET = 444
_SYS_LANDLOCK_ADD_RULE = 445
_SYS_LANDLOCK_RESTRICT_SELF = 446

# linux/landlock.h
_LANDLOCK_VERSION = 1
_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK = 1 << 6, 1 << 11
_FIRST_ABI_RIGHTS = (1 << 13) - 1
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_NET_BIND_AND_CONNECT_TCP = 0b11
_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _prctl(option: int, value: int = 0, third: int = 0, what: str = "prctl") -> None:
    args = [ctypes.c_ulong(number) for number in (value, third, 0, 0)]
    _check(_LIBC.prctl(option, *args), what)


def drop_to_nobody() -> None:
    """Give up the real root's uid: the kernel counts and checks by it whatever a namespace says."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def set_dumpable(dumpable: bool) -> None:
    """Whether others of the same uid may look into this process's memory."""
    _prctl(_PR_SET_DUMPABLE, int(dumpable), what="PR_SET_DUMPABLE")


def share_memory(pid: int, other: int) -> bool:
    """Whether two processes are known to have one and the same address space."""
    return bool(_LIBC.syscall(_SYS_KCMP, pid, other, _KCMP_VM, 0, 0) == 0)


def die_with_parent(number: int = 9) -> None:
    """A signal when the parent ends. Set after the change of uid, which switches it off."""
    _prctl(_PR_SET_PDEATHSIG, number, what="PR_SET_PDEATHSIG")


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1, what="PR_SET_CHILD_SUBREAPER")


def forbid_new_privileges() -> None:
    """Nothing is to be had by executing something."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, what="PR_SET_NO_NEW_PRIVS")


def drop_capabilities() -> None:
    """No capabilities, in any set, and none to be had by executing something."""
    forbid_new_privileges()
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, what="PR_CAP_AMBIENT")
    for capability in range(_LAST_CAPABILITY + 1):
        try:
            _prctl(_PR_CAPBSET_DROP, capability, what="PR_CAPBSET_DROP")
        except OSError:
            # Past the last one this kernel has; or there is no CAP_SETPCAP to drop with, and the
            # set is empty already.
            break
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    _check(_LIBC.capset(header, nothing), "capset")


def close_from(first: int) -> None:
    """Close every descriptor from ``first`` on."""
    _check(
        _LIBC.syscall(_SYS_CLOSE_RANGE, ctypes.c_uint(first), ctypes.c_uint(0xFFFFFFFF), 0),
        "close_range",
    )


def set_rlimits(limits: Mapping[str, int]) -> None:
    """Soft and hard limits by name; never above what this process itself was given.

    What a process has of ``RLIMIT_DATA`` already, it was born with, and comes on top.
    """
    for name, value in limits.items():
        which = getattr(resource, name)
        if which == resource.RLIMIT_DATA and value != resource.RLIM_INFINITY:
            value += _data_bytes()
        hard = resource.getrlimit(which)[1]
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        # At the hard limit of CPU time the kernel kills without saying why; a second before, it says.
        soft = value - 1 if which == resource.RLIMIT_CPU and value > 1 else value
        resource.setrlimit(which, (soft, value))


def _data_bytes() -> int:
    fd = os.open("/proc/self/statm", os.O_RDONLY)
    try:
        return int(os.read(fd, 200).split()[5]) * resource.getpagesize()
    finally:
        os.close(fd)


def landlock_abi() -> int:
    """The version of Landlock this kernel has; 0 for none."""
    version = _LIBC.syscall(_SYS_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION)
    return max(0, int(version))


def restrict_files(abi: int, writable: tuple[str, ...], *, allow_network: bool) -> None:
    """Landlock: read and execute what there is, change only what lies below ``writable``.

    From ABI 4 no TCP, from ABI 6 neither signals nor abstract sockets out of this domain.
    """
    rights = _rights(abi)
    ruleset = _ruleset(abi, rights, allow_network=allow_network)
    _allow(ruleset, "/", _EXECUTE | _READ_FILE | _READ_DIR)
    _allow(ruleset, "/dev", _WRITE_FILE | _READ_FILE | _READ_DIR)
    for folder in writable:
        _allow(ruleset, folder, rights & ~(_MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEV))
    _restrict(ruleset)


def confine_files(
    abi: int,
    *,
    readable: Iterable[str],
    devices: Iterable[str],
    writable: Iterable[str],
    allow_network: bool,
) -> None:
    """Landlock: nothing is read or executed but ``readable``, nothing changed but ``writable``.

    ``devices`` are read and written. Nothing here covers what does not open a file: to look whether
    there is one, to change its mode.
    """
    rights = _rights(abi)
    ruleset = _ruleset(abi, rights, allow_network=allow_network)
    for path in readable:
        _allow(ruleset, path, _EXECUTE | _READ_FILE | _READ_DIR)
    for path in devices:
        _allow(ruleset, path, _WRITE_FILE | _READ_FILE)
    for path in writable:
        _allow(ruleset, path, rights & ~(_MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEV))
    _restrict(ruleset)


def scope_signals() -> None:
    """Landlock: no signal out of this domain, nor to an abstract socket; files stay as they are."""
    attributes = (ctypes.c_uint64 * 3)(0, 0, _SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS)
    _restrict(_create_ruleset(attributes, 24))


def may_signal(pid: int) -> bool:
    """Whether the kernel lets this process send a signal to a living one."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return False
    return True


def _rights(abi: int) -> int:
    rights = _FIRST_ABI_RIGHTS
    rights |= _REFER if abi >= 2 else 0
    rights |= _TRUNCATE if abi >= 3 else 0
    rights |= _IOCTL_DEV if abi >= 5 else 0
    return rights


def _ruleset(abi: int, rights: int, *, allow_network: bool) -> int:
    network = _NET_BIND_AND_CONNECT_TCP if abi >= 4 and not allow_network else 0
    scoped = _SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS if abi >= 6 else 0
    attributes = (ctypes.c_uint64 * 3)(rights, network, scoped)
    return _create_ruleset(attributes, 24 if abi >= 6 else 16 if abi >= 4 else 8)


def _create_ruleset(attributes: ctypes.Array[ctypes.c_uint64], size: int) -> int:
    return _check(
        _LIBC.syscall(
            _SYS_LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(size), ctypes.c_uint32(0)
        ),
        "landlock_create_ruleset",
    )


def _restrict(ruleset: int) -> None:
    _check(
        _LIBC.syscall(_SYS_LANDLOCK_RESTRICT_SELF, ruleset, ctypes.c_uint32(0)),
        "landlock_restrict_self",
    )
    os.close(ruleset)


def _allow(ruleset: int, folder: str, rights: int) -> None:
    fd = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    if not stat.S_ISDIR(os.fstat(fd).st_mode):
        rights &= _OF_A_FILE
    rule = rights.to_bytes(8, "little") + fd.to_bytes(4, "little")
    _check(
        _LIBC.syscall(
            _SYS_LANDLOCK_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.c_char_p(rule), ctypes.c_uint(0)
        ),
        f"landlock_add_rule({folder})",
    )
    os.close(fd)


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def filter_calls(instructions: bytes) -> None:
    """Load the system call filter; it stays for this process and all it ever starts."""
    program = _Filter(len(instructions) // 8, instructions)
    _check(
        _LIBC.prctl(
            _PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.byref(program), 0, 0
        ),
        "seccomp",
    )


def flush_c_streams() -> None:
    """Write out what C code has printed and its library still holds."""
    _LIBC.fflush(None)
