"""What the kernel is asked for to be faster.

None of it is a wall: where the kernel does not do it, things take a little longer, no more.
"""

from __future__ import annotations

import ctypes
import os
import struct

_LIBC = ctypes.CDLL(None)
_SYS_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}.get(os.uname().machine, -1)
_SCHED_ATTR = struct.Struct("=IIQiIQQQ")
"""Size, policy, flags, niceness, priority, runtime, deadline, period."""
_MADV_COLLAPSE = 25
_LARGE_PAGE = 2 << 20
_NO_INODE = "0"

KEEPER_TURN_NS = 5_000_000
PROGRAM_TURN_NS = 10_000_000
ZYGOTE_TURN_NS = 100_000_000
"""Who has shorter turns goes first: whoever waits for a program, with the kernel's own few
milliseconds; its keeper, which has to get its turns among hundreds of processes; the program; and
last births, which take longer than most programs and for which as a rule nobody waits."""


def schedule(policy: int, slice_ns: int) -> None:
    """How this process shares processors with others; see sched(7) and sched_setattr(2).

    Args:
        policy: ``os.SCHED_OTHER``; or ``os.SCHED_BATCH``, which never takes a processor away from
            another by waking up.
        slice_ns: how long its turns are; who has shorter ones interrupts them (from Linux 6.12 on;
            before, it is without effect).
    """
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = _SCHED_ATTR.pack(_SCHED_ATTR.size, policy, 0, nice, 0, slice_ns, 0, 0)
    _LIBC.syscall(_SYS_SCHED_SETATTR, 0, attributes, 0)


def use_large_pages() -> None:
    """Put this process's own memory on large pages: a fork then has 512 times fewer to map.

    What a child then writes to is copied in small ones. See madvise(2), ``MADV_COLLAPSE`` (from
    Linux 6.1 on).
    """
    for begin, end in _own_memory():
        first = -(-begin // _LARGE_PAGE) * _LARGE_PAGE
        for start in range(first, end - _LARGE_PAGE + 1, _LARGE_PAGE):
            place, size = ctypes.c_void_p(start), ctypes.c_size_t(_LARGE_PAGE)
            _LIBC.madvise(place, size, _MADV_COLLAPSE)


def _own_memory() -> list[tuple[int, int]]:
    """First address and the one behind the last, of what is private, written to and no file's."""
    found = []
    with open("/proc/self/maps", encoding="utf-8") as maps:
        for line in maps:
            addresses, modes, _, _, inode, *name = line.split(maxsplit=5)
            if modes == "rw-p" and inode == _NO_INODE and name in ([], ["[heap]\n"]):
                begin, end = addresses.split("-")
                found.append((int(begin, 16), int(end, 16)))
    return found
