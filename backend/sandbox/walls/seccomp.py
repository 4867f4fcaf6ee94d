"""The system call filter: an allow-list in classic BPF, assembled here and loaded inside.

A call that is not on the list answers EPERM, a newer one than the list knows ENOSYS; a call in a
foreign ABI (32 bit, x32) kills the process. The rest of the walls stands without this one; it is
the one that keeps programs away from kernel code they never need.
"""

from __future__ import annotations

import errno
import platform
import struct
from dataclasses import dataclass

from backend.errors import SandboxUnavailable
from backend.sandbox.walls.syscalls import ALLOWED, GATED, NEWEST

# linux/bpf_common.h, linux/seccomp.h, linux/audit.h
_LOAD_WORD = 0x20
_JUMP_EQUAL = 0x15
_JUMP_GREATER = 0x25
_JUMP_AT_LEAST = 0x35
_JUMP_ANY_BIT = 0x45
_AND = 0x54
_RETURN = 0x06
_KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000
_ALLOW = 0x7FFF0000
_OFFSET_NUMBER = 0
_OFFSET_ARCH = 4
_OFFSET_ARGS = 16
_X32_BIT = 0x40000000

# linux/sched.h: CLONE_NEWNS, -CGROUP, -UTS, -IPC, -USER, -PID, -NET.
_CLONE_NAMESPACES = 0x7E020000
_F_SETLEASE = 1024
_F_NOTIFY = 1026
_TIOCSTI = 0x5412
_TIOCLINUX = 0x541C
_PR_SET_MM = 35
_PRIO_PROCESS = 0
_AF_UNIX = 1
_INTERNET = (2, 10, 16)
"""AF_INET, AF_INET6, and AF_NETLINK, over which the C library asks for addresses."""
_KEEPER = 1
"""Its process id inside; its watchdog has to get its turns."""

_REFUSED_VALUES: dict[str, tuple[int, tuple[int, ...]]] = {
    "fcntl": (1, (_F_SETLEASE, _F_NOTIFY)),
    "ioctl": (1, (_TIOCSTI, _TIOCLINUX)),
    "prctl": (0, (_PR_SET_MM,)),
    "sched_setaffinity": (0, (_KEEPER,)),
    "sched_setattr": (0, (_KEEPER,)),
    "sched_setparam": (0, (_KEEPER,)),
    "sched_setscheduler": (0, (_KEEPER,)),
}
"""Which argument, and what it must not be. The ioctls type into a terminal; a lease holds up whoever
writes the file, and a notification tells what others read of files that all share."""

_ACCEPTED_VALUES: dict[str, tuple[int, ...]] = {
    "prlimit64": (0,),
    "socket": (_AF_UNIX,),
    "socketpair": (_AF_UNIX,),
}
"""What the first argument must be. For prlimit64 it is the process: 0 is the caller."""


