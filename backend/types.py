"""The words the whole house uses: values that pass between its layers.

Everything here is a frozen, keyword-only dataclass, a ``TypedDict`` or a ``Literal``, or adds such
values up. Nothing of ours is imported.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

Language = Literal["python", "bash"]
AgentType = Literal["auto", "react", "plan_execute", "chat"]
AgentName = Literal["react", "plan_execute", "chat"]
FigureFormat = Literal["png", "svg"]
Severity = Literal["error", "security", "advice"]
StoppedBy = Literal[
    "timeout", "memory", "cpu", "processes", "disk", "output", "killed", "cancelled"
]
Stage = Literal[
    "plan",
    "act",
    "generate",
    "review",
    "repair",
    "diagnose",
    "tests",
    "assess",
    "answer",
    "chat",
]
DiagnosisKind = Literal[
    "syntax",  # it is no Python
    "import",  # a module's member or a name of ours is not there
    "policy",  # the static check refuses it
    "runtime",  # it raises, for a reason in the code
    "data",  # it raises, for a reason in the data: a column, an encoding, a missing value
    "logic",  # it ran, and its result is wrong
    "environment",  # a package or a tool is not installed
    "timeout",
    "memory",
    "output",  # it printed too much, nothing, or not what was declared
    "test",  # a test failed
]
"""What went wrong with a program; each kind has its own strategy."""
Focus = Literal["fix", "optimise", "robustness"]
"""What to improve in a program that is given."""
ErrorKind = Literal[
    "model", "sandbox", "input", "disabled", "policy", "program", "budget", "waiting"
]
"""Who must act; ``waiting``: the user, who has not yet approved a program."""
ApprovalMode = Literal["off", "risky", "always"]
"""About which programs the user is asked before they run."""
Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, kw_only=True)
class Message:
    """One turn of a conversation, as text."""

    role: Role
    content: str
    files: tuple[str, ...] = ()
    """Names of files that an answer's programs made."""
    printed: str = ""
    """How the output of its last program begins."""


# --- running a program -----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ExecutionRequest:
    """A program to run, and what it may use. None means what the settings say."""

    code: str
    language: Language = "python"
    files: Mapping[str, str | Path] = field(default_factory=dict)
    """Name inside the working directory -> path outside. Read-only for the program."""
    variables: Mapping[str, Any] = field(default_factory=dict)
    """Name -> value that the program finds defined."""
    timeout_s: float | None = None
    """Wall-clock seconds; 0 or less is refused."""
    memory_mb: int | None = None
    """Mebibytes; 0 or less is refused."""
    argv: Sequence[str] = ()
    """What follows the program's name in ``sys.argv``."""
    figure_formats: Sequence[FigureFormat] = ("png",)
    """As what figures that are shown or left open are handed out."""
    outputs: Sequence[str] = ()
    """Names of the program whose values are handed out when it has ended well; Python only."""
    checks: Sequence[str] = ()
    """Expressions over the program's names, evaluated when it has ended well; Python only."""
    describe_names: bool = False
    """Tell which names it leaves behind; of a Bash program there is nothing to tell."""
    checked: Sequence[Issue] | None = None
    """What the static check has said of it already, for the audit trail; None: it was not asked."""
    on_record: str | None = None
    """What the audit trail has in place of the code: the programs that one of the house's brings
    in; '' for one that only looks at files or values, which is not on record. None: the code."""


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file that a program wrote or a figure that it left."""

    name: str
    """Relative to the working directory, forward slashes."""
    media_type: str
    size: int
    """Bytes."""
    content: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Isolation:
    """Which walls stood around a run; never what was merely asked for."""

    executor: str
    tier: Literal["A", "B", "C"]
    """A: every wall and a cgroup. B: every wall, limits without a cgroup. C: no namespaces."""
    walls: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"executor": self.executor, "tier": self.tier, "walls": list(self.walls)}


@dataclass(frozen=True, kw_only=True)
class Issue:
    """Something the static check has to say about a program."""

    kind: str
    """Short machine-readable class, e.g. ``syntax``, ``blocked_import``, ``blocked_call``."""
    message: str
    """What is wrong and what to write instead, for a model or a person to act on."""
    line: int | None = None
    """From 1; None where the whole program is meant."""
    severity: Severity = "error"

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class FailureFrame:
    """One of a program's own frames when it failed."""

    line: int
    """From 1."""
    function: str
    """``<module>`` outside of every function."""
    source: str
    """The line's text, stripped."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Name -> short description of its value: those that the line speaks of come first."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """The exception that ended a program, as the program's process tells it: not to be trusted."""

    type: str
    """The exception's class, as a traceback has it: with the module of a library's."""
    message: str
    frames: tuple[FailureFrame, ...] = ()
    """The program's own, outermost first; none of a library."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What became of a check, as the program's process tells it: not to be trusted."""

    check: str
    """The expression."""
    holds: bool | None
    """None where it could not be evaluated; then ``error`` says why."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Of one that does not hold: what it speaks of -> short description of its value."""
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class ExecutionResult:
    """What became of a program. Its failure is told here, never raised."""

    success: bool
    """It ended by itself with exit status 0."""
    returncode: int | None
    """Exit status; negative for the signal that ended it; None if it never ran."""
    stdout: str
    stderr: str
    stopped_by: StoppedBy | None = None
    """The limit that ended it, as seen from outside the program."""
    duration_s: float = 0.0
    """Seconds from handing the program over to its end."""
    artifacts: tuple[Artifact, ...] = ()
    truncated: tuple[str, ...] = ()
    """What was cut to its cap: any of ``stdout``, ``stderr``, ``artifacts``."""
    isolation: Isolation | None = None
    """None only when nothing was run."""
    value: str | None = None
    """The last expression's ``repr``, where there is one and it is not None."""
    html: str | None = None
    """The same as HTML, where it has such a form: untrusted markup, to be shown in a sandbox."""
    charts: tuple[Mapping[str, Any], ...] = ()
    """What each figure shows, as plain JSON values: type, title, axes, series."""
    failure: Failure | None = None
    """The exception that ended it, where a Python program told of one."""
    outputs: Mapping[str, Any] | None = None
    """Of the names that were asked for, those that it defined: plain JSON values, and objects that
    say in ``$type`` what else they are. None if it did not end well, or none was asked for."""
    checks: tuple[CheckResult, ...] = ()
    """Of the checks that were asked for, in their order."""
    names: Mapping[str, str] | None = None
    """The names it left, where that was asked for -> short description of what each stands for, as
    the program's process tells it: not to be trusted. In a session also those of programs before."""
    rolled_back: bool = False
    """It left nothing in its session, which is what it was before."""
    issues: tuple[Issue, ...] = ()
    """What the static check found; a program refused by it was not run."""
    notes: tuple[str, ...] = ()
    """Sentences for the reader: files left behind by a cap, which limit to raise, ..."""


