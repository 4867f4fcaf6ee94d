"""The demo's server: the real one, in a process of its own, on a free port of this machine."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from backend.config.settings import Settings
from backend.demo.scenes import WINE, Scene
from backend.errors import MachineError

_START_S = 60.0
_STOP_S = 10.0
_ANSWER_S = 900.0
"""A live model on a slow machine takes its time."""
_ADDRESS = re.compile(r"http://\S+?(?=/v1\b)")


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """What was sent, and what came back."""

    url: str
    status: int
    body: dict[str, Any]

    @property
    def text(self) -> str:
        """The answer, or the error's message."""
        if self.status != 200:
            return str(self.body.get("error", {}).get("message", self.body))
        return str(self.body["choices"][0]["message"]["content"])

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the server tells beside the answer."""
        return self.body.get("x_agent_metadata") or {}


class DemoServer:
    """A server that is starting or has started."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._said: list[str] = []
        self._reader = asyncio.create_task(self._listen())
        self._address: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        async for raw in self._process.stderr:
            line = raw.decode(errors="replace").strip()
            self._said.append(line)
            found = _ADDRESS.search(line)
            if found and not self._address.done():
                self._address.set_result(found[0])
        if not self._address.done():
            said = " ".join(self._said[-3:]) or "it said nothing"
            error = MachineError(f"The server did not start: {said}", "Run: python-coder doctor")
            self._address.set_exception(error)

    async def address(self) -> str:
        """Where it listens, once it does.

        Raises:
            MachineError: it does not.
        """
        try:
            async with asyncio.timeout(_START_S):
                return await asyncio.shield(self._address)
        except TimeoutError:
            raise MachineError(
                f"The server did not start within {_START_S:g} s.", "Run: python-coder serve"
            ) from None

    async def ask(self, scene: Scene, model: str, wine: bytes) -> Exchange:
        """Upload the data, then ask about it: two requests as any client sends them."""
        import httpx

        url = await self.address()
        async with httpx.AsyncClient(base_url=url, timeout=_ANSWER_S, trust_env=False) as client:
            sent = await client.post(
                "/v1/files", files={"file": (WINE, wine, "text/csv")}, data={"purpose": "user_data"}
            )
            if sent.status_code == 200:
                sent = await client.post(
                    "/v1/chat/completions",
                    json={
                        "model": model,
                        "messages": [{"role": "user", "content": scene.question}],
                        "agent_type": scene.agent,
                        "file_ids": [sent.json()["id"]],
                    },
                )
        return Exchange(url=str(sent.request.url), status=sent.status_code, body=sent.json())

    async def aclose(self) -> None:
        """Stop it and wait until it has ended."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        finally:
            self._reader.cancel()
            if self._address.done() and not self._address.cancelled():
                self._address.exception()


@asynccontextmanager
async def start_server(settings: Settings) -> AsyncIterator[DemoServer]:
    """Start ``python-coder serve`` on a free port with these settings; it ends with the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "backend.cli", "serve", "--host", "127.0.0.1", "--port", "0"),
        env=dict(os.environ) | _as_environment(settings),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    async with AsyncExitStack() as stack:
        server = DemoServer(process)
        stack.push_async_callback(server.aclose)
        yield server


def _as_environment(settings: Settings) -> dict[str, str]:
    """The settings as the variables they came from, so that the server has the same."""
    variables = {}
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        if value is not None and field.alias:
            variables[field.alias] = str(value)
    return variables
