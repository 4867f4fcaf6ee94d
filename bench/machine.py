"""What the figures were taken on, without naming the machine."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from backend.types import Isolation


def describe(isolation: Isolation | None = None) -> str:
    """Processors, memory, kernel and Python; with an isolation, the walls that stood."""
    kernel = re.match(r"[\d.]+", platform.release())
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts = [
        f"{os.cpu_count()} processors ({_processor()})",
        f"{gib:.0f} GiB of memory",
        f"{platform.system()} {kernel[0].rstrip('.') if kernel else ''}",
        _cgroup(),
        f"{platform.python_implementation()} {platform.python_version()}",
        "as root" if os.geteuid() == 0 else "as an ordinary user",
    ]
    if isolation is not None:
        parts.append(f"sandbox tier {isolation.tier}")
    return ", ".join(parts)


def _processor() -> str:
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    found = re.search(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    return found[1] if found else platform.machine()


def _cgroup() -> str:
    """The version under which memory is counted; a machine may mount both."""
    mounts = [
        line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    ]
    if any(kind == "cgroup" and "memory" in options for _, _, kind, options, *_ in mounts):
        return "cgroup v1"
    return "cgroup v2" if any(mount[2] == "cgroup2" for mount in mounts) else "no cgroup"
