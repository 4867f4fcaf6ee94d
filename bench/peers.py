"""Cold Python, and those who run programs too, each in an environment and a process of its own."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from bench.programs import PANDAS, PANDAS_SAYS
from bench.timing import PAUSE_S, Case, Sampler, Unmeasurable, repeated

COLD = "cold `python -c`"
ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "bench" / "peers.lock"
ENVIRONMENT = ROOT / ".venv-peers"
_PEERS = (
    ("warm ipykernel (no walls)", "ipykernel", 100),
    ("smolagents LocalPythonExecutor (no walls)", "smolagents", 100),
    ("llm-sandbox, bubblewrap", "llm_sandbox", 30),
)
_START_S = 60.0
_ANSWER_S = 300.0
_SHOWN = ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")
_IMAGE = os.environ.get("BENCH_DOCKER_IMAGE", "python-pandas")
"""An image whose ``python`` has pandas; none can be assumed."""


@asynccontextmanager
async def peer_cases() -> AsyncIterator[list[Case]]:
    """The cases of all peers; one that is not to be had says why."""
    python, reason = await asyncio.to_thread(_environment)
    async with AsyncExitStack() as stack:
        cases = [_cold(), _cold_bubblewrap()]
        for name, module, runs in _PEERS:
            if python is None:
                cases.append(Case(name=name, missing=reason))
            else:
                peer = await stack.enter_async_context(_started(python, module))
                cases.append(await peer.case(name, runs))
        cases += await stack.enter_async_context(_docker())
        yield cases


def _cold() -> Case:
    return Case(
        name=COLD, runs=30, sample=repeated(lambda: _run_once(sys.executable, "-c", PANDAS))
    )


def _cold_bubblewrap() -> Case:
    name = "cold bubblewrap and python"
    bubblewrap = shutil.which("bwrap")
    if bubblewrap is None:
        return Case(name=name, missing="bubblewrap is not installed")
    shown = (*_SHOWN, os.path.realpath(sys.base_prefix), os.path.realpath(sys.prefix), sys.prefix)
    binds = [part for path in dict.fromkeys(shown) for part in ("--ro-bind-try", path, path)]
    base = ("--unshare-all", "--die-with-parent", "--clearenv", "--dev", "/dev", "--tmpfs", "/tmp")
    command = (bubblewrap, *base, *binds, "--", sys.executable, "-c", PANDAS)
    return Case(name=name, runs=30, sample=repeated(lambda: _run_once(*command)))


async def _run_once(*command: str) -> None:
    """Run a command that prints what the program prints.

    Raises:
        Unmeasurable: it did not.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    if process.returncode or out.strip() != PANDAS_SAYS.encode():
        name = os.path.basename(command[0])
        raise Unmeasurable(f"{name} ended with {process.returncode} and printed {out[:80]!r}")


class _Peer:
    """A process that measures one peer."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def case(self, name: str, runs: int) -> Case:
        """What it measures, or why it does not."""
        try:
            async with asyncio.timeout(_START_S):
                said = await self._line()
        except TimeoutError:
            return Case(name=name, missing=f"did not start within {_START_S:g} s")
        if isinstance(said, dict) and "missing" in said:
            return Case(name=name, missing=f"does not work here: {said['missing']}")
        return Case(name=name, runs=runs, sample=self._sample)

    async def _sample(self, count: int) -> list[float]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"[{count}, {PAUSE_S}]\n".encode())
        try:
            async with asyncio.timeout(_ANSWER_S):
                said = await self._line()
        except TimeoutError:
            raise Unmeasurable(f"no answer within {_ANSWER_S:g} s") from None
        if isinstance(said, dict):
            raise Unmeasurable(said["missing"])
        return said

    async def _line(self) -> dict[str, str] | list[float]:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        said: dict[str, str] | list[float] = (
            json.loads(line) if line else {"missing": f"ended with {await self._process.wait()}"}
        )
        return said


@asynccontextmanager
async def _started(python: Path, module: str) -> AsyncIterator[_Peer]:
    with tempfile.TemporaryDirectory() as home:
        process = await asyncio.create_subprocess_exec(
            str(python),
            "-m",
            f"bench.peer.{module}",
            cwd=ROOT,
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": home},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            yield _Peer(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()  # the end of its requests
            try:
                async with asyncio.timeout(10):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


def _environment() -> tuple[Path | None, str]:
    """The Python of the peers' environment, made where it is not there; or why there is none."""
    python = ENVIRONMENT.resolve() / "bin" / "python"
    stamp = ENVIRONMENT / ".installed"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text(encoding="ascii") == wanted:
        return python, ""
    print("Installing what we are measured against into .venv-peers, once", file=sys.stderr)
    pip = (str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    steps: tuple[Sequence[str], ...] = (
        (sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT.resolve())),
        (*pip, "--require-hashes", "-r", str(LOCK)),
    )
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            return None, "could not be installed"
    stamp.write_text(wanted, encoding="ascii")
    return python, ""


@asynccontextmanager
async def _docker() -> AsyncIterator[list[Case]]:
    """``docker run`` and ``docker exec``, where a daemon answers and has an image with pandas."""
    names = ("docker run", "docker exec")
    reason = await _no_docker()
    if reason:
        yield [Case(name=name, missing=reason) for name in names]
        return
    container = f"python-coder-bench-{os.getpid()}"
    program = ("python", "-c", PANDAS)
    inside = ("--rm", "--network", "none")
    await _quiet("docker", "run", "-d", *inside, "--name", container, _IMAGE, "sleep", "3600")
    try:
        commands = (
            ("docker", "run", *inside, _IMAGE, *program),
            ("docker", "exec", container, *program),
        )
        yield [
            Case(name=f"{name} ({_IMAGE})", runs=20, sample=_running(command))
            for name, command in zip(names, commands, strict=True)
        ]
    finally:
        await _quiet("docker", "kill", container)


def _running(command: Sequence[str]) -> Sampler:
    return repeated(lambda: _run_once(*command))


async def _no_docker() -> str:
    if shutil.which("docker") is None:
        return "docker is not installed"
    if not await _quiet("docker", "info"):
        return "no daemon answers"
    if not await _quiet("docker", "run", "--rm", _IMAGE, "python", "-c", PANDAS):
        return f"no image {_IMAGE!r} with pandas (BENCH_DOCKER_IMAGE)"
    return ""


async def _quiet(*command: str) -> bool:
    """Whether a command succeeds; what it prints is nobody's."""
    nowhere = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *command, stdin=nowhere, stdout=nowhere, stderr=nowhere
    )
    return await process.wait() == 0
