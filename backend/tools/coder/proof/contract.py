"""What a program has to leave behind: names and types, and its values held against them."""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from backend.tools.coder.proof.declared import SUPPORTED, Unsupported, kind_of
from backend.tools.coder.proof.encoded import FILE, Malformed, tag_of
from backend.tools.coder.proof.kinds import File, Kind, Mismatch
from backend.tools.coder.proof.values import as_object, as_plain
from backend.types import Artifact, ArtifactRef, Issue

_MOST_OUTPUTS = 60


@dataclass(frozen=True, kw_only=True)
class OutputSpec:
    """The declared outputs, in the order they were declared."""

    kinds: Mapping[str, Kind]

    def __bool__(self) -> bool:
        return bool(self.kinds)

    @property
    def names(self) -> tuple[str, ...]:
        """What to ask an execution for as its ``outputs``."""
        return tuple(self.kinds)

    @property
    def types(self) -> dict[str, str]:
        """Name -> the type as text, which can be parsed again."""
        return {name: kind.text for name, kind in self.kinds.items()}

    def describe(self) -> str:
        """For a prompt: which names the program has to define, one a line."""
        if not self.kinds:
            return ""
        lines = ["When it ends, these names are defined at the top level of the program:"]
        for name, kind in self.kinds.items():
            more = " (the path of a file that the program writes)" if isinstance(kind, File) else ""
            lines.append(f"- `{name}`: {kind.text}{more}")
        return "\n".join(lines)


def parse_outputs(declared: Mapping[str, object] | None) -> OutputSpec:
    """Read a declaration: name -> type, or the type's text such as ``"list[float]"``.

    Raises:
        ValueError: a name that is none, or a type that is not supported; says which and what is.
    """
    kinds: dict[str, Kind] = {}
    if len(declared or {}) > _MOST_OUTPUTS:
        raise ValueError(
            f"There are {len(declared or {})} outputs; at most {_MOST_OUTPUTS} can be."
        )
    for name, wanted in (declared or {}).items():
        require_name(name, "output")
        try:
            kinds[name] = kind_of(wanted)
        except Unsupported:
            shown = wanted.__name__ if isinstance(wanted, type) else f"{wanted!s:.100}"
            raise ValueError(
                f"The output {name!r} has the type {shown!r}, which is not supported. "
                f"Supported are: {SUPPORTED}."
            ) from None
    return OutputSpec(kinds=kinds)


def require_name(name: object, what: str) -> None:
    """Refuse what cannot be the name of a variable.

    Raises:
        ValueError: it is no identifier, a keyword, or one of Python's own.
    """
    is_name = isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name)
    if not is_name or str(name).startswith("__"):
        raise ValueError(f"The {what} {name!r} has no name that a variable can have.")


@dataclass(frozen=True, kw_only=True)
class Converted:
    """Values of a program in their declared types."""

    encoded: Mapping[str, Any]
    """As the program handed them out, in the order of the declaration: plain JSON to be kept with a
    state, and what ``live_values`` is made from."""
    findings: tuple[Issue, ...] = ()
    """What is missing or of another type, in words for a model; empty when all is as declared."""

    @cached_property
    def plain(self) -> dict[str, Any]:
        """Plain JSON for a result.

        Times are texts, a table is ``columns, index, data, dtypes``, a file what is known of it.
        """
        return {name: as_plain(raw) for name, raw in self.encoded.items()}


def convert(
    outputs: Mapping[str, Any] | None,
    spec: OutputSpec,
    artifacts: Iterable[Artifact | ArtifactRef] = (),
) -> Converted:
    """Hold what a program handed out against what was declared.

    Args:
        outputs: ``ExecutionResult.outputs``.
        spec: the declaration.
        artifacts: what the program wrote, or where that is kept.
    """
    files = {each["name"]: each for each in map(_known_of, artifacts)}
    encoded: dict[str, Any] = {}
    findings = []
    for name, kind in spec.kinds.items():
        if outputs is None or name not in outputs:
            findings.append(
                f"`{name}` is missing: define it at the top level of the program, as {kind.text}."
            )
            continue
        try:
            found = kind.take(_genuine(outputs[name]), name, files)
            as_plain(found)
            encoded[name] = found
        except Mismatch as mismatch:
            findings.append(str(mismatch))
        except (Malformed, LookupError, TypeError, ValueError, AttributeError, RecursionError):
            findings.append(f"`{name}` could not be read: assign a plain {kind.text}.")
    issues = tuple(Issue(kind="output", message=finding) for finding in findings)
    return Converted(encoded=encoded, findings=issues)


def _genuine(raw: Any) -> Any:
    """No program says itself that a file was written."""
    if isinstance(raw, list):
        return [_genuine(each) for each in raw]
    if not isinstance(raw, dict):
        return raw
    if tag_of(raw) == FILE:
        raise Malformed("a file that the program only claims")
    return {key: _genuine(each) for key, each in raw.items()}


def _known_of(artifact: Artifact | ArtifactRef) -> dict[str, Any]:
    if isinstance(artifact, Artifact):
        return {
            "name": artifact.name,
            "media_type": artifact.media_type,
            "size": artifact.size,
        }
    return dict(artifact)


def live_values(
    encoded: Mapping[str, Any], files: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """``Converted.encoded`` as Python objects: DataFrames, arrays, dates, ...

    Args:
        encoded: name -> value, in the order that is kept.
        files: name of a file -> what to give for it, such as its path; else what is known of it.

    Raises:
        Malformed: a value that cannot be rebuilt.
    """
    return {name: _live(raw, files or {}) for name, raw in encoded.items()}


def _live(raw: Any, files: Mapping[str, Any]) -> Any:
    if tag_of(raw) == FILE and raw["name"] in files:
        return files[raw["name"]]
    if isinstance(raw, list):
        return [_live(each, files) for each in raw]
    if isinstance(raw, dict) and not tag_of(raw):
        return {key: _live(each, files) for key, each in raw.items()}
    return as_object(raw)


def single(values: Mapping[str, Any]) -> Any:
    """The one value itself where only one was declared; otherwise all by name."""
    return next(iter(values.values())) if len(values) == 1 else dict(values)


__all__ = [
    "Converted",
    "OutputSpec",
    "convert",
    "live_values",
    "parse_outputs",
    "require_name",
    "single",
]
