"""A tool that others wrote in our form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from backend.tools.extra.extra_tool import ExtraTool, in_time
from backend.tools.extra.names import plain_schema, safe_name, shown_description
from backend.tools.toolbox import Tool, ToolContext, ToolResult


@dataclass(frozen=True, kw_only=True)
class ForeignTool(ExtraTool):
    """Somebody else's ``Tool``."""

    tool: Tool

    async def _use(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        return await in_time(self.name, context, self.tool.use(arguments, context))


def adopt(tool: Tool) -> ForeignTool:
    """A tool in our form, with what prompts and models can rely on.

    Raises:
        TypeError: it has not our form after all.
    """
    if not isinstance(tool.name, str) or not callable(tool.use):
        raise TypeError(f"{tool!r} is no tool: its name is no text, or it cannot be used")
    return ForeignTool(
        name=safe_name(tool.name) or "tool",
        description=shown_description(str(tool.description)),
        aliases=frozenset(tool.aliases),
        schema=plain_schema(tool.schema),
        tool=tool,
    )
