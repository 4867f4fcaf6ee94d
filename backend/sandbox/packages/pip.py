"""pip of the programs' interpreter: started with what it needs, ended with all it has started."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from backend.sandbox.endings import see_through
from backend.sandbox.packages.overlay import tree_size

_LOOK_SECONDS = 0.25
_MAX_SAID = 1 << 20
_QUOTED_CHARS = 300
_STARTER: Final = """\
import ctypes, os, resource, runpy, signal, sys
parent, file_bytes = int(sys.argv[1]), int(sys.argv[2])
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != parent:
    os._exit(1)
os.nice(5)
resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
sys.argv[:] = ["pip", *sys.argv[3:]]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""
"""pip ends when we do, however we do, and no file of it grows beyond the limit of all."""
_KEPT_VARIABLES: Final = frozenset(
    "HOME USER LOGNAME XDG_CONFIG_HOME XDG_CONFIG_DIRS XDG_CACHE_HOME NETRC "
    "HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy all_proxy no_proxy "
    "SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE "
    "PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_NO_INDEX PIP_TRUSTED_HOST PIP_CERT "
    "PIP_CLIENT_CERT PIP_PROXY PIP_CONFIG_FILE PIP_DEFAULT_TIMEOUT PIP_TIMEOUT PIP_RETRIES "
    "PIP_KEYRING_PROVIDER PIP_CACHE_DIR PIP_NO_CACHE_DIR PIP_USE_FEATURE PIP_USE_DEPRECATED".split()
)
"""How the machine reaches its package index; whatever else we have in ours is none of pip's."""
_UNREACHABLE = re.compile(
    r"Retrying \(|connection error|ConnectionError|Max retries exceeded|SSLError|SSL certificate"
    r"|Name or service not known|Temporary failure in name resolution|[Tt]imed out|ReadTimeout"
    r"|ProxyError|HTTP error 5\d\d|5\d\d Server Error"
)
_FORBIDDEN = re.compile(r"40[137] Client Error|HTTP error 40[137]")
_URL = re.compile(r"\b(?:https?|file|ftp)://\S+")


class PipFailed(Exception):
    """A package was not installed; the text says why and what to do, in one or two sentences."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What pip has installed."""

    packages: tuple[Mapping[str, Any], ...]
    """The metadata of each."""
    environment: Mapping[str, str]
    """The values that markers are compared with, of the programs' interpreter."""


@dataclass(frozen=True, kw_only=True)
class Pip:
    """Installs wheels, alone, into folders; see ``install``."""

    executable: str
    """The programs' interpreter."""
    max_bytes: int
    """Of everything that one call may write."""

    async def install(self, requirements: Sequence[str], target: Path, staging: Path) -> Report:
        """Install wheels without what they depend on; no code of theirs runs.

        Cancelling ends every process of it before this returns.

        Args:
            requirements: names with version specifiers, nothing else.
            target: a folder that is not there yet.
            staging: where it may write besides; its size is what is held against the limit.

        Raises:
            PipFailed: it did not do it.
        """
        report = staging / "report.json"
        argv = [
            *(self.executable, "-I", "-B", "-X", "utf8", "-c", _STARTER),
            *(str(os.getpid()), str(self.max_bytes)),
            *("install", "--no-deps", "--only-binary", ":all:", "--no-input", "--progress-bar=off"),
            *("--target", str(target), "--report", str(report), "-vv"),
            *("--", *requirements),
        ]
        said, status = await self._run(argv, staging)
        if status != 0:
            raise PipFailed(_why(said, self.executable))
        return await asyncio.to_thread(_read, report)

    async def _run(self, argv: Sequence[str], staging: Path) -> tuple[str, int]:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=staging,
            env=_environment(staging),
            start_new_session=True,
        )
        assert process.stdout is not None
        listening = asyncio.ensure_future(_listen(process.stdout))
        try:
            while not (await asyncio.wait({listening}, timeout=_LOOK_SECONDS))[0]:
                if await asyncio.to_thread(tree_size, staging) > self.max_bytes:
                    raise PipFailed(
                        f"It is larger than the {self.max_bytes // 2**20} MiB that packages may have."
                    )
            return listening.result(), await process.wait()
        finally:
            await see_through(_end(process, listening))


async def _listen(stream: asyncio.StreamReader) -> str:
    """The end of what it says, once it has said everything."""
    said = b""
    while new := await stream.read(1 << 16):
        said = (said + new)[-_MAX_SAID:]
    return said.decode(errors="replace")


async def _end(process: asyncio.subprocess.Process, listening: asyncio.Future[str]) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    listening.cancel()
    await asyncio.wait({listening})


def _environment(staging: Path) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if name in _KEPT_VARIABLES},
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "TMPDIR": str(staging),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_PYTHON_VERSION_WARNING": "1",
        "PIP_REQUIRE_VIRTUALENV": "0",
        "PIP_USER": "0",
    }


def _read(report: Path) -> Report:
    try:
        answer = json.loads(report.read_bytes())
        packages = tuple(entry["metadata"] for entry in answer["install"])
        return Report(packages=packages, environment=dict(answer["environment"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise PipFailed(f"pip did not report what it installed ({error}).") from error


def _why(said: str, executable: str) -> str:
    """What went wrong, and what to do; without the index's address, which may hold a password."""
    if "No module named pip" in said:
        return f"The programs' Python has no pip. Run: {executable} -m ensurepip"
    if "no such option" in said:
        return f"Its pip is too old. Run: {executable} -m pip install --upgrade 'pip>=22.2'"
    if _UNREACHABLE.search(said):
        return (
            "The package index cannot be reached. See that this machine reaches the one that pip is "
            "configured with (pip config list), then ask again."
        )
    if _FORBIDDEN.search(said):
        return "The package index lets pip of this machine not in. See to its user and password."
    if "No matching distribution found" in said:
        return (
            "The package index has no wheel of it for this Python in the versions that are allowed, "
            "and nothing is built here. Check its name and version in PYTHON_CODE_INSTALL_LIST, or "
            "install it into the programs' environment yourself."
        )
    errors = [line for line in said.splitlines() if line.startswith("ERROR:")] or said.splitlines()
    line = _URL.sub("the index", " ".join(errors[-1].split())) if errors else "nothing"
    return f"pip said: {line.removeprefix('ERROR: ')[:_QUOTED_CHARS]}"
