"""A LangChain tool, as the agents use it.

Tools of MCP servers do not come by this way: as LangChain tools they belong to one session, and
lose sounds, the names of resources and arguments that are called ``runtime``.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool

from backend.tools.extra.extra_tool import ExtraTool, in_time
from backend.tools.extra.names import plain_schema, safe_name, shown_description
from backend.tools.extra.results import Collected
from backend.tools.toolbox import ToolContext, ToolResult


@dataclass(frozen=True, kw_only=True)
class LangChainTool(ExtraTool):
    """A ``BaseTool`` of somebody else's."""

    tool: BaseTool

    async def _use(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        return await in_time(self.name, context, self._invoke(arguments, context))

    async def _invoke(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        call = {"type": "tool_call", "id": uuid.uuid4().hex, "name": self.tool.name}
        message = await self.tool.ainvoke({**call, "args": arguments})
        collected = Collected(self.name, max_file_bytes=context.settings.max_file_bytes)
        _collect(collected, message)
        success = getattr(message, "status", "success") != "error"
        return await collected.as_result(context, success=success)


def wrap(tool: BaseTool) -> LangChainTool:
    """A LangChain tool as one of ours."""
    schema: Any = tool.tool_call_schema  # without what is none of a model's business
    if not isinstance(schema, dict):
        is_new = hasattr(schema, "model_json_schema")
        schema = schema.model_json_schema() if is_new else schema.schema()
    name = safe_name(tool.name) or "tool"
    tool = tool.model_copy()
    # Not a field, and looked up on the tool when it is used.
    object.__setattr__(tool, "_arun", _without_exit(tool._arun))
    return LangChainTool(
        name=name,
        description=shown_description(tool.description or tool.name),
        aliases=frozenset(),
        schema=plain_schema(schema),
        tool=tool,
    )


def _without_exit(run: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """``run``, which LangChain calls in a task of its own: ``sys.exit`` there ends the event loop."""

    @functools.wraps(run)
    async def run_and_stay(*given: Any, **named: Any) -> Any:
        try:
            return await run(*given, **named)
        except SystemExit as error:
            raise RuntimeError(f"it called sys.exit({error.code!r})") from None

    return run_and_stay


def _collect(collected: Collected, message: Any) -> None:
    if not isinstance(message, ToolMessage):
        collected.add_text(str(message))
        return
    blocks: list[Any] = message.content_blocks
    for block in blocks:
        match block:
            case {"type": "text", "text": text}:
                collected.add_text(text)
            case {"type": "image" | "audio" | "video" | "file", "base64": data}:
                collected.add_base64(data, block.get("mime_type"))
            case {"type": kind, "url": url}:
                collected.add_text(f"[{kind}: {url}]")
            case _:
                collected.add_text(str(block.get("value", block)))
