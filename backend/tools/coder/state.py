"""What the loop knows while it works: plain values in the state, living things in the context."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import add
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

from backend.config.settings import Settings
from backend.llm.models import LanguageModel
from backend.store.blobs import BlobStore
from backend.tools.python_executor_engine import PythonExecutor
from backend.types import ArtifactRef, Emit, ErrorKind, ModelCall, ignore_event

Phase = Literal["draft", "rewrite", "repair"]
"""Why there is this program: the first, one after findings, or one after a failed run."""


class Modification(TypedDict):
    """A rewrite before a run."""

    iteration: int
    issues: list[str]
    change: str
    by: Literal["model", "rule"]


class Verification(TypedDict):
    """What the check and the review said of one program."""

    iteration: int
    issues: list[dict[str, Any]]
    action: Literal["approved", "needs_modification", "rejected"]
    note: str


class Former(TypedDict):
    """A program that was given up, and why; what every later prompt remembers."""

    code: str
    diagnosis: str


class Attempt(TypedDict):
    """One run of one program."""

    code: str
    stdout: str
    stderr: str
    error: str | None
    stopped_by: str | None
    returncode: int | None
    diagnosis: str
    duration_s: float


def add_seconds(left: dict[str, float], right: dict[str, float]) -> dict[str, float]:
    """Sum two accounts of seconds, key by key."""
    return {key: left.get(key, 0.0) + right.get(key, 0.0) for key in {**left, **right}}


class CoderState(TypedDict, total=False):
    """The state of one task; only plain JSON values, so that it can be checkpointed."""

    request: str
    context: str
    files: dict[str, str]
    facts: list[dict[str, Any]]
    inspected: bool

    plan: str
    code: str
    phase: Phase
    iteration: int
    rewrites: int
    """Rewrites since the last run; the budget is per run."""
    repairs: int
    findings: list[dict[str, Any]]
    """What stands against the program now: of the check and of the review."""
    unchanged: bool
    problem: str
    """What a repair after a run has to put right."""

    former: Annotated[list[Former], add]
    modifications: Annotated[list[Modification], add]
    verification_history: Annotated[list[Verification], add]
    attempts: Annotated[list[Attempt], add]
    calls: Annotated[list[ModelCall], add]
    timings: Annotated[dict[str, float], add_seconds]

    artifacts: list[ArtifactRef]
    isolation: dict[str, Any] | None
    value: str | None
    notes: list[str]
    assessment: dict[str, Any] | None
    success: bool
    error: str | None
    error_kind: ErrorKind | None


@dataclass(frozen=True, kw_only=True)
class CoderContext:
    """What the steps work with; never enters the state."""

    settings: Settings
    model: LanguageModel
    engine: PythonExecutor
    blobs: BlobStore
    emit: Emit = ignore_event
    assess: bool = True
    """Judge a successful run's output here. Agents judge it in their answer step instead."""
    temperature: float | None = None
    max_tokens: int | None = None


def paths_of(files: Mapping[str, str]) -> dict[str, Path]:
    """The state's file names as paths."""
    return {name: Path(path) for name, path in files.items()}
