"""The real server, in a process of its own, on a free port of this machine."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

LOG = "server.log"
"""In the folder: what its servers wrote, one after the other."""

_NOTHING: tuple[dict[str, Any], ...] = ({"stage": "chat", "reply": "yes"},)
_START_S = 60.0
_STOP_S = 15.0
_POLL_S = 0.01


@dataclass(frozen=True, kw_only=True)
class Served:
    """A server that is ready."""

    url: str
    pid: int
    ready_s: float
    """From starting the process to the first 200 of ``/ready``."""


@asynccontextmanager
async def served(
    folder: Path,
    lines: Sequence[Mapping[str, Any]] = _NOTHING,
    variables: Mapping[str, str] | None = None,
) -> AsyncIterator[Served]:
    """Start ``python-coder serve`` with a scripted model and everything it keeps in ``folder``.

    It has ended when the context has, however that comes about.

    Args:
        folder: an empty one.
        lines: of the scripted model; each is used again and again.
        variables: of the environment, beside those that say where things are kept.

    Raises:
        RuntimeError: it does not become ready.
    """
    script = folder / "script.jsonl"
    repeated = [json.dumps({"repeat": True, **line}) for line in lines]
    script.write_text("\n".join(repeated), "utf-8")
    variables = {
        **(variables or {}),
        "PYTHON_CODER_MODEL": f"scripted:{script}",
        "PYTHON_CODER_DATA_DIR": str(folder / "data"),
        "PYTHON_CODE_EXECUTION_DIR": str(folder / "execution"),
    }
    started = time.perf_counter()
    with (folder / LOG).open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "backend.cli", "serve", "--port", "0", "--json"),
            env=os.environ | variables,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    try:
        async with asyncio.timeout(_START_S):
            url = await _address(process)
            await _wait_until_ready(url)
        ready_s = time.perf_counter() - started
        yield Served(url=url, pid=process.pid, ready_s=ready_s)
    except TimeoutError:
        raise RuntimeError(f"The server was not ready within {_START_S:g} s.") from None
    finally:
        await _end(process)


async def _address(process: asyncio.subprocess.Process) -> str:
    """From its one JSON document."""
    assert process.stdout is not None
    said = b""
    async for line in process.stdout:
        said += line
        with suppress(ValueError, KeyError):
            return str(json.loads(said)["url"])
    status = await process.wait()
    raise RuntimeError(f"The server ended with {status} before it listened: {said.decode()}")


async def _wait_until_ready(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=_START_S) as client:
        for _ in range(round(_START_S / _POLL_S)):
            if (await client.get("/ready")).status_code == 200:
                return
            await asyncio.sleep(_POLL_S)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
