"""One failed run as the rules look at it, and what they say of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from backend.types import DiagnosisKind, ExecutionResult, Failure, FailureFrame, Language

ERROR_LINE = re.compile(
    r"(?P<type>[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit|Warning|Iteration|Expired|Group))"
    r"\b(?:: (?P<message>.*))?$"
)
"""How a traceback's last line begins; a message of several lines follows it."""
_FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+)(?:, in (?P<function>.+))?$')
_LIBRARY = ("site-packages", "lib/python", "<frozen", "dist-packages")
_SHELL_LINE = re.compile(r"^\S*: line (?P<line>\d+): ", re.MULTILINE)
_CHAIN = re.compile(r"\n(?:caused by|while handling|- ) ?", re.MULTILINE)
_TOLD_COLUMN = re.compile(r"'((?:[^'\\]|\\.)*)' [A-Za-z]")
_PARTS = ("sheets", "tables")
_STDERR_CHARS = 16_000
_LINE_CHARS = 400
_MESSAGE_CHARS = 2000


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What went wrong, and what to do about it."""

    kind: DiagnosisKind
    root_cause: str
    """One or two sentences."""
    advice: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    """Distributions whose lack is the cause, as one would install them."""
    signature: str = ""
    """The same for the same failure, whatever its line numbers, addresses and values."""
    certain: bool = True
    """False where no rule knows the cause: then it says little more than the error does."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"advice": list(self.advice), "packages": list(self.packages)}


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of an input file."""

    file: str
    columns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A run that did not do what it should, with everything that the rules may look at."""

    result: ExecutionResult
    code: str
    language: Language = "python"
    facts: Sequence[Mapping[str, Any]] = ()
    """What was found in the input files (see ``describe_files``)."""
    installed: Collection[str] | None = None
    """Import names of the packages that programs have; None if that is not known."""
    shortfall: str = ""
    """Why the output of a program that ran is not what was asked for."""
    failed_tests: Sequence[str] = ()
    """What failed of the tests, one each."""

    @cached_property
    def failure(self) -> Failure | None:
        """The exception that ended it: as it was told, else as the traceback on stderr has it."""
        if self.language != "python":
            return None
        if self.result.failure is not None:
            return self.result.failure
        return None if self.result.success else read_traceback(self.stderr, self.code)

    @cached_property
    def stderr(self) -> str:
        """The end of what it said there, no line of it too long to be searched."""
        lines = self.result.stderr[-_STDERR_CHARS:].strip().splitlines()
        return "\n".join(line[:_LINE_CHARS] for line in lines)

    @property
    def last_line(self) -> str:
        """The last one on stderr."""
        return self.stderr.rpartition("\n")[2]

    @cached_property
    def type(self) -> str:
        """The exception's class, without its module; ``ArrayMemoryError`` is a ``MemoryError``."""
        name = self.failure.type.rpartition(".")[2] if self.failure else ""
        return "MemoryError" if name.endswith("MemoryError") else name

    @cached_property
    def message(self) -> str:
        """What it says, without what was told of other exceptions."""
        message = self.failure.message[:_MESSAGE_CHARS] if self.failure else ""
        return _CHAIN.split(message)[0].strip()

    @cached_property
    def frame(self) -> FailureFrame | None:
        """Where it was: the program's innermost frame."""
        return self.failure.frames[-1] if self.failure and self.failure.frames else None

    @property
    def variables(self) -> Mapping[str, str]:
        """Those of the innermost frame, described."""
        return self.frame.variables if self.frame else {}

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Names of the input files."""
        return tuple(str(entry["name"]) for entry in self.facts if entry.get("name"))

    @cached_property
    def tables(self) -> tuple[Table, ...]:
        """The tables in the input files."""
        return tuple(
            Table(file=str(entry.get("name", "")), columns=columns)
            for entry in self.facts
            for part in (entry, *_parts_of(entry))
            if (columns := _columns_of(part))
        )

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that the program could have meant: of its own tables there, then of files."""
        own = [
            name.replace("\\'", "'")
            for text in self.variables.values()
            if text.startswith("DataFrame")
            for name in _TOLD_COLUMN.findall(text)
        ]
        return tuple(
            dict.fromkeys(own or [name for table in self.tables for name in table.columns])
        )


def _parts_of(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = [part for key in _PARTS for part in entry.get(key) or ()]
    return [part for part in found if isinstance(part, Mapping)]


def _columns_of(entry: Mapping[str, Any]) -> tuple[str, ...]:
    columns = entry.get("columns")
    if not isinstance(columns, Sequence) or isinstance(columns, str):
        return ()
    return tuple(
        str(column.get("name") if isinstance(column, Mapping) else column) for column in columns
    )


def read_traceback(stderr: str, code: str) -> Failure | None:
    """What a Python traceback says, for where nothing was told of the failure itself."""
    lines = stderr.splitlines()
    at = next((n for n in range(len(lines) - 1, -1, -1) if ERROR_LINE.match(lines[n])), None)
    if at is None:
        return None
    found = ERROR_LINE.match(lines[at])
    assert found is not None
    source = code.splitlines()
    frames = []
    for line in lines[:at]:
        place = _FRAME.match(line)
        if place is None or any(part in place["file"] for part in _LIBRARY):
            continue
        number = int(place["line"])
        text = source[number - 1].strip() if 0 < number <= len(source) else ""
        function = place["function"] or "<module>"
        frames.append(FailureFrame(line=number, function=function, source=text))
    message = "\n".join([found["message"] or "", *lines[at + 1 :]]).strip()
    return Failure(type=found["type"], message=message, frames=tuple(frames[-7:]))


def shell_line(stderr: str) -> int | None:
    """The line of a script that its last complaint is about."""
    lines = [int(found["line"]) for found in _SHELL_LINE.finditer(stderr)]
    return lines[-1] if lines else None
