"""Asking the assistant in tests, with tools of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.config.settings import load_settings
from backend.core.assistant import open_assistant
from backend.core.requests import Answer, Ask
from backend.tools.toolbox import ToolContext, ToolResult, told
from backend.types import Event, ignore_event

Doing = Callable[[Mapping[str, Any]], Any]


def text_schema(*names: str) -> dict[str, Any]:
    """Texts of these names, all required."""
    properties = {name: {"type": "string"} for name in names}
    return {"type": "object", "properties": properties, "required": list(names)}


@dataclass(kw_only=True)
class HandTool:
    """A tool as somebody's distribution brings one along."""

    does: Doing
    """Given the arguments; what it returns is the observation, or the whole result."""
    name: str = "lookup"
    description: str = "looks something up. The input is what to look up."
    aliases: frozenset[str] = frozenset()
    schema: Mapping[str, Any] = field(default_factory=lambda: text_schema("what"))
    used: list[dict[str, Any]] = field(default_factory=list)
    """The arguments of each use."""

    async def use(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        self.used.append(dict(arguments))
        given = self.does(arguments)
        given = await given if asyncio.iscoroutine(given) else given
        return told(given) if isinstance(given, str) else given


async def put(
    question: str,
    *,
    tools: Iterable[HandTool] = (),
    events: list[Event] | None = None,
    settings: Mapping[str, Any] | None = None,
    **more: Any,
) -> Answer:
    """Ask, and be told the events."""
    async with open_assistant(load_settings(**(settings or {}))) as assistant:
        assistant.tools = tuple(tools)
        emit = ignore_event if events is None else events.append
        return await assistant.run(Ask(question=question, **more), emit)
