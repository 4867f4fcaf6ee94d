"""Tools that installed distributions offer: entry points of the group ``python_coder.tools``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from backend.tools.extra.foreign_tool import ForeignTool, adopt

if TYPE_CHECKING:
    from backend.tools.extra.langchain_tool import LangChainTool

Offered: TypeAlias = "ForeignTool | LangChainTool"

GROUP = "python_coder.tools"
_TOOL_PARTS = ("name", "description", "aliases", "schema", "use")


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What one entry point came to."""

    source: str
    """The entry point and whose it is, in words."""
    distribution: str
    tools: tuple[Offered, ...] = ()
    fault: str = ""
    """Why there are none."""


def load_offers() -> list[Offer]:
    """Load every entry point of the group. Imports their modules, so not in an event loop."""
    return [_load(point) for point in _points()]


def offered_names() -> list[str]:
    """What entry points there are, none of them loaded."""
    return [_source(point) for point in _points()]


def _points() -> list[EntryPoint]:
    return sorted(entry_points(group=GROUP), key=lambda each: each.name)


def _source(point: EntryPoint) -> str:
    return f"{point.name} of {_distribution(point)}"


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "an unknown distribution"


def _load(point: EntryPoint) -> Offer:
    source, distribution = _source(point), _distribution(point)
    try:
        tools = tuple(_tools(point.load()))
    except (Exception, SystemExit) as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        return Offer(source=source, distribution=distribution, fault=what)
    return Offer(source=source, distribution=distribution, tools=tools)


def _tools(loaded: Any, *, may_call: bool = True) -> Iterator[Offered]:
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


def _tool(value: Any) -> Offered | None:
    if isinstance(value, type):
        return None  # a class is called for its tool
    if _is_langchain(value):
        from backend.tools.extra.langchain_tool import wrap

        return wrap(value)
    if not all(hasattr(value, part) for part in _TOOL_PARTS):
        return None
    return adopt(value)


def _is_langchain(value: Any) -> bool:
    """It is a LangChain tool; what is none does not make us import LangChain."""
    return any(
        each.__module__.startswith("langchain_core.tools") and each.__name__ == "BaseTool"
        for each in type(value).__mro__
    )
