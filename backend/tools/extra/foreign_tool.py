"""A tool that others wrote in our form: what it raises, and that it never ends, stays its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any

from backend.errors import PythonCoderError
from backend.prompts.texts import OBSERVATION_CHARS, shorten
from backend.tools.extra.arguments import fit_arguments
from backend.tools.extra.names import plain_schema, safe_name, shown_description
from backend.tools.extra.results import refused
from backend.tools.toolbox import Tool, ToolContext, ToolResult, told


@dataclass(frozen=True, kw_only=True)
class ForeignTool:
    """Somebody else's ``Tool``."""

    name: str
    description: str
    aliases: frozenset[str]
    schema: Mapping[str, Any]
    tool: Tool

    async def use(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        """Let it do its work. What it raises is told in the result."""
        fitted, faults = fit_arguments(arguments, self.schema)
        if faults:
            return refused(self.name, faults, self.schema)
        return await guarded(self.name, context, self._use(fitted, context))

    async def _use(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        result = await self.tool.use(arguments, context)
        return {**told(""), **result, "text": shorten(result["text"], OBSERVATION_CHARS)}


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


async def guarded(name: str, context: ToolContext, using: Awaitable[ToolResult]) -> ToolResult:
    """The result of a use, or in words what was raised or that it took too long.

    Raises:
        PythonCoderError: our machinery failed in it.
    """
    limit = asyncio.timeout(context.settings.tool_timeout_s)
    try:
        async with limit:
            return await using
    except PythonCoderError:
        raise
    except Exception as error:
        if limit.expired():
            seconds = f"{context.settings.tool_timeout_s:g} seconds"
            return told(f"{name} gave nothing back within {seconds}.", success=False)
        what = shorten(f"{name} failed: {type(error).__name__}: {error}", OBSERVATION_CHARS)
        return told(what, success=False)
