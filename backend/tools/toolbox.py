"""Tools as the agents see them: what each is for, what it is given, and what came of a use."""

from __future__ import annotations

import difflib
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypedDict

from backend.config.settings import Settings
from backend.llm.loose_json import NotAnObject, parse_object
from backend.store.blobs import BlobStore
from backend.types import (
    ArtifactRef,
    Emit,
    ErrorKind,
    Execute,
    ExecutionRequest,
    ignore_event,
)

_CLOSE_ENOUGH = 0.8


Allowed = Callable[[ExecutionRequest], Awaitable[ExecutionRequest]]


class ToolResult(TypedDict):
    """What came of one use of a tool; plain JSON values, kept in a graph's state."""

    success: bool
    text: str
    """The observation: everything the model gets to see of it."""
    artifacts: list[ArtifactRef]
    isolation: dict[str, Any] | None
    """The walls of the program it ran; None where it ran none."""
    error_kind: ErrorKind | None
    """Who must act, where it failed; None where the model can do something else."""
    details: dict[str, Any]
    """More of it for the answer's metadata: code, hits, ..."""


async def _as_it_is(request: ExecutionRequest) -> ExecutionRequest:
    return request


@dataclass(frozen=True, kw_only=True)
class ToolContext:
    """What a tool may use while it works on one request."""

    settings: Settings
    execute: Execute
    """Runs a program behind the static check; in the request's session where there is one."""
    blobs: BlobStore
    files: Mapping[str, Path] = field(default_factory=dict)
    """Name in the working directory -> path outside."""
    emit: Emit = ignore_event
    allowed: Allowed = _as_it_is
    """The program that ``execute`` will run: the user's, where they are asked and change it."""


class Described(Protocol):
    """Something a model may name in its next step."""

    @property
    def name(self) -> str:
        """As models write it: letters, digits and underscores."""

    @property
    def description(self) -> str:
        """For a prompt, one or two sentences: what it does, and what its input is."""

    @property
    def aliases(self) -> frozenset[str]:
        """What models write when they mean it, in small letters with underscores."""

    @property
    def schema(self) -> Mapping[str, Any]:
        """The JSON schema of its arguments, an object."""


class Tool(Described, Protocol):
    """Something an agent can use."""

    async def use(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        """Do it. What fails by the arguments or by what they lead to is told in the result.

        Args:
            arguments: as ``schema`` has them; not validated before.
            context: what it may use.

        Raises:
            PythonCoderError: our machinery failed; no other arguments would help.
        """


def told(
    text: str,
    *,
    success: bool = True,
    artifacts: Sequence[ArtifactRef] = (),
    isolation: Mapping[str, Any] | None = None,
    error_kind: ErrorKind | None = None,
    **details: Any,
) -> ToolResult:
    """A result with what is usually empty left out."""
    return {
        "success": success,
        "text": text,
        "artifacts": list(artifacts),
        "isolation": None if isolation is None else dict(isolation),
        "error_kind": error_kind,
        "details": details,
    }


class Toolbox:
    """The tools of one request, by name, in the order in which they are listed."""

    def __init__(self, tools: Sequence[Described]) -> None:
        self._tools = {str(tool.name): tool for tool in tools}

    def __getitem__(self, name: str) -> Described:
        return self._tools[name]

    def __iter__(self) -> Iterator[Described]:
        return iter(self._tools.values())

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    @property
    def names(self) -> list[str]:
        """Of all of them."""
        return list(self._tools)

    def describe(self) -> str:
        """One line a tool, for a prompt."""
        return "\n".join(f"- {_line(tool)}" for tool in self)

    def find(self, named: str) -> str | None:
        """The tool a model means; None for something unknown.

        Bold, backticks, quotes, words around it, other spellings and small slips are understood.
        """
        words = re.findall(r"[a-z0-9]+", named.lower())
        whole = "_".join(words)
        for name in self._tools:
            if whole == name.lower():
                return name
        for name, tool in self._tools.items():
            if whole in tool.aliases:
                return name
        if whole and len(words) <= 6:
            padded = f"_{whole}_"
            for name, tool in self._tools.items():
                telling = {name.lower(), *(alias for alias in tool.aliases if "_" in alias)}
                if any(f"_{each}_" in padded for each in telling):
                    return name
        close = difflib.get_close_matches(whole, self._tools, n=1, cutoff=_CLOSE_ENOUGH)
        return close[0] if close else None


def takes_object(tool: Described) -> bool:
    """Its input cannot be said in one text: several arguments, or one that is none."""
    properties: Mapping[str, Any] = tool.schema.get("properties", {})
    required = list(tool.schema.get("required", ()))
    if len(required) != 1:
        return len(properties) > 1
    kind: str = properties.get(required[0], {}).get("type", "string")
    return kind != "string"


def _line(tool: Described) -> str:
    text = " ".join(tool.description.split())
    if not takes_object(tool):
        return f"{tool.name}: {text}"
    required = tool.schema.get("required", ())
    parts = [
        f'"{name}": {given.get("type", "value")}{"" if name in required else " (optional)"}'
        for name, given in tool.schema.get("properties", {}).items()
    ]
    return f"{tool.name}: {text} The input is JSON: {{{', '.join(parts)}}}"


def arguments_of(tool: Described, given: str) -> dict[str, Any]:
    """What a model gave a tool, as its arguments.

    A JSON object with keys of the tool's is taken as it is; any other text is the one argument
    that has to be there, or else the first.
    """
    properties: Mapping[str, Any] = tool.schema.get("properties", {})
    value = _whole_object(given.strip())
    if value is not None and (not properties or properties.keys() & value.keys()):
        return value
    required = [name for name in tool.schema.get("required", ()) if name in properties]
    first = next(iter([*required, *properties]), None)
    return {} if first is None or not given.strip() else {first: given}


def _whole_object(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        value, end = parse_object(text, 0)
    except NotAnObject:
        return None
    return value if end == len(text) else None
