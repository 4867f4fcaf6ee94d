"""What tools from elsewhere have in common: arguments that fit, and an end when their time is over."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any

from backend.tools.extra.arguments import fit_arguments, short_schema
from backend.tools.toolbox import ToolContext, ToolResult, told


@dataclass(frozen=True, kw_only=True)
class ExtraTool(ABC):
    """A ``Tool`` that is not ours. What it raises is told by ``using.use``."""

    name: str
    description: str
    aliases: frozenset[str]
    schema: Mapping[str, Any]
    """As ``plain_schema`` makes it."""

    async def use(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        """Put the arguments right and do it (see ``Tool.use``)."""
        fitted, faults = fit_arguments(arguments, self.schema)
        if faults:
            takes = short_schema(self.schema)
            text = f"{self.name} was not used: {'; '.join(faults)}. Its arguments: {takes}."
            return told(text, success=False)
        return await self._use(fitted, context)

    @abstractmethod
    async def _use(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        """Do it, with arguments that the schema takes."""


async def in_time(name: str, context: ToolContext, using: Awaitable[ToolResult]) -> ToolResult:
    """The result of a use, or in words that it took too long."""
    limit = asyncio.timeout(context.settings.tool_timeout_s)
    try:
        async with limit:
            return await using
    except Exception:
        if not limit.expired():
            raise
        seconds = f"{context.settings.tool_timeout_s:g} seconds"
        return told(f"{name} gave nothing back within {seconds}.", success=False)
