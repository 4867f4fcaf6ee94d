"""What the loop knows while it works: plain values in the state, living things in the context."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from operator import add
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

from backend.config.settings import Settings
from backend.llm.models import LanguageModel
from backend.prompts.at_hand import list_variables
from backend.store.blobs import BlobStore
from backend.tools.approval import Approvals
from backend.tools.held_session import HeldSession
from backend.tools.python_executor_engine import PythonExecutor
from backend.types import (
    ArtifactRef,
    DiagnosisKind,
    Emit,
    ErrorKind,
    ExecutionRequest,
    ExecutionResult,
    Issue,
    Language,
    ModelCall,
    Sampling,
    ignore_event,
)

Phase = Literal["draft", "rewrite", "repair"]
"""Why there is this program: the first, one after findings, or one after a failed run."""


class Modification(TypedDict):
    """A rewrite before a run."""

    iteration: int
    issues: list[str]
    change: str
    by: Literal["model", "rule", "user"]


class Verification(TypedDict):
    """What the check and the review said of one program."""

    iteration: int
    issues: list[dict[str, Any]]
    action: Literal["approved", "needs_modification", "rejected"]
    note: str


class Diagnosed(TypedDict):
    """What went wrong with a run, and what was done about it."""

    kind: DiagnosisKind
    root_cause: str
    advice: list[str]
    packages: list[str]
    signature: str
    """The same for the same failure, whatever its line numbers and values."""
    certain: bool
    by: Literal["rule", "model"]
    strategy: str
    """What was done about it, in words; '' where nothing was."""


class Former(TypedDict):
    """A program that was given up, and why; what every later prompt remembers."""

    code: str
    diagnosis: str
    signature: str


class Attempt(TypedDict):
    """One run of one program."""

    code: str
    stdout: str
    stderr: str
    error: str | None
    stopped_by: str | None
    returncode: int | None
    diagnosis: Diagnosed | None
    duration_s: float


class Improvement(TypedDict):
    """What became of a program that was to be improved."""

    focus: str
    before_s: float
    """Seconds the given program takes in the sandbox, the least of its runs."""
    after_s: float | None
    """The same of the new program; None where it failed or does something else."""
    same_output: bool | None
    """None where the given program did not run."""


def add_seconds(left: dict[str, float], right: dict[str, float]) -> dict[str, float]:
    """Sum two accounts of seconds, key by key."""
    return {key: left.get(key, 0.0) + right.get(key, 0.0) for key in {**left, **right}}


class CoderState(TypedDict, total=False):
    """The state of one task; only plain JSON values, so that it can be checkpointed."""

    request: str
    context: str
    options: dict[str, Any]
    files: dict[str, str]
    facts: list[dict[str, Any]]
    inspected: bool

    contract: str
    """What was declared of inputs, outputs and constraints, in words."""
    language: Language
    plan: str
    code: str
    phase: Phase
    iteration: int
    rewrites: int
    """Rewrites since the last run; the budget is per run."""
    repairs: int
    checked: list[dict[str, Any]]
    """What the static check said of the program."""
    findings: list[dict[str, Any]]
    """What stands against the program now: of the check and of the review."""
    unchanged: bool
    problem: str
    """What a repair after a run has to put right, for the model."""
    instruction: str
    """How it is to go about it."""
    fresh: bool
    """It is to begin anew, without the program that failed."""
    step: str
    """What follows a failed run (see ``heal.Step``) or the user's decision."""
    packages: list[str]
    """What was tried to be installed."""

    former: Annotated[list[Former], add]
    modifications: Annotated[list[Modification], add]
    verification_history: Annotated[list[Verification], add]
    attempts: list[Attempt]
    calls: Annotated[list[ModelCall], add]
    timings: Annotated[dict[str, float], add_seconds]
    installed: Annotated[list[str], add]

    tests: list[dict[str, Any]]
    """Test functions with who wrote them: ``{"by": "caller" | "model", "source"}``."""
    test_reports: Annotated[list[dict[str, Any]], add]
    """One for each run of the tests."""
    outputs: dict[str, Any] | None
    """The declared outputs in the order they were declared: ``plain`` for a result, and
    ``encoded`` for whoever wants Python objects of their types."""
    improvement: Improvement | None
    baseline: dict[str, Any] | None
    """What the program to be improved did."""

    artifacts: list[ArtifactRef]
    isolation: dict[str, Any] | None
    value: str | None
    notes: list[str]
    """Of the last run, for the reader."""
    remarks: Annotated[list[str], add]
    """Of the whole task, for the reader."""
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
    files: Mapping[str, Path] = field(default_factory=dict)
    """Name in the working directory -> path outside. The state's were so when the task began: who
    goes on with it may have the same files elsewhere."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """Variables that programs find defined."""
    approvals: Approvals = field(default_factory=Approvals)
    """Whether and whom to ask before a program runs."""
    session: HeldSession | None = None
    """Where programs find what the ones before them left; None: each has a sandbox of its own."""
    sampling: Sampling = field(default_factory=lambda: Sampling())
    """For what the model writes; what it judges has the settings'."""
    memory_mb: int | None = None
    """Mebibytes each program may use; None: what the settings say."""

    @property
    def names(self) -> tuple[str, ...]:
        """What programs find defined."""
        return (*self.inputs, *(self.session.names if self.session else ()))

    def variables_text(self, language: Language = "python") -> str:
        """What earlier programs of the session left at hand, for a prompt; '' where nothing is."""
        if self.session is None:
            return ""
        names = self.session.names if language == "python" else {}
        lost = bool(self.session.notes) and language == "python"
        return list_variables(names, self.session.files, lost=lost)

    async def execute(self, request: ExecutionRequest, *, check: bool = True) -> ExecutionResult:
        """Run a program: in the session where there is one, where nothing stays of a failed one.

        Raises:
            PythonCoderError: as ``PythonExecutor.execute`` and ``HeldSession.execute``.
        """
        if self.memory_mb is not None and request.memory_mb is None:
            request = replace(request, memory_mb=self.memory_mb)
        if self.session is None:
            return await self.engine.execute(request, check=check)
        return await self.session.execute(request, check=check, keep_failed=False)


def updated(state: CoderState, update: Mapping[str, Any]) -> CoderState:
    """The state as an update leaves it, of keys that are replaced and not added to."""
    return {**state, **update}  # type: ignore[typeddict-item]


def said_of(state: CoderState) -> list[Issue]:
    """What the static check said of the program, as it said it; nothing is known of old steps."""
    return [Issue(**issue) for issue in state.get("checked", ())]


def files_at_hand(state: CoderState, context: CoderContext) -> tuple[str, ...]:
    """Names of the input files, and of what earlier programs of the session wrote."""
    left = context.session.files if context.session else ()
    return (*state["files"], *(name for name in left if name not in state["files"]))


def iterations_of(state: CoderState, context: CoderContext) -> int:
    """Rewrites that this task may have before a run."""
    wanted: int | None = state["options"]["max_iterations"]
    return context.settings.max_iterations if wanted is None else wanted


def retries_of(state: CoderState, context: CoderContext) -> int:
    """Repairs that this task may have after failed runs."""
    wanted: int | None = state["options"]["max_retries"]
    return context.settings.max_retries if wanted is None else wanted


def result_of(attempt: Attempt) -> ExecutionResult:
    """A run that succeeded, as far as the state remembers it."""
    return ExecutionResult(
        success=attempt["returncode"] == 0 and attempt["stopped_by"] is None,
        returncode=attempt["returncode"],
        stdout=attempt["stdout"],
        stderr=attempt["stderr"],
        duration_s=attempt["duration_s"],
    )