@dataclass(frozen=True, kw_only=True)
class MachineFinding:
    """Something of this machine that was looked at, for whoever asks what is missing."""

    topic: str
    state: Literal["ok", "note", "missing"]
    """``note``: it works, but something about it should be known."""
    what: str
    remedy: str = ""
    """What to do, with the command where there is one."""


# --- events and accounts ---------------------------------------------------------------------

EventKind = Literal[
    "begin",  # its record is there: ``run_id``
    "route",
    "plan",
    "thought",
    "action",
    "observation",
    "files",
    "code",
    "check",
    "review",
    "approval",
    "run",
    "output",
    "repair",
    "artifact",
    "text",
    "answer",
]


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that just happened in a request, for whoever watches it."""

    kind: EventKind
    text: str
    """One line or one block a person can read. For ``text``: a piece of the answer's own words."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON values."""


Emit = Callable[[Event], None]
Execute = Callable[[ExecutionRequest], Awaitable[ExecutionResult]]
"""Runs a program."""


Rung = Literal["tools", "schema", "text"]
"""In which form a model is asked for something structured: for a native tool call, for JSON by a
schema that the server enforces, or in the prompt's words alone."""


class ToolSpec(TypedDict):
    """A tool as a model is offered it."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    """The JSON schema of its arguments, an object."""


class ModelCall(TypedDict):
    """One call to a model, as it is accounted for."""

    stage: Stage
    model: str
    input_tokens: int
    output_tokens: int
    duration_s: float
    prompt_sha256: str
    """Of the messages' texts, as they were sent."""
    rung: NotRequired[Rung]
    """How it was asked; absent in records of former versions."""
    shortened: NotRequired[list[str]]
    """What was cut so that the prompt fitted into the context; absent where nothing was."""


class Sampling(TypedDict, total=False):
    """How replies are drawn, as a request asks for it; what is absent is left to the settings."""

    temperature: float | None
    top_p: float | None
    seed: int | None
    max_tokens: int | None
    """Tokens one reply may have."""


class ArtifactRef(TypedDict):
    """An artifact by its place in the file store; its bytes never enter a graph's state."""

    name: str
    media_type: str
    size: int
    sha256: str


def ignore_event(event: Event) -> None:
    """An ``Emit`` for when nobody watches."""
