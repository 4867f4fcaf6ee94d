"""MCP servers of the tests, as a user configures them."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from backend.config.settings import load_settings
from backend.store.blobs import BlobStore
from backend.tools.extra.opening import Extras, open_tools
from backend.tools.toolbox import Tool, ToolContext
from backend.types import ExecutionRequest, ExecutionResult

PROGRAM = Path(__file__).with_name("weather_server.py")

OpenServers = Callable[..., AbstractAsyncContextManager[Extras]]


def as_program(mode: str = "stdio", **more: Any) -> dict[str, Any]:
    """An entry of the file: the tests' server as a program."""
    return {"command": sys.executable, "args": [str(PROGRAM), mode], **more}


def tool_of(extras: Extras, name: str) -> Tool:
    """The tool of a name."""
    return {tool.name: tool for tool in extras.tools}[name]


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenServers:
    """Open the tools of servers, written into a file as a user writes it."""

    @asynccontextmanager
    async def opened(
        servers: dict[str, Any], *, timeout_s: float = 60, **more: Any
    ) -> AsyncIterator[Extras]:
        path = tmp_path / "mcp.json"
        path.write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")
        monkeypatch.setenv("PYTHON_CODER_MCP", str(path))
        monkeypatch.setenv("PYTHON_CODER_TOOL_TIMEOUT", str(timeout_s))
        async with open_tools(load_settings(), **more) as extras:
            yield extras

    return opened


@pytest.fixture
def context(tmp_path: Path) -> ToolContext:
    """What a tool may use."""

    async def execute(request: ExecutionRequest) -> ExecutionResult:
        raise AssertionError("no tool from elsewhere runs a program")

    return ToolContext(
        settings=load_settings(tool_timeout_s=20),
        execute=execute,
        blobs=BlobStore(tmp_path / "blobs"),
    )
