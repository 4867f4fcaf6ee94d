"""A real MCP server, run by the tests as a program of its own: ``weather_server.py stdio|talkative|http|sse``."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from pathlib import Path

from mcp.server.fastmcp import FastMCP, Image
from mcp.types import BlobResourceContents, EmbeddedResource, TextResourceContents
from pydantic import AnyUrl

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

server = FastMCP("weather", host="127.0.0.1", log_level="WARNING")
there: list[str] = []


def write(marker: str, text: str) -> None:
    Path(marker).write_text(text, encoding="utf-8")


@server.tool()
async def forecast(city: str, days: int = 1, units: dict[str, str] | None = None) -> str:
    """The forecast for a city."""
    return f"{city}: rain for {days} days, {units or 'plain'}"


@server.tool()
async def together(name: str, of: int) -> str:
    """Answers when as many calls as ``of`` are there at the same time."""
    there.append(name)
    while len(there) < of:  # noqa: ASYNC110 - a server of three lines
        await asyncio.sleep(0.01)
    return f"{name} met {of}"


@server.tool()
async def broken() -> str:
    """Fails."""
    raise ValueError("no such station")


@server.tool()
async def slow(marker: str) -> str:
    """Takes for ever; says in files that it began and that it was cancelled."""
    write(marker, "begun")
    try:
        await asyncio.sleep(3600)
    except BaseException:
        write(marker, "cancelled")
        raise
    return "done"


@server.tool()
async def pid() -> str:
    """The number of the server's process."""
    return str(os.getpid())


@server.tool()
async def long() -> str:
    """A long text."""
    return "begin " + "x" * 50_000 + " end"


@server.tool()
async def picture() -> Image:
    """A picture."""
    return Image(data=PIXEL, format="png")


@server.tool()
async def resources() -> list[EmbeddedResource]:
    """A text and bytes."""
    text = TextResourceContents(
        uri=AnyUrl("file:///reports/june.csv"), mimeType="text/csv", text="a,b\n1,2\n"
    )
    blob = BlobResourceContents(
        uri=AnyUrl("file:///reports/raw.bin"),
        mimeType="application/octet-stream",
        blob=base64.b64encode(b"\0\1").decode(),
    )
    return [EmbeddedResource(type="resource", resource=each) for each in (text, blob)]


@server.tool()
async def variable(name: str) -> str:
    """A variable of the server's environment."""
    return os.environ.get(name, "unset")


@server.tool()
async def leave_a_child() -> str:
    """Starts a program that would go on for ever."""
    child = await asyncio.create_subprocess_exec("sleep", "3600", stdin=asyncio.subprocess.DEVNULL)
    return str(child.pid)


def main() -> None:
    mode = sys.argv[1]
    print("weather is served", file=sys.stderr, flush=True)
    if mode in {"http", "sse"}:
        server.settings.port = int(sys.argv[2])
        server.run("sse" if mode == "sse" else "streamable-http")
        return
    if mode == "talkative":
        print("Welcome to the weather server!", flush=True)
        print('{"jsonrpc": "2.0", "method": "notifications/of_its_own"}', flush=True)
        sys.stdout.buffer.write(b"\xff not \x00 json {\n\n")
        sys.stdout.flush()
    server.run("stdio")


if __name__ == "__main__":
    main()
