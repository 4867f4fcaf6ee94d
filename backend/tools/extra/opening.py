"""The tools beside those of the house, opened once: those of MCP servers and of entry points."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from backend.config.settings import Settings
from backend.tools.extra.entry_points import Offer, load_offers, offered_names
from backend.tools.extra.mcp_file import Server, read_servers
from backend.tools.extra.names import plain_schema, safe_name, shown_description, unique_names
from backend.tools.registry import FINISHING, NO_TOOL, ToolName
from backend.tools.toolbox import Tool
from backend.types import MachineFinding

if TYPE_CHECKING:
    from mcp.types import Tool as OfferedTool

    from backend.tools.extra.mcp_server import McpServer

OWN_NAMES = frozenset({*ToolName, NO_TOOL, *FINISHING.aliases})
"""The actions of the house, and all that models write when they are done."""


@dataclass(frozen=True, kw_only=True)
class Extras:
    """The tools from elsewhere that work, and what is to be known of all that were to be there."""

    tools: tuple[Tool, ...] = ()
    findings: tuple[MachineFinding, ...] = ()
    """One for each server and entry point."""


@asynccontextmanager
async def open_tools(
    settings: Settings, *, taken: Collection[str] = OWN_NAMES
) -> AsyncIterator[Extras]:
    """Start the configured MCP servers, load the entry points, and end the servers again.

    A server that cannot be reached, or an entry point that cannot be loaded, is not listed and is
    told of in ``findings`` and in the log; it keeps nothing else from starting.

    Args:
        settings: ``mcp_file`` and ``tool_timeout_s``.
        taken: names that no tool from elsewhere may have.

    Raises:
        SettingsError: the file of the servers cannot be read or has not the form it should have.
    """
    async with _open(settings, taken) as extras:
        for finding in extras.findings:
            if finding.state != "ok":
                logging.getLogger("backend.tools").warning("%s %s", finding.what, finding.remedy)
        yield extras


async def examine(settings: Settings, *, start: bool) -> list[MachineFinding]:
    """What there is to know of servers and entry points, for whoever asks what is missing.

    Args:
        settings: as for ``open_tools``.
        start: start the servers and load the entry points; else they are only named.

    Raises:
        SettingsError: as ``open_tools``.
    """
    if start:
        async with _open(settings, OWN_NAMES) as extras:
            return list(extras.findings)
    servers = await asyncio.to_thread(_servers, settings)
    named = [("mcp", f"{server.name}: {server.place}") for server in servers]
    named += [("tools", name) for name in await asyncio.to_thread(offered_names)]
    return [
        MachineFinding(topic=topic, state="note", what=f"{what}, not tried")
        for topic, what in named
    ]


@asynccontextmanager
async def _open(settings: Settings, taken: Collection[str]) -> AsyncIterator[Extras]:
    servers = await asyncio.to_thread(_servers, settings)
    offers = await asyncio.to_thread(load_offers)
    async with AsyncExitStack() as stack:
        connected = await _connect(servers, settings, stack)
        yield await asyncio.to_thread(_named, connected, offers, taken)


def _servers(settings: Settings) -> list[Server]:
    return read_servers(settings.mcp_file) if settings.mcp_file else []


@dataclass(frozen=True, kw_only=True)
class _Connected:
    server: McpServer
    tools: Sequence[OfferedTool] = ()
    fault: str = ""


async def _connect(
    servers: Sequence[Server], settings: Settings, stack: AsyncExitStack
) -> list[_Connected]:
    """Start all servers at the same time, and ask each for its tools."""
    if not servers:
        return []
    # They import half a web framework, and nobody else needs them.
    await asyncio.to_thread(_import_library)
    from backend.tools.extra.mcp_link import quiet_library
    from backend.tools.extra.mcp_server import McpServer

    stack.enter_context(quiet_library())
    made = [
        McpServer(
            server,
            timeout_s=settings.tool_timeout_s,
            connect_timeout_s=settings.connect_timeout_s,
        )
        for server in servers
    ]
    stack.push_async_callback(_close, made)
    return list(await asyncio.gather(*(_ask_for_tools(server) for server in made)))


def _import_library() -> None:
    import langchain_mcp_adapters.sessions  # noqa: F401


async def _close(servers: Sequence[McpServer]) -> None:
    await asyncio.gather(*(server.aclose() for server in servers))


async def _ask_for_tools(server: McpServer) -> _Connected:
    from mcp import McpError

    from backend.tools.extra.mcp_server import Unreachable

    try:
        return _Connected(server=server, tools=await server.list_tools())
    except Unreachable as error:
        fault = str(error)
    except McpError as error:
        fault = f"The MCP server {server.name!r} does not list its tools: {error.error.message}."
    await server.aclose()
    return _Connected(server=server, fault=fault)


def _named(
    connected: Sequence[_Connected], offers: Sequence[Offer], taken: Collection[str]
) -> Extras:
    offered = [(each.server.name, tool.name) for each in connected for tool in each.tools]
    offered += [(offer.distribution, tool.name) for offer in offers for tool in offer.tools]
    names = iter(unique_names(offered, taken))
    tools: list[Tool] = []
    findings = []
    for each in connected:
        added: list[Tool] = [_mcp_tool(tool, each.server, next(names)) for tool in each.tools]
        findings.append(_finding("mcp", each.server.name, added, each.fault))
        tools += added
    for offer in offers:
        added = [replace(tool, name=next(names)) for tool in offer.tools]
        fault = f"{offer.source} cannot be loaded: {offer.fault}." if offer.fault else ""
        findings.append(_finding("tools", offer.source, added, fault))
        tools += added
    return Extras(tools=tuple(tools), findings=tuple(findings))


def _mcp_tool(tool: OfferedTool, server: McpServer, name: str) -> Tool:
    from backend.tools.extra.mcp_tool import McpTool

    return McpTool(
        name=name,
        description=shown_description(
            tool.description or tool.title or f"{tool.name} of {server.name}"
        ),
        aliases=frozenset({safe_name(f"{server.name}_{tool.name}").lower()}),
        schema=plain_schema(tool.inputSchema),
        server=server,
        offered_as=tool.name,
    )


def _finding(topic: str, source: str, tools: Sequence[Tool], fault: str) -> MachineFinding:
    if fault:
        remedy = "Its tools are not listed; mend it and start again."
        return MachineFinding(topic=topic, state="note", what=fault, remedy=remedy)
    names = ", ".join(tool.name for tool in tools)
    return MachineFinding(topic=topic, state="ok", what=f"{source}: {names or 'offers no tools'}")