_PR_OF_THE_KEEPER = (1, 4)
"""PR_SET_PDEATHSIG and PR_SET_DUMPABLE: a process ends with its keeper, and can be looked at."""
_SOCK_STREAM = 1
_SOCKET_TYPES = 0xF
_PRETENDED = frozenset(
    "chmod chown fchmod fchmodat fchmodat2 fchown fchownat futimesat lchown utime utimensat "
    "utimes".split()
)
"""Not covered by Landlock: an ordinary user's programs could do it to all his files."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """An architecture as the filter sees it."""

    audit: int
    column: int
    """Which of the numbers in ``syscalls`` is its own."""
    has_x32: bool


MACHINES = {
    "x86_64": Machine(audit=0xC000003E, column=0, has_x32=True),
    "aarch64": Machine(audit=0xC00000B7, column=1, has_x32=False),
}


def build_filter(
    *, allow_network: bool = False, has_namespaces: bool = True, machine: str | None = None
) -> bytes:
    """Assemble the filter as an array of ``struct sock_filter``.

    Args:
        allow_network: let programs make internet sockets.
        has_namespaces: without, more is refused: any socket that could be connected to something,
            and what concerns another process or a file's mode, owner and times. The last are
            answered as if they had been done: programs that copy files would fail at it.
        machine: ``x86_64`` or ``aarch64``; None is this machine.

    Raises:
        SandboxUnavailable: an architecture whose numbers are not known here.
    """
    name = machine or platform.machine()
    here = MACHINES.get(name)
    if here is None:
        raise SandboxUnavailable(
            f"There is no system call filter for {name!r}.",
            f"Run on one of {', '.join(sorted(MACHINES))}.",
        )
    code = _check_architecture(here)
    for call, gated in GATED.items():
        body = [] if has_namespaces else _gate_without_namespaces(call, allow_network)
        code += _only_for(gated[here.column], body or _gate(call, allow_network))
    for call, allowed in ALLOWED.items():
        number = allowed[here.column]
        if number is not None:
            pretended = not has_namespaces and call in _PRETENDED
            answer = _refuse(0) if pretended else _instruction(_RETURN, _ALLOW)
            code += _only_for(number, [answer])
    code += [
        _instruction(_JUMP_GREATER, NEWEST, 0, 1),
        _refuse(errno.ENOSYS),
        _refuse(errno.EPERM),
    ]
    return b"".join(code)


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _refuse(number: int) -> bytes:
    return _instruction(_RETURN, _ERRNO | number)


def _load_argument(index: int) -> bytes:
    # Both architectures are little-endian: the low word, which is all the kernel looks at here.
    return _instruction(_LOAD_WORD, _OFFSET_ARGS + 8 * index)


def _check_architecture(here: Machine) -> list[bytes]:
    code = [
        _instruction(_LOAD_WORD, _OFFSET_ARCH),
        _instruction(_JUMP_EQUAL, here.audit, 1, 0),
        _instruction(_RETURN, _KILL_PROCESS),
        _instruction(_LOAD_WORD, _OFFSET_NUMBER),
    ]
    if here.has_x32:
        code += [
            _instruction(_JUMP_AT_LEAST, _X32_BIT, 0, 1),
            _instruction(_RETURN, _KILL_PROCESS),
        ]
    return code


def _only_for(number: int, body: list[bytes]) -> list[bytes]:
    """``body``, which returns on every path, for this call number only."""
    return [_instruction(_JUMP_EQUAL, number, 0, len(body)), *body]


def _gate(call: str, allow_network: bool) -> list[bytes]:
    """What decides a call by its arguments."""
    allow = _instruction(_RETURN, _ALLOW)
    refused = _refuse(errno.EPERM)
    if call == "clone":
        has_flag = _instruction(_JUMP_ANY_BIT, _CLONE_NAMESPACES, 0, 1)
        return [_load_argument(0), has_flag, refused, allow]
    if call == "setpriority":
        only_a_process = _instruction(_JUMP_EQUAL, _PRIO_PROCESS, 1, 0)
        not_the_keeper = [_load_argument(1), *_refuse_values(_KEEPER), allow]
        return [_load_argument(0), only_a_process, refused, *not_the_keeper]
    if call in _REFUSED_VALUES:
        argument, values = _REFUSED_VALUES[call]
        return [_load_argument(argument), *_refuse_values(*values), allow]
    if call in _ACCEPTED_VALUES:
        families = _INTERNET if allow_network and call == "socket" else ()
        accepted: list[bytes] = []
        for value in (*_ACCEPTED_VALUES[call], *families):
            accepted += [_instruction(_JUMP_EQUAL, value, 0, 1), allow]
        return [_load_argument(0), *accepted, refused]
    # clone3 hides its flags behind a pointer, and the C library falls back to clone. Memory files
    # are in no file system whose size is limited.
    return [_refuse(errno.ENOSYS)]


def _gate_without_namespaces(call: str, allow_network: bool) -> list[bytes]:
    """What decides such a call where it could reach out of the run; [] where it is as ever."""
    allow = _instruction(_RETURN, _ALLOW)
    refused = _refuse(errno.EPERM)
    if call == "socket":
        accepted: list[bytes] = []
        for family in _INTERNET if allow_network else ():
            accepted += [_instruction(_JUMP_EQUAL, family, 0, 1), allow]
        return [_load_argument(0), *accepted, refused]
    if call == "socketpair":
        is_unix = _instruction(_JUMP_EQUAL, _AF_UNIX, 1, 0)
        # Over one of another type, something can be sent to any name there is.
        kind = [_instruction(_AND, _SOCKET_TYPES), _instruction(_JUMP_EQUAL, _SOCK_STREAM, 0, 1)]
        return [_load_argument(0), is_unix, refused, _load_argument(1), *kind, allow, refused]
    if call == "prctl":
        return [_load_argument(0), *_refuse_values(_PR_SET_MM, *_PR_OF_THE_KEEPER), allow]
    if call == "setpriority":
        only_a_process = _instruction(_JUMP_EQUAL, _PRIO_PROCESS, 1, 0)
        itself = [_load_argument(1), _instruction(_JUMP_EQUAL, 0, 0, 1), allow, refused]
        return [_load_argument(0), only_a_process, refused, *itself]
    if call.startswith("sched_"):
        return [_load_argument(0), _instruction(_JUMP_EQUAL, 0, 0, 1), allow, refused]
    return []


def _refuse_values(*values: int) -> list[bytes]:
    code: list[bytes] = []
    for value in values:
        code += [_instruction(_JUMP_EQUAL, value, 0, 1), _refuse(errno.EPERM)]
    return code
