"""Tools that installed distributions offer: entry points of the group ``python_coder.tools``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NoReturn

from backend.tools.toolbox import Tool

GROUP = "python_coder.tools"
_TOOL_PARTS = ("name", "description", "aliases", "schema", "use")


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What one entry point came to."""

    name: str
    distribution: str
    tools: tuple[Tool, ...] = ()
    fault: str = ""
    """Why there are none."""


def load_offers() -> list[Offer]:
    """Load every entry point of the group. Imports their modules, so not in an event loop."""
    found = sorted(entry_points(group=GROUP), key=lambda each: each.name)
    return [_load(each) for each in found]


def _load(point: EntryPoint) -> Offer:
    distribution = point.dist.name if point.dist else "?"
    try:
        tools = tuple(_tools(point.load()))
    except (Exception, SystemExit) as error:
        fault = " ".join(f"{type(error).__name__}: {error}".split())
        return Offer(name=point.name, distribution=distribution, fault=fault)
    return Offer(name=point.name, distribution=distribution, tools=tools)


def _tools(loaded: Any, *, may_call: bool = True) -> Iterator[Tool]:
    """The tools in what was loaded: one, some, or what gives them when it is called."""
    if (tool := _tool(loaded)) is not None:
        yield tool
    elif may_call and callable(loaded):
        yield from _tools(loaded(), may_call=False)
    elif isinstance(loaded, Iterable) and not isinstance(loaded, str | bytes | type):
        for each in loaded:
            yield _tool(each) or _refuse(each)
    else:
        _refuse(loaded)


def _refuse(value: Any) -> NoReturn:
    raise TypeError(
        f"{value!r} is no tool: name a Tool, a LangChain BaseTool, or what returns some"
    )


def _tool(value: Any) -> Tool | None:
    if isinstance(value, type):
        return None  # a class is called for its tool
    if _is_langchain(value):
        from backend.tools.extra.langchain_tool import wrap

        return wrap(value)
    if not all(hasattr(value, part) for part in _TOOL_PARTS):
        return None
    tool: Tool = value
    return tool


def _is_langchain(value: Any) -> bool:
    """It is a LangChain tool; what is none does not make us import LangChain."""
    return any(
        each.__module__.startswith("langchain_core.tools") and each.__name__ == "BaseTool"
        for each in type(value).__mro__
    )
