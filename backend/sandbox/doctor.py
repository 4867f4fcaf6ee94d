"""What the sandbox needs of this machine, found out by looking and by one real run."""

from __future__ import annotations

import asyncio
import os
import platform
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from backend.config.install_list import read_install_list
from backend.config.settings import Settings
from backend.errors import PythonCoderError
from backend.sandbox.executors.local.executor import LocalExecutor, open_local
from backend.sandbox.packages.overlay import Overlay, folder_for
from backend.sandbox.walls.cgroups import Unusable, open_cgroups
from backend.sandbox.walls.interpreter import find_interpreter
from backend.sandbox.walls.landlocked import landlock_abi
from backend.sandbox.walls.probe import blocked_namespaces, find_bubblewrap, install_command
from backend.sandbox.walls.seccomp import MACHINES
from backend.types import ExecutionRequest, MachineFinding

_TIER_C = MachineFinding(
    topic="tier C",
    state="note",
    what="no namespaces, as PYTHON_CODE_MIN_TIER allows: programs see which files there are, what "
    "runs as the same user is kept apart by Landlock alone, and there are no sessions",
    remedy="Mend what is noted above, for tier B.",
)

_IMPORT_SECONDS = 30.0
"""For everything that is imported ahead, on a machine that is busy with other things."""


async def diagnose(settings: Settings, *, run: bool = True) -> list[MachineFinding]:
    """Look at everything the local sandbox is made of, and (with ``run``) run a program in it."""
    findings = [await _bubblewrap(), _user_namespaces(), _seccomp(), _landlock()]
    findings.append(await asyncio.to_thread(_cgroup))
    findings.append(await asyncio.to_thread(_packages, settings))
    if not run:
        return findings
    findings += await _real_run(settings)
    if findings[-1].state == "missing":
        return findings
    # What is lacking while a program ran all the same is a wall less, not a sandbox less.
    return [replace(each, state="note") if each.state == "missing" else each for each in findings]


def _finding(topic: str, ok: bool, what: str, remedy: str) -> MachineFinding:
    if ok:
        return MachineFinding(topic=topic, state="ok", what=what)
    return MachineFinding(topic=topic, state="missing", what=what, remedy=remedy)


async def _bubblewrap() -> MachineFinding:
    try:
        path = find_bubblewrap()
    except PythonCoderError as error:
        return _finding("bubblewrap", False, error.what, error.remedy)
    process = await asyncio.create_subprocess_exec(
        path, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    printed, _ = await process.communicate()
    version = printed.decode(errors="replace").strip() or "no version"
    numbers = [int(part) for part in version.split()[-1].split(".") if part.isdigit()]
    return _finding(
        "bubblewrap",
        numbers >= [0, 7],
        f"{version} at {path}",
        f"Install 0.7 or newer: {install_command()}",
    )


def _user_namespaces() -> MachineFinding:
    if os.geteuid() == 0:
        what = "made as root; programs run as nobody, in a user namespace of their own"
        return MachineFinding(topic="namespaces", state="ok", what=what)
    blocked = blocked_namespaces()
    what = "a setting of this machine may forbid them" if blocked else "not forbidden"
    return _finding("namespaces", not blocked, what, blocked)


def _seccomp() -> MachineFinding:
    machine = platform.machine()
    known = machine in MACHINES
    offered = Path("/proc/sys/kernel/seccomp/actions_avail").exists()
    return _finding(
        "seccomp",
        known and offered,
        f"{'offered' if offered else 'not offered'} by the kernel, on {machine}",
        f"Use a kernel with seccomp, on {' or '.join(MACHINES)}.",
    )


def _landlock() -> MachineFinding:
    abi = landlock_abi()
    return _finding(
        "landlock",
        abi > 0,
        f"ABI {abi}" if abi > 0 else "not in this kernel; programs run without this wall",
        "Use a kernel >= 5.13 that has 'landlock' in its lsm= list.",
    )


def _cgroup() -> MachineFinding:
    with open_cgroups() as found:
        if isinstance(found, Unusable):
            what = f"{found.reason} Limits are kept by rlimits and a watchdog (tier B)."
            return MachineFinding(topic="cgroup", state="note", what=what, remedy=found.remedy)
        what = f"v{found.version}: the kernel holds the memory limit of each program (tier A)"
        return MachineFinding(topic="cgroup", state="ok", what=what)


def _packages(settings: Settings) -> MachineFinding:
    """Whether packages may be installed, which, and what has been."""
    listed = sorted(read_install_list(settings.install_list))
    if not settings.allow_install:
        what = "programs have those of their interpreter; none is installed for them"
        return MachineFinding(topic="packages", state="ok", what=what)
    if not listed:
        return MachineFinding(
            topic="packages",
            state="note",
            what="they may be installed (PYTHON_CODE_ALLOW_INSTALL), and none is listed.",
            remedy="Name some in PYTHON_CODE_INSTALL_LIST.",
        )
    try:
        interpreter = find_interpreter(settings.interpreter)
        there = Overlay(folder_for(settings.data_dir, interpreter)).distributions()
    except PythonCoderError as error:
        return MachineFinding(topic="packages", state="note", what=error.what, remedy=error.remedy)
    installed = ", ".join(f"{name} {version}" for name, version in sorted(there.items()))
    what = f"may be installed: {', '.join(listed)}; installed: {installed or 'none yet'}"
    return MachineFinding(topic="packages", state="ok", what=what)


async def _real_run(settings: Settings) -> list[MachineFinding]:
    try:
        async with open_local(settings) as executor:
            result = await executor.run(ExecutionRequest(code="print(6 * 7)"))
            isolation = executor.isolation
            imports = await _imports(executor)
    except PythonCoderError as error:
        return [_finding("run", False, error.what, error.remedy)]
    ok = result.success and result.stdout == "42\n"
    ran = f"a program ran in {result.duration_s * 1000:.0f} ms"
    failed = f"a program ended with {result.returncode}: {result.stderr[-200:]}"
    walls = f"tier {isolation.tier}: {', '.join(isolation.walls)}"
    return [
        MachineFinding(topic="walls", state="ok", what=walls),
        *([_TIER_C] if isolation.tier == "C" else []),
        imports,
        _finding("run", ok, ran if ok else failed, "Report it, with this output."),
    ]


async def _imports(executor: LocalExecutor) -> MachineFinding:
    pool = executor.pool
    with suppress(TimeoutError):
        async with asyncio.timeout(_IMPORT_SECONDS):
            while not pool.is_settled:  # noqa: ASYNC110 - nobody else ever waits for it
                await asyncio.sleep(0.05)
    if pool.why_cold or not pool.is_settled:
        what = pool.why_cold or f"not done after {_IMPORT_SECONDS:g} seconds"
        remedy = "Programs import what they need themselves; see PYTHON_CODE_PREIMPORT."
        return MachineFinding(topic="imports", state="note", what=what, remedy=remedy)
    return MachineFinding(
        topic="imports", state="ok", what=", ".join(pool.imported) or "none ahead"
    )
