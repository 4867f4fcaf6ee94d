"""How many threads the linear algebra of numpy and scipy uses: none more in a process that forks."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

SetThreads = Callable[[int], object]

_NAMES = tuple(
    f"{prefix}openblas_set_num_threads{suffix}"
    for prefix in ("scipy_", "")
    for suffix in ("64_", "_64", "")
)


def thread_setters() -> list[SetThreads]:
    """The function of each OpenBLAS this process has loaded that sets its number of threads."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        paths = {line.split(maxsplit=5)[5].strip() for line in maps if "openblas" in line}
    setters = []
    for path in sorted(paths):
        try:
            library = ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
        except OSError:
            continue
        found = [getattr(library, name) for name in _NAMES if hasattr(library, name)]
        setters += found[:1]
    return setters
