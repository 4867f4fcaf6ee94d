"""What the sandbox needs of this machine, found out by looking and by one real run."""

from __future__ import annotations

import asyncio
import ctypes
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from backend.config.settings import Settings
from backend.errors import PythonCoderError
from backend.sandbox.executors.local import open_local
from backend.sandbox.walls.probe import blocked_namespaces, find_bubblewrap, install_command
from backend.sandbox.walls.seccomp import MACHINES
from backend.types import ExecutionRequest

_SYS_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    """False: programs cannot run, or one wall is missing."""
    detail: str
    fix: str = ""
    """What to do when it is not ok."""


async def diagnose(settings: Settings, *, run: bool = True) -> list[Finding]:
    """Look at everything the local sandbox is made of, and (with ``run``) run a program in it."""
    findings = [await _bubblewrap(), _user_namespaces(), _seccomp(), _landlock(), _cgroup()]
    return [*findings, *(await _real_run(settings) if run else ())]


async def _bubblewrap() -> Finding:
    try:
        path = find_bubblewrap()
    except PythonCoderError as error:
        return Finding(name="bubblewrap", ok=False, detail=error.what, fix=error.remedy)
    process = await asyncio.create_subprocess_exec(
        path, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    printed, _ = await process.communicate()
    version = printed.decode(errors="replace").strip() or "no version"
    numbers = [int(part) for part in version.split()[-1].split(".") if part.isdigit()]
    is_new_enough = numbers >= [0, 7]
    return Finding(
        name="bubblewrap",
        ok=is_new_enough,
        detail=f"{version} at {path}",
        fix="" if is_new_enough else f"Install 0.7 or newer: {install_command()}",
    )


def _user_namespaces() -> Finding:
    if os.geteuid() == 0:
        detail = "made as root; programs run as nobody, in a user namespace of their own"
        return Finding(name="namespaces", ok=True, detail=detail)
    blocked = blocked_namespaces()
    detail = "a setting of this machine may forbid them" if blocked else "not forbidden"
    return Finding(name="namespaces", ok=not blocked, detail=detail, fix=blocked)


def _seccomp() -> Finding:
    machine = platform.machine()
    known = machine in MACHINES
    offered = Path("/proc/sys/kernel/seccomp/actions_avail").exists()
    return Finding(
        name="seccomp",
        ok=known and offered,
        detail=f"{'offered' if offered else 'not offered'} by the kernel, on {machine}",
        fix="" if known and offered else f"Use a kernel with seccomp, on {' or '.join(MACHINES)}.",
    )


def _landlock() -> Finding:
    libc = ctypes.CDLL(None, use_errno=True)
    abi = int(libc.syscall(_SYS_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION))
    if abi > 0:
        return Finding(name="landlock", ok=True, detail=f"ABI {abi}")
    return Finding(
        name="landlock",
        ok=False,
        detail="not in this kernel; programs run without this wall",
        fix="Use a kernel >= 5.13 that has 'landlock' in its lsm= list.",
    )


def _cgroup() -> Finding:
    version = "v2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "v1 or none"
    return Finding(
        name="cgroup",
        ok=True,
        detail=f"{version}; not used: limits are kept by rlimits and a watchdog (tier B)",
    )


async def _real_run(settings: Settings) -> list[Finding]:
    try:
        async with open_local(settings) as executor:
            result = await executor.run(ExecutionRequest(code="print(6 * 7)"))
            isolation = executor.isolation
    except PythonCoderError as error:
        return [Finding(name="run", ok=False, detail=error.what, fix=error.remedy)]
    ok = result.success and result.stdout == "42\n"
    return [
        Finding(
            name="walls",
            ok=True,
            detail=f"tier {isolation.tier}: {', '.join(isolation.walls)}",
        ),
        Finding(
            name="run",
            ok=ok,
            detail=f"a program ran in {result.duration_s * 1000:.0f} ms"
            if ok
            else f"a program ended with {result.returncode}: {result.stderr[-200:]}",
            fix="" if ok else "Report it, with this output.",
        ),
    ]
