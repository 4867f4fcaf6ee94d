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
    """Put this process's own memory on large pages, of which a fork has a five hundredth to copy.

    What a child then writes to is copied in small ones. See madvise(2), ``MADV_COLLAPSE`` (from
    Linux 6.1 on).
    """
    for begin, end in _own_memory():
        for start in range(-(-begin // _LARGE_PAGE) * _LARGE_PAGE, end, _LARGE_PAGE):
            if start + _LARGE_PAGE <= end:
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
