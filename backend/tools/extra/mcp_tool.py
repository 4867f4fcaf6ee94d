"""A tool of an MCP server, as the agents use it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from mcp import McpError
from mcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from backend.tools.extra.extra_tool import ExtraTool
from backend.tools.extra.mcp_server import McpServer, Unreachable
from backend.tools.extra.results import Collected
from backend.tools.toolbox import ToolContext, ToolResult, told


@dataclass(frozen=True, kw_only=True)
class McpTool(ExtraTool):
    """A tool that a server offers."""

    server: McpServer
    offered_as: str
    """Its name at the server."""

    async def _use(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        origin: dict[str, Any] = {"server": self.server.name, "tool": self.offered_as}
        try:
            result = await self.server.call(self.offered_as, arguments)
        except Unreachable as error:
            return told(f"{error} Nothing came of {self.name}.", success=False, **origin)
        except McpError as error:
            said = error.error.message
            return told(f"{self.name} was refused: {said}", success=False, **origin)
        collected = _collect(self.name, result, context)
        return await collected.as_result(context, success=not result.isError, **origin)


def _collect(name: str, result: CallToolResult, context: ToolContext) -> Collected:
    collected = Collected(name, max_file_bytes=context.settings.max_file_bytes)
    for block in result.content:
        _add(collected, block)
    if collected.is_empty and result.structuredContent is not None:
        collected.add_text(json.dumps(result.structuredContent, ensure_ascii=False))
    return collected


def _add(collected: Collected, block: ContentBlock) -> None:
    match block:
        case TextContent():
            collected.add_text(block.text)
        case ImageContent() | AudioContent():
            collected.add_base64(block.data, block.mimeType)
        case ResourceLink():
            collected.add_text(f"[{block.name}: {block.uri}]")
        case EmbeddedResource(resource=BlobResourceContents() as found):
            collected.add_base64(found.blob, found.mimeType, uri=str(found.uri))
        case EmbeddedResource(resource=TextResourceContents() as found):
            collected.add_text(found.text)
            collected.add_file(found.text.encode(), found.mimeType, uri=str(found.uri))
